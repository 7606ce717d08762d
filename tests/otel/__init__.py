"""Tests of `runstate.otel`, with the SDK and its exporters in memory."""

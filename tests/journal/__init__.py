"""Tests of the journals: one conformance suite for every store, and what is special about each."""

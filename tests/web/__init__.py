"""Tests of `runstate.web`, over real connections to a real server."""

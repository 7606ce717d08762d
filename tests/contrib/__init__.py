"""Tests of the adapters, each with its framework's own offline model; `make frameworks` runs them at both ends of each range."""

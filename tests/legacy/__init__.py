"""Tests of the drop-in facades."""

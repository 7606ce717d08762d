"""The stubs of the legacy trackers, beside a code base that has their sources."""

"""The golden path, end to end: users, a chat server, workers, a database, and faults at every stage. See `docs/golden.md`."""

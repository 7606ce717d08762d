"""What `diagnose` finds, in journals and under servers that really have it."""

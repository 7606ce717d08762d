"""Several trackers on one journal."""

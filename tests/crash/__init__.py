"""Programs that are killed, and disks that fail: what was promised is there."""

"""Stories: what happened once, and what happens now."""

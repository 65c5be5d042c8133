"""What became of one photo, and why."""

"""What one agent keeps for itself: entries in a small hot file, and an archive that loses nothing."""

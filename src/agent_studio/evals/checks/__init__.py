"""What decides whether an attempt did its task."""

"""What the real client does, recorded without slowing it."""

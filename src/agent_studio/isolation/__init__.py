"""What the boundary of an environment keeps out and in."""

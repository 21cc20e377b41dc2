"""The artifacts of a project, their index, and search over it."""

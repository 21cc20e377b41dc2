"""The same tasks with two sets of definitions: which one makes the agents better at their work."""

"""The sub-verbs of `evolve`."""

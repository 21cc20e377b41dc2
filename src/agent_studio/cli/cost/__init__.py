"""The sub-verbs of `cost`."""

"""The sub-verbs of `party`."""

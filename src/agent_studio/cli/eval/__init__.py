"""The sub-verbs of `eval`."""

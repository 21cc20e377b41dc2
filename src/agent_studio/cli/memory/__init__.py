"""The sub-verbs of `memory`."""

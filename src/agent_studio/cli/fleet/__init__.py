"""The sub-verbs of `fleet`."""

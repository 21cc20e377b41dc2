"""The sub-verbs of `kb`."""

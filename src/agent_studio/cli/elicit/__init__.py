"""The sub-verbs of `elicit`."""

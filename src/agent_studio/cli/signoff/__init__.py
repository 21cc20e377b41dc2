"""The sub-verbs of `signoff`, and what they share with `gate` and `waive`."""

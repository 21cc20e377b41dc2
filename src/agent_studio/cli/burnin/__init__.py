"""The sub-verbs of `burnin`."""

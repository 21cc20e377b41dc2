"""Signatures: who may sign in which role, over which statement, and who took theirs back."""

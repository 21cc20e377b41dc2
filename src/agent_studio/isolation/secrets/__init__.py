"""Secrets: where they are found, which of them are accepted, and which values are production's."""

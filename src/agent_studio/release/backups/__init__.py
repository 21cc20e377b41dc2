"""Backups of an environment's data: made whole while others write, verified, restored, pruned."""

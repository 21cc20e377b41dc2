"""The burn-in: what was observed on one candidate in staging, and what is still missing."""

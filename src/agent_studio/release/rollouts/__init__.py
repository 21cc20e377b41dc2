"""Gradual rollouts of feature flags in production, and the halt when a limit is broken."""

"""Reasoning methods on a finished text: which fit, what they find, and what of it is offered as a change."""

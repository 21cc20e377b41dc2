"""Environments, telemetry, cost control, search and a release path for `.claude` projects."""

__version__ = "0.1.0"

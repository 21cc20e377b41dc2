"""The real client for tests: its newest version; the trials in `bench/` drive every one."""

from __future__ import annotations

import pytest
from bench.client import claude
from bench.npm import ProgramMissingError


def installed() -> claude.Client:
    """Return the client; the asking test is left out where it cannot be had."""
    try:
        return claude.install(claude.NEWEST)
    except ProgramMissingError as reason:
        pytest.skip(f"Claude Code {claude.NEWEST} cannot be had: {reason}")

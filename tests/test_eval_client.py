"""Evals with the real client and an API whose answers depend on the definitions: the trial in `bench/`, scaled down."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

if os.name == "nt":
    pytest.skip("the driver ends process groups by signals, which Windows has not", allow_module_level=True)
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # plain `pytest` does not look for bench/ there

from bench import evals_trial
from bench.client import claude


def test_a_better_candidate_is_found_by_the_real_client_with_every_response_in_the_ledger(tmp_path: Path) -> None:
    try:
        client = claude.install(next(iter(claude.VERSIONS)))
    except claude.ClientMissingError as reason:
        pytest.skip(f"Claude Code cannot be had: {reason}")
    assert list(evals_trial.judged(client, tmp_path.resolve(), {"BETTER": 2})) == []

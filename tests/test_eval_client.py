"""Evals with the real client and an API whose answers depend on the definitions: the trial in `bench/`, scaled down."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if os.name == "nt":
    pytest.skip("the driver ends process groups by signals, which Windows has not", allow_module_level=True)
from bench import evals_trial
from tests import real_client

if TYPE_CHECKING:
    from pathlib import Path


def test_a_better_candidate_is_found_by_the_real_client_with_every_response_in_the_ledger(tmp_path: Path) -> None:
    assert list(evals_trial.judged(real_client.installed(), tmp_path.resolve(), {"BETTER": 2})) == []

"""A whole party from one command line, by each kind of model that can be had here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # bench is no part of the package

from bench import party_models

pytest.importorskip("pydantic_ai")


def test_one_command_holds_a_party_by_each_kind_of_model() -> None:
    for trial in party_models.trials():
        assert trial.faults == [], trial.name

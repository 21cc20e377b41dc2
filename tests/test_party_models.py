"""A whole party from one command line, by each kind of model that can be had here."""

from __future__ import annotations

import pytest
from bench import party_models

pytest.importorskip("pydantic_ai")


def test_one_command_holds_a_party_by_each_kind_of_model() -> None:
    for trial in party_models.trials():
        assert trial.faults == [], trial.name

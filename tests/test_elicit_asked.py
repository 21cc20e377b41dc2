"""Elicitation with a server that answers over a wire: what is counted, what is owed, what is in the ledger."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # plain `pytest` does not look for bench/ there

from bench.model_api import ModelApi, Turn
from tests.elicit_world import ElicitWorld, finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Studio

pytest.importorskip("pydantic_ai")
FOUND = json.dumps({"findings": [finding()]})
PRICE = "cost prices override m1 --provider house --input 100 --output 1000".split()


@pytest.fixture
def world(bare: Studio) -> ElicitWorld:
    return ElicitWorld(bare)


def ask(world: ElicitWorld, api: ModelApi, *words: str, methods: str = "pre-mortem", **options: Any) -> Any:
    endpoints = json.dumps([{"name": "house", "url": f"{api.url}/v1"}])
    return world.run(
        "run", "--method", methods, "--no-judge", "--file", "docs/plan.md", "--model", "house:m1",
        "--set", f"models.endpoints={endpoints}", *words, **options,
    )  # fmt: skip


def test_nobody_is_asked_where_the_call_could_not_be_recorded(world: ElicitWorld) -> None:
    assert world.studio.run(*PRICE).code == 0
    with ModelApi([Turn(FOUND)]).serving() as api:
        done = ask(world, api)
    print(done.out, done.err)
    assert done.code == 2

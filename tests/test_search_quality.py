"""The measure of search, on the example project's own judged questions."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from bench import search_quality
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Studio

if TYPE_CHECKING:
    from pathlib import Path


def test_search_over_the_example_is_as_good_as_it_has_to_be(tmp_path: Path) -> None:
    """Two measures, the trial's and the command's, agree on it."""
    told = tmp_path / "told.json"
    assert search_quality.main(["--out", str(tmp_path / "page.md"), "--json", str(told)]) == 0
    outcomes = {one["name"]: one for one in json.loads(told.read_text())["outcomes"]}
    ours = outcomes["by words"]["by_type"]
    assert outcomes["FTS5, any word"]["by_type"]["macro"]["ndcg10"] < ours["macro"]["ndcg10"]
    assert outcomes["by words, without spelling repair"]["by_type"]["typo"]["ndcg10"] < ours["typo"]["ndcg10"]
    assert "| by words |" in (tmp_path / "page.md").read_text()
    shutil.copytree(search_quality.EXAMPLE, tmp_path / "project", ignore=shutil.ignore_patterns(".agent-studio"))
    studio = Studio(tmp_path / "project")
    assert studio.run("init", "--env", "development", "--no-hooks").code == 0
    types = studio.json("kb", "eval", "search-questions.jsonl")["types"]
    for kind, row in ours.items():
        assert types[kind]["ndcg10"] == pytest.approx(row["ndcg10"], abs=1e-3), kind


@given(st.permutations(list("abcdefgh")), st.dictionaries(st.sampled_from("abcdefxy"), st.integers(1, 3), min_size=1))
def test_figures_are_shares_and_the_best_order_has_all(paths: list[str], grades: dict[str, int]) -> None:
    figures = search_quality.figures_of(paths, grades)
    assert all(0 <= figure <= 1 for figure in figures.values())
    best = sorted(grades, key=grades.__getitem__, reverse=True)
    assert search_quality.figures_of(best, grades) == {"ndcg10": 1, "r5": 1, "mrr": 1, "hit1": 1}
    assert search_quality.figures_of([*paths, *paths], grades) == figures
    assert not any(search_quality.figures_of(["z"], grades).values())


def test_what_is_worse_than_it_has_to_be_is_named() -> None:
    worse = search_quality.Outcome(
        "by words", {"macro": {"ndcg10": 0.69}, "name": {"ndcg10": 0.98}}, (0.7, 0.7), 0.5, 1.0
    )
    told = search_quality.faults([worse, worse._replace(name="by words, without floor")])
    assert [fault.split(" is below")[0] for fault in told] == [
        "by words: nDCG@10 0.690", "by words: name 0.980", "by words: silence 0.500",
    ]  # fmt: skip

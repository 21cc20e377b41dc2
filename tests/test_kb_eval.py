from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_studio.errors import ConfigurationError
from agent_studio.knowledge import judging
from agent_studio.knowledge.answers import Answer, Entry, Hit, Query

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Studio


def answer(*paths: str, copies: tuple[str, ...] = ()) -> Answer:
    hits = []
    for number, path in enumerate(paths):
        name = path.rpartition("/")[2].removesuffix(".md")
        entry = Entry(
            number, name, path, "", "agent", "LOW", "", "", False, "", "", "project", path, 1, 1, False, 0, ""
        )  # fmt: skip
        hits.append(Hit(entry, 1.0, 1.0, "", copies=copies))
    return Answer(Query("q"), tuple(hits), None, 1.0)


def measured(relevant: dict[str, int], *paths: str, **options: Any) -> judging.Measured:
    return judging.measure(judging.Judged("q", relevant, "t", 1), answer(*paths, **options), lambda _: True)


def test_the_figures_are_those_of_the_literature() -> None:
    one = measured({"a": 2, "b": 1}, "x/c.md", "x/b.md", "x/a.md")
    ideal = 3 / math.log2(2) + 1 / math.log2(3)
    assert one.ndcg10 == pytest.approx((1 / math.log2(3) + 3 / math.log2(4)) / ideal)
    assert (one.recall5, one.reciprocal_rank, one.hit1) == (1.0, 0.5, 0.0)


def test_only_ten_hits_count_for_gain_and_five_for_recall() -> None:
    others = [f"x/o{number}.md" for number in range(10)]
    late = measured({"a": 1}, *others, "x/a.md")
    assert (late.ndcg10, late.recall5, late.reciprocal_rank) == (0.0, 0.0, 1 / 11)


def test_a_name_a_path_the_end_of_a_path_and_a_copy_are_all_hits() -> None:
    for key in ("a", ".claude/agents/a.md", "agents/a.md"):
        assert measured({key: 1}, ".claude/agents/a.md").ndcg10 == 1
    assert measured({"y/twin.md": 1}, "x/a.md", copies=("y/twin.md",)).ndcg10 == 1


def test_a_right_answer_that_comes_twice_counts_once() -> None:
    assert measured({"a": 1, "b": 1}, "x/a.md", "y/a.md").ndcg10 < 1


def test_silence_is_right_where_nothing_answers() -> None:
    assert (measured({}).ndcg10, measured({}, "x/a.md").ndcg10) == (1.0, 0.0)


@given(
    st.lists(st.sampled_from("abcdefgh"), unique=True), st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 3))
)
def test_every_figure_is_from_0_to_1_and_the_ideal_order_is_1(order: list[str], relevant: dict[str, int]) -> None:
    one = measured(relevant, *(f"x/{name}.md" for name in order))
    for figure in (one.ndcg10, one.recall5, one.reciprocal_rank, one.hit1):
        assert 0 <= figure <= 1 + 1e-9
    if relevant:
        best = sorted(relevant, key=lambda name: -relevant[name])
        assert measured(relevant, *(f"x/{name}.md" for name in best)).ndcg10 == pytest.approx(1)


@pytest.mark.parametrize(
    "line",
    [
        "{", "[]", '"a"', "5", "{}", '{"query": ""}', '{"query": 5, "relevant": []}', '{"query": "a"}',
        '{"query": "a", "relevant": "b"}', '{"query": "a", "relevant": {"b": 9}}', '{"query": "a", "relevant": [""]}',
        '{"query": "a", "relevant": [5]}', '{"query": "a", "relevant": [["b"]]}',
        '{"query": "a", "relevant": [], "type": 1}', "[" * 9_999,
    ],
)  # fmt: skip
def test_a_line_that_is_no_judged_question_is_named(line: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^f:2: "):
        judging.read(['{"query": "a", "relevant": []}', line], "f")


def questions(studio: Studio, *lines: dict[str, Any]) -> str:
    return str(studio.write("questions.jsonl", "".join(json.dumps(line) + "\n" for line in lines)))


RIGHT = {"query": "code-reviewer", "relevant": ["code-reviewer"], "type": "name"}
WRONG = {"query": "database migrations", "relevant": ["hotfix"], "type": "need"}
SILENT = {"query": "tavvin oleb", "relevant": []}


def test_the_template_is_a_file_that_can_be_measured(staged: Studio) -> None:
    shown = staged.run("kb", "eval", "--example", "--env", "staging")
    assert shown.code == 0
    assert len(judging.read(shown.out.splitlines(), "example")) == 3


def test_misses_are_listed_and_a_floor_fails(staged: Studio) -> None:
    file = questions(staged, RIGHT, WRONG, SILENT)
    run = staged.run("kb", "eval", file, "--env", "staging")
    assert run.code == 0
    assert "database migrations (wanted hotfix" in run.out
    assert staged.run("kb", "eval", file, "--min-ndcg", "0.5", "--env", "staging").code == 0
    below = staged.run("kb", "eval", file, "--min-ndcg", "0.9", "--env", "staging")
    assert below.code == 1
    assert "below 0.9" in below.err


def test_a_result_is_compared_with_an_earlier_one(staged: Studio, tmp_path: Path) -> None:
    file = questions(staged, RIGHT, SILENT)
    earlier = tmp_path / "earlier.json"
    earlier.write_text(staged.run("kb", "eval", file, "--json", "--env", "staging").out)
    staged.write(".claude/agents/code-reviewer.md", "---\nname: other\ndescription: Bakes bread\n---\n")
    data = staged.json("kb", "eval", file, "--against", str(earlier), "--env", "staging")
    assert data["against"]["changes"]["name"]["ndcg10"] == -1
    assert [one["query"] for one in data["against"]["worse"]] == ["code-reviewer"]


def test_what_is_judged_but_not_there_is_a_problem(staged: Studio) -> None:
    envelope = staged.run(
        "kb", "eval", questions(staged, {"query": "a", "relevant": ["gone"]}), "--json", "--env", "staging"
    ).envelope
    assert [(problem["code"], "gone" in problem["message"]) for problem in envelope["problems"]] == [("unknown", True)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "which questions"),
        (("nowhere.jsonl",), "cannot be read"),
        (("empty.jsonl",), "no judged questions"),
        (("one.jsonl", "--min-ndcg", "7"), "not from 0 to 1"),
        (("one.jsonl", "--min-ndcg", "nan"), "not from 0 to 1"),
        (("one.jsonl", "--against", "one.jsonl"), "no earlier result"),
        (("one.jsonl", "--against", "odd.json"), "no earlier result"),
    ],
)
def test_what_cannot_be_measured_is_one_clear_error(staged: Studio, arguments: tuple[str, ...], said: str) -> None:
    staged.write("empty.jsonl", "\n")
    staged.write("one.jsonl", json.dumps(RIGHT))
    staged.write("odd.json", '{"types": {"name": 3}, "questions": [{"text": "a"}]}')
    run = staged.run("kb", "eval", *arguments, "--env", "staging")
    assert run.code == 2
    assert said in run.err
    assert not (staged.path / ".claude/staging/metrics/searches.jsonl").exists()


def test_the_name_of_the_mean_is_no_type() -> None:
    with pytest.raises(ConfigurationError, match="which is what the mean is called"):
        judging.read(['{"query": "x", "relevant": ["y"], "type": "macro"}'], "f")


def test_a_file_with_a_mark_of_its_encoding_is_read(staged: Studio, tmp_path: Path) -> None:
    place = tmp_path / "questions.jsonl"
    place.write_text('\ufeff{"query": "code-reviewer", "relevant": ["code-reviewer"]}\n', encoding="utf-8")
    assert staged.json("kb", "eval", str(place), "--env", "staging")["types"]["macro"]["hit1"] == 1


def test_what_ends_lines_elsewhere_may_stand_in_a_question(staged: Studio, tmp_path: Path) -> None:
    line = {"query": "code\u2028reviewer\x85", "relevant": ["code-reviewer"]}
    (tmp_path / "q.jsonl").write_text(json.dumps(line, ensure_ascii=False) + "\n", encoding="utf-8")
    done = staged.run("kb", "eval", str(tmp_path / "q.jsonl"), "--env", "staging", "--json")
    assert [one["query"] for one in done.data["questions"]] == [line["query"]]

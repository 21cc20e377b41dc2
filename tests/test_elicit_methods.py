"""The catalogue of methods, a project's own ones, and which of them fit a request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from bench import elicit_selection
from hypothesis import given
from hypothesis import strategies as st
from tests.elicit_world import ElicitWorld

from agent_studio.errors import ConfigurationError
from agent_studio.reasoning.elicitation.methods import CUES, FACTORED, built_in, find, parse
from agent_studio.reasoning.elicitation.select import READ_CHARACTERS, select

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Studio

ORIGINAL = {
    "first-principles", "pre-mortem", "socratic", "red-team-blue-team", "inversion", "second-order", "swot", "fmea",
    "opportunity-cost", "analogical", "constraint-relaxation", "bias-check", "base-rate", "steelmanning",
    "time-horizon-shift",
}  # fmt: skip
ALIASES = {
    "socratic-questioning": "socratic", "devils-advocate": "steelmanning", "Devil's advocate": "steelmanning",
    "six-thinking-hats": "six-thinking-hats", "mental-models": "assumption-audit", "failure-modes": "fmea",
    "swot-analysis": "swot", "Pre Mortem": "pre-mortem",
}  # fmt: skip
OWN = "---\npurpose: Ask whether it can be told in one breath.\ncues:\n  strong: [one breath]\n---\n\nRead it aloud.\n"


@pytest.fixture
def world(bare: Studio) -> ElicitWorld:
    return ElicitWorld(bare)


# --- the catalogue --------------------------------------------------------------------------------------------------


def test_the_original_s_methods_are_there_by_all_their_names() -> None:
    assert built_in().keys() >= ORIGINAL
    assert {"chain-of-verification", "step-back", "reference-class", "preflection"} <= built_in().keys()
    assert {name: find(built_in(), name).id for name in ALIASES} == ALIASES


def test_every_method_says_what_it_is_for_when_it_fits_and_what_is_known_of_it() -> None:
    names = [name for one in built_in().values() for name in (one.id, *one.aliases)]
    assert len(names) == len(set(names))
    for one in built_in().values():
        assert one.purpose.endswith(".")
        assert 1 <= len(one.purpose) <= 110
        assert len(one.prompt) >= 200
        assert one.evidence.endswith(".")
        assert all(one.cues[strength] for strength in CUES)
        assert all(re.search(r"\w", word) for cues in one.cues.values() for cue in cues for word in cue.split())
    assert [one.id for one in built_in().values() if one.protocol == FACTORED] == ["chain-of-verification"]


def test_no_gain_is_promised() -> None:
    for one in built_in().values():
        assert not re.search(r"\d+ ?%|improves? .* by", one.prompt + one.purpose), one.id


# --- a project's own ------------------------------------------------------------------------------------------------


def test_a_project_s_own_methods_are_listed_selected_run_and_released(world: ElicitWorld) -> None:
    studio = world.studio
    studio.run("init", "--env", "staging", "--no-hooks", "--set", "testData.artifactsCount=0")
    before = studio.json("candidate", "create")["candidate"]
    studio.write(".claude/methods/one-breath.md", OWN)
    studio.write(".claude/methods/README.md", "What these are.\n")
    studio.write(".claude/methods/rubber-duck.yaml", "purpose: Tell it to a duck.\nprompt: Speak.\nkinds: [design]\n")
    listed = {one["id"]: one for one in world.run("list").data["methods"]}
    assert listed["one-breath"]["source"] == ".claude/methods/one-breath.md"
    assert listed["rubber-duck"]["purpose"] == "Tell it to a duck."
    assert [one["id"] for one in world.run("select", "say it in one breath").data["methods"]] == ["one-breath"]
    world.script(**{"one-breath": [{"findings": []}]})
    assert world.look(method="one-breath")["status"] == "done"
    studio.run("candidate", "create")
    shown = studio.json("candidate", "show")
    assert shown["candidate"] != before
    assert ".claude/methods/one-breath.md"[8:] in str(shown)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("x.md", "No front matter.\n", "x.md:1: purpose is missing"),
        ("x.md", "---\npurpose: a\n---\n\n \n", "x.md:1: it says nothing"),
        ("x.md", "---\npurpose: a\n\nDo.\n", "x.md:1: its front matter is not closed"),
        ("x.md", "---\npurpose: a\nkue: b\n---\n\nDo.\n", "x.md:3: unknown key 'kue'"),
        ("x.md", "---\npurpose: [a, b]\n---\n\nDo.\n", "x.md:2: purpose is a list"),
        ("x.md", "---\npurpose: a\naliases: one\n---\n\nDo.\n", "x.md:3: aliases is one text"),
        ("x.md", "---\npurpose: a\naliases: ['A b']\n---\n\nDo.\n", "x.md:3: 'A b' is no name"),
        ("x.md", "---\npurpose: a\nprotocol: twice\n---\n\nDo.\n", "x.md:3: protocol is 'twice'"),
        ("x.md", "---\npurpose: a\ncues:\n  strong: ['']\n---\n\nDo.\n", "x.md:4: the cue '' has no words"),
        ("x.md", "---\npurpose: a\ncues:\n  weak: ['a !!']\n---\n\nDo.\n", "x.md:4: the cue 'a !!' has no words"),
        ("x.md", "---\npurpose: a: b: c\n---\n\nDo.\n", "x.md:2:"),
        ("x.md", "---\npurpose: a\nprompt: b\n---\n\nDo.\n", "x.md:3: unknown key 'prompt'"),
        ("x.yaml", "purpose: a\n", "x.yaml:1: it says nothing"),
        ("x.yaml", "purpose: a\nkinds: [\n", "x.yaml:2:"),
        ("x.yml", b"purpose: \xff\n", "x.yml:1: not UTF-8"),
        ("x.md", b"---\npurpose: a\n---\n" + b"x" * 100_001, "at most 100000 are read"),
        ("X y.md", OWN, "'X y' is no name of a method"),
        ("swot.md", OWN, "the method 'swot' is one of ours already"),
        ("x.md", OWN.replace("cues:", "aliases: [devils-advocate]\ncues:"), "'devils-advocate' is one of ours already"),
    ],
)  # fmt: skip
def test_a_malformed_method_is_named_with_its_line(world: ElicitWorld, name: str, text: str | bytes, said: str) -> None:
    world.studio.write(f".claude/methods/{name}", text)
    assert said in world.error("list")
    assert said in world.error("run", "--method", "fmea", "--file", "docs/plan.md", "--model", "scripted:replies.json")


def test_a_method_is_a_file_of_the_project_and_no_link(world: ElicitWorld, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "om.md").write_text(OWN)
    link = world.studio.path / ".claude/methods/om.md"
    link.parent.mkdir()
    for target in (outside / "om.md", outside / "nowhere.md"):
        link.symlink_to(target)
        assert ".claude/methods/om.md: " in world.error("list")
        assert ".claude/methods/om.md: " in world.error("select", "what could go wrong?")
        link.unlink()
    link.parent.rmdir()
    link.parent.symlink_to(outside)
    assert ".claude/methods: " in world.error("list")


def test_two_of_a_project_s_methods_may_not_share_a_name(world: ElicitWorld) -> None:
    world.studio.write(".claude/methods/a.md", OWN)
    world.studio.write(".claude/methods/b.md", OWN.replace("cues:", "aliases: [a]\ncues:"))
    assert "the method 'a' is in .claude/methods/a.md already" in world.error("list")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_method_or_one_clear_error(data: bytes) -> None:
    try:
        parse("x.md", b"---\n" + data, "x.md")
    except ConfigurationError as error:
        said = error.message
    else:
        said = "x.md"
    assert said.startswith("x.md")


def test_what_is_on_offer_is_configured_and_an_unknown_name_is_an_error(world: ElicitWorld) -> None:
    key = "features.advancedElicitation.methods"
    world.studio.write(".claude/config.yaml", "features:\n  advancedElicitation:\n    methods: [swot, failure-modes]\n")
    offered = [one["id"] for one in world.run("list").data["methods"] if one["onOffer"]]
    assert sorted(offered) == ["fmea", "swot"]
    assert world.run("select", "What could go wrong when we launch?").code == 1
    words = ("run", "--method", "socratic", "--file", "docs/plan.md", "--model", "scripted:replies.json")
    assert "'socratic' is not on offer here" in world.error(*words)
    world.studio.write(".claude/config.yaml", "features:\n  advancedElicitation:\n    methods: [swott]\n")
    said = world.error("list")
    assert key in said
    assert 'did you mean "swot"?' in said


# --- selection ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(elicit_selection.untouched()))
def test_fitting_methods_are_found_and_none_is_said_on_labels_that_nothing_was_tuned_on(name: str) -> None:
    found = elicit_selection.measure(elicit_selection.untouched()[name], 0.7)
    assert found.hit_at_3 >= elicit_selection.LEAST, found.faults
    assert found.none_fits_recall >= elicit_selection.LEAST, found.faults


def test_there_are_labels_enough_and_each_names_methods_that_there_are() -> None:
    cases = elicit_selection.cases()
    first = [one for one in cases if one.round == 1]
    assert len(first) >= 120
    assert sum(not one.fits for one in first) >= 30
    assert len({one.text for one in cases}) == len(cases)
    assert {name for one in cases for name in one.fits} <= built_in().keys()


@given(st.text(max_size=400), st.randoms())
def test_a_score_is_from_nothing_to_one_and_the_order_of_methods_does_not_matter(text: str, random: object) -> None:
    methods = list(built_in().values())
    found = select(text, methods, least=0.0, limit=100)
    assert all(0 < one.score < 1 for one in found)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    random.shuffle(methods)  # type: ignore[attr-defined]
    assert select(text, methods, least=0.0, limit=100) == found


def test_only_the_beginning_of_a_long_text_is_read() -> None:
    methods = built_in().values()
    late = "x " * READ_CHARACTERS + "What could go wrong when we launch?"
    assert select(late, methods, least=0.7, limit=3) == []
    assert select("What could go wrong when we launch? " + late, methods, least=0.7, limit=3)


@pytest.mark.parametrize("text", ["何が失敗する可能性がありますか", "Что может пойти не так?", "١٢٣", "?!", "🙂"])
def test_a_request_that_cannot_be_read_fits_nothing_and_says_why(world: ElicitWorld, text: str) -> None:
    done = world.run("select", text)
    assert (done.code, done.data["methods"]) == (1, [])
    assert done.envelope["problems"][0]["code"] == "unread"


def test_a_project_s_cues_may_be_in_any_language(world: ElicitWorld) -> None:
    world.studio.write(".claude/methods/hanteln.md", OWN.replace("one breath", "schief gehen"))
    assert [one["id"] for one in world.run("select", "Was kann da schief gehen?").data["methods"]] == ["hanteln"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((" ",), "the text is empty"),
        (("a", "--file", "docs/plan.md"), "are two texts"),
        (("a", "--limit", "0"), "--limit 0 is not from 1"),
        (("--file", "nope"), "nope is not there"),
    ],
)
def test_a_wrong_selection_is_one_clear_error(world: ElicitWorld, words: tuple[str, ...], said: str) -> None:
    assert said in world.error("select", *words)


def test_a_file_and_standard_input_are_read(world: ElicitWorld) -> None:
    assert world.run("select", "--file", "docs/plan.md").code in {0, 1}
    words = ("elicit", "select", "--json", "--limit", "1")
    done = world.studio.process(*words, input="Do a pre-mortem", variables={"ELICITATION_ENABLED": "true"})
    assert [one["id"] for one in done.data["methods"]] == ["pre-mortem"]
    world.studio.write("big.txt", b"word " * 1_000_000)
    assert world.run("select", "--file", "big.txt").code == 1
    world.studio.write("binary", b"\0\1")
    assert "is binary" in world.error("select", "--file", "binary")


def test_the_least_score_is_configured(world: ElicitWorld) -> None:
    least = ("--set", "features.advancedElicitation.minConfidence=0.99")
    assert world.run("select", "Which edge cases are there?").code == 0
    assert world.run("select", "Which edge cases are there?", *least).code == 1


def test_methods_is_all_of_them_where_nothing_is_configured(world: ElicitWorld) -> None:
    assert all(one["onOffer"] for one in world.run("list").data["methods"])

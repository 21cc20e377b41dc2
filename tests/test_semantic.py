"""Ranking by meaning: a network of the test's own in the place of the real one, which is too big for a test."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests import tiny_network

from agent_studio.errors import IntegrityError
from agent_studio.knowledge.answers import Part
from agent_studio.knowledge.semantic import embedding, meaning, model, vectors
from agent_studio.knowledge.semantic.encoder import Encoder
from agent_studio.knowledge.semantic.weights import Weights
from agent_studio.knowledge.semantic.wordpiece import WordPiece
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Studio

_STATE = ".agent-studio/staging"
_PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "review", "##s", "##er", "a", "data", "##base", ",", "cafe",
           "中", "文", "-", "##cafe"]  # fmt: skip
_MEANT = "rollback schema changes"
"""What the added artifact is about, in words of its description only."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with a small network."""
    place = tmp_path_factory.mktemp("site") / model.PACKAGE / model.FILE
    tiny_network.write(place)
    (place.parent / "__init__.py").touch()
    return place


@pytest.fixture
def installed(staged: Studio, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """A staging environment with the extra installed."""
    monkeypatch.syspath_prepend(weights.parent.parent)
    for name, said in (
        ("janitor", "sweeps unused branches"),
        ("undo", _MEANT),
        ("copywriter", "polishes marketing texts"),
    ):
        staged.write(f".claude/agents/{name}.md", f"---\nname: {name}\ndescription: {said}\n---\n\nWork.\n")
    return staged


def _built(studio: Studio, *more: str) -> dict[str, int]:
    built: dict[str, int] = studio.json("kb", "build", "--env", "staging", *more)["semantic"]
    return built


def _explained(studio: Studio, question: str, *more: str) -> dict[str, list[str]]:
    done = studio.json("kb", "search", question, "--explain", "--env", "staging", *more)
    return {hit["name"]: [part["name"] for part in hit["explanation"]] for hit in done["hits"]}


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Reviewers", ["review", "##er", "##s"]),
        ("a DATABASE,", ["a", "data", "##base", ","]),
        ("café", ["cafe"]),
        ("cafe\u0301\u200b", ["cafe"]),
        ("a\x00a\ta", ["[UNK]", "a"]),
        ("中文a", ["中", "文", "a"]),
        ("reviewqqq", ["[UNK]"]),
        ("cafe" * 26, ["[UNK]"]),
        ("review-a", ["review", "-", "a"]),
        ("", []),
    ],
)
def test_text_is_cut_into_the_longest_known_pieces(text: str, pieces: list[str]) -> None:
    numbers = WordPiece(_PIECES).encode(text, 32)
    assert [_PIECES[number] for number in numbers] == ["[CLS]", *pieces, "[SEP]"]


@given(st.text(max_size=400), st.integers(2, 40))
def test_any_text_becomes_at_most_so_many_known_pieces(text: str, most: int) -> None:
    numbers = WordPiece(_PIECES).encode(text, most)
    assert len(numbers) <= most
    assert (numbers[0], numbers[-1]) == (2, 3)
    assert all(0 <= number < len(_PIECES) for number in numbers)


def test_vectors_are_those_of_an_independent_computation(tmp_path: Path) -> None:
    place = tmp_path / model.FILE
    network = tiny_network.write(place, seed=5)
    texts = [[101, 7592, 102], [101, *range(2000, 2030), 102], [101, 102]]
    found = Encoder(Weights(place)).encode(texts)
    expected = np.array([network.vector(text) for text in texts])
    assert np.abs(found - expected).max() < 2e-3
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


@settings(max_examples=20)
@given(st.lists(st.lists(st.integers(0, tiny_network.PIECES - 1), min_size=1, max_size=40), min_size=1, max_size=6))
def test_a_vector_does_not_depend_on_what_is_computed_beside_it(weights: Path, texts: list[list[int]]) -> None:
    encoder = Encoder(Weights(weights))
    alone = np.vstack([encoder.encode([text]) for text in texts])
    assert np.abs(encoder.encode(texts) - alone).max() < 1e-4


@settings(max_examples=25)
@given(cut=st.floats(0, 0.99), noise=st.binary(max_size=8))
@example(cut=0, noise=b"\x3a\x02\x28\x00")  # a graph whose only tensor is a number
@example(cut=0, noise=b"")
def test_damaged_weights_are_one_clear_fault(
    weights: Path, tmp_path_factory: pytest.TempPathFactory, cut: float, noise: bytes
) -> None:
    data = weights.read_bytes()
    place = tmp_path_factory.mktemp("cut") / model.FILE
    place.write_bytes(data[: int(len(data) * cut)] + noise)
    with pytest.raises(IntegrityError):
        Encoder(Weights(place))


def test_vectors_survive_their_file(tmp_path: Path) -> None:
    chance = np.random.default_rng(3)
    made = chance.normal(size=(50, 48)).astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    held = [(unique, embedding.key(str(unique))) for unique in chance.permutation(50).tolist()]
    folder = Folder(tmp_path)
    size_bytes = vectors.write(folder, vectors.joined("m", held, *vectors.quantized(made)))
    found = vectors.read(folder)
    assert found is not None
    assert size_bytes == (tmp_path / vectors.FILE).stat().st_size
    assert found.ids.tolist() == list(range(50))
    rows = found.rows([held[7][0], 999])
    assert list(rows) == [held[7][0]]
    assert found.keys[rows[held[7][0]]].tobytes() == held[7][1]
    exact = made @ made[7]
    kept = found.similarities(made[7])
    assert max(abs(kept[found.rows([unique])[unique]] - exact[row]) for row, (unique, _) in enumerate(held)) < 0.01


@given(st.data())
def test_a_damaged_file_of_vectors_is_no_file(tmp_path: Path, data: st.DataObject) -> None:
    folder = Folder(tmp_path)
    codes = np.ones((3, 8), np.int8)
    held = [(unique, embedding.key(str(unique))) for unique in range(3)]
    vectors.write(folder, vectors.joined("m", held, np.ones(3, np.float32), codes))
    whole = (tmp_path / vectors.FILE).read_bytes()
    end = whole.index(b"\n")
    damaged = data.draw(
        st.one_of(
            st.integers(0, len(whole) - 1).map(lambda size: whole[:size]),
            st.binary(min_size=1, max_size=9).map(lambda more: whole + more),
            st.binary(max_size=40).map(lambda head: head + whole[end:]),
            st.sampled_from(["count", "size", "version"]).map(
                lambda name: json.dumps(json.loads(whole[:end]) | {name: -1}).encode() + whole[end:]
            ),
        )
    )
    (tmp_path / vectors.FILE).write_bytes(damaged)
    assert vectors.read(folder) is None


def test_meaning_adds_to_the_score_of_the_words() -> None:
    alike = meaning.Alike({1: 0.5, 2: -0.2, 3: 0.25}, 10.0)
    assert alike.raised({1: 4.0, 2: 3.0, 9: 1.0}) == {1: 9.0, 2: 3.0, 3: 2.5, 9: 1.0}
    assert alike.parts(1) == (Part("meaning", 5.0, "likeness 0.50"),)
    assert alike.parts(9) == ()
    assert alike.sure(9, 0.7) == 0.7, "without a vector the words alone tell"
    assert alike.sure(1, 0.1) == 1.0, "what is like the question needs no word of it"
    assert alike.sure(3, 0.55) < 0.5, "words that meet in what is unlike have met by chance"


def test_a_build_computes_each_text_once_and_search_uses_it(installed: Studio) -> None:
    first = _built(installed)
    assert first["computed"] == first["vectors"] == 7
    assert first["left"] == 0
    assert first["bytes"] == (installed.path / _STATE / vectors.FILE).stat().st_size
    assert installed.json("kb", "stats", "--env", "staging")["semantic"] == {"vectors": 7, "bytes": first["bytes"]}
    found = _explained(installed, f"undo {_MEANT} please")
    assert "meaning" in found["undo"]
    assert "meaning" not in str(_explained(installed, f"undo {_MEANT} please", "--no-semantic"))
    assert _built(installed)["computed"] == 0


def test_a_question_is_answered_by_what_it_means(installed: Studio) -> None:
    """The network of this test knows words; spelt another way, they are other words to the index only."""
    _built(installed)
    place = installed.path / _STATE / "knowledge.sqlite3"
    with closing(sqlite3.connect(place)) as db, db:
        db.execute("DELETE FROM posting")  # nothing is found by words any more
    found = _explained(installed, f"undo. {_MEANT}")
    assert next(iter(found)) == "undo"
    assert found["undo"] == ["meaning"]


def test_a_name_needs_no_network(installed: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    _built(installed)
    monkeypatch.setattr(meaning, "_loaded", lambda _: pytest.fail("the network was loaded"))
    assert next(iter(_explained(installed, "code reviewer"))) == "code-reviewer"
    assert _explained(installed, "ревью кода") == {}, "nor do letters that it has not learnt"


def test_only_texts_that_changed_are_computed_again(installed: Studio) -> None:
    _built(installed)
    installed.write(".claude/agents/undo.md", "---\nname: undo\ndescription: paints walls green\n---\n\nWork.\n")
    assert "meaning" not in str(_explained(installed, f"undo {_MEANT}").get("undo", "")), "an old vector is not used"
    installed.write(
        ".claude/agents/janitor.md", "---\nname: janitor\ndescription: sweeps unused branches\n---\n\nOther work.\n"
    )
    assert _built(installed)["computed"] == 1
    (installed.path / ".claude/agents/undo.md").unlink()
    assert _built(installed)["vectors"] == 6


def test_a_project_without_artifacts_has_no_vectors(installed: Studio) -> None:
    _built(installed)
    for place in installed.path.glob(".claude/*/**/*.md"):
        place.unlink()
    for _ in range(2):
        assert _built(installed)["vectors"] == 0
    assert _explained(installed, _MEANT) == {}
    assert installed.json("kb", "stats", "--env", "staging")["semantic"] is None


def test_vectors_outlive_the_index(installed: Studio) -> None:
    _built(installed)
    (installed.path / _STATE / "knowledge.sqlite3").unlink()
    assert _built(installed)["computed"] == 0


def test_time_is_bounded_and_the_next_build_goes_on(installed: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "_BATCH_TOKENS", 1)
    monkeypatch.setattr(embedding, "_THREADS_MAX", 1)
    ticks = iter(range(1_000))
    monkeypatch.setattr("agent_studio.knowledge.semantic.embedding.time.monotonic", lambda: float(next(ticks)))
    done = installed.run("kb", "build", "--env", "staging", "--semantic-limit", "3", "--json")
    first = done.data["semantic"]
    assert done.code == 0
    assert 0 < first["computed"] < 7
    assert first["left"] == 7 - first["vectors"]
    assert [problem["code"] for problem in done.envelope["problems"]] == ["vectors-left"]
    assert _explained(installed, "hotfix production"), "what has no vector is found by its words"
    second = _built(installed, "--semantic-limit", "1000")
    assert second["computed"] == 7 - first["computed"]


def test_an_interrupted_build_keeps_what_it_computed(installed: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "_BATCH_TOKENS", 1)
    monkeypatch.setattr(embedding, "_THREADS_MAX", 1)
    real, calls = embedding._vectors, iter(range(100))

    def broken_off(*given: object) -> object:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(embedding, "_vectors", broken_off)
    assert installed.run("kb", "build", "--env", "staging").code == 130
    monkeypatch.setattr(embedding, "_vectors", real)
    assert _built(installed)["computed"] == 4


def test_vectors_of_another_network_are_not_mixed_in(
    installed: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _built(installed)
    other = tmp_path / "other" / model.PACKAGE
    tiny_network.write(other / model.FILE, seed=2, size=96)
    (other / "__init__.py").touch()
    monkeypatch.syspath_prepend(other.parent)
    assert "meaning" not in str(_explained(installed, _MEANT)), "the vectors are of the network of before"
    assert _built(installed)["computed"] == 7


def test_damaged_vectors_cost_nothing_but_time(installed: Studio) -> None:
    _built(installed)
    place = installed.path / _STATE / vectors.FILE
    place.write_bytes(place.read_bytes()[:-1])
    assert "undo" in _explained(installed, _MEANT)
    assert installed.json("kb", "stats", "--env", "staging")["semantic"] is None
    assert _built(installed)["computed"] == 7


def test_ranking_by_meaning_can_be_turned_off(installed: Studio) -> None:
    assert _built(installed, "--no-semantic") is None
    _built(installed)
    config = installed.path / ".claude/config.staging.yaml"
    config.write_text(config.read_text() + "\nknowledge:\n  semantic: false\n")
    assert "meaning" not in str(_explained(installed, _MEANT))
    assert _built(installed) is None


@pytest.mark.parametrize("limit", ["-1", "nan", "inf"])
def test_a_limit_that_is_no_time_changes_nothing(installed: Studio, limit: str) -> None:
    before = installed.snapshot()
    done = installed.run("kb", "build", "--env", "staging", "--semantic-limit", limit)
    assert done.code == 2
    assert "--semantic-limit" in done.err
    assert installed.snapshot() == before


def test_without_the_extra_nothing_is_computed_and_nothing_of_it_is_imported(staged: Studio) -> None:
    done = staged.run("kb", "build", "--env", "staging", "--json")
    assert done.data["semantic"] is None
    code = (
        "import sys; from agent_studio.cli.main import main; main(['kb', 'search', 'review', '--env', 'staging']);"
        "print(sorted(set(sys.modules) & {'numpy', 'agent_studio.knowledge.semantic.model', 'importlib.metadata'}))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=staged.path, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"

"""Changing one key of a YAML file: the value is as wanted and every other byte is as it was."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from agent_studio.environment.edit import set_value
from agent_studio.errors import ConfigurationError


def parsed(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


@pytest.mark.parametrize(
    ("before", "key", "value", "after"),
    [
        pytest.param("a: 1 # why\n", "a", 2, "a: 2 # why\n", id="trailing comment"),
        pytest.param("a:   1\n", "a", 2, "a:   2\n", id="alignment"),
        pytest.param("a: 'it' # c\n", "a", "it's", "a: 'it''s' # c\n", id="single quotes"),
        pytest.param('a: "it" # c\n', "a", "x\ty", 'a: "x\\ty" # c\n', id="double quotes"),
        pytest.param("a: on1\n", "a", "no", 'a: "no"\n', id="text that other readers take for false"),
        pytest.param("a: true\r\nb: 1\r\n", "a", False, "a: false\r\nb: 1\r\n", id="CRLF"),
        pytest.param("\ufeffa: 1\n", "a", 2, "\ufeffa: 2\n", id="byte order mark"),
        pytest.param("a: 1", "a", 2, "a: 2", id="no final newline"),
        pytest.param("a:\n  b: 1 # c\n# d\ne: 2", "a.z", 3, "a:\n  b: 1 # c\n  z: 3\n# d\ne: 2", id="new last child"),
        pytest.param("a:\n    b: 1\nc: 2\n", "d.e", 3, "a:\n    b: 1\nc: 2\nd:\n    e: 3\n", id="new section"),
        pytest.param("a:\n  b: 1", "a.c", 2, "a:\n  b: 1\n  c: 2", id="new child without final newline"),
        pytest.param("a: 1\r\nb:\r\n  c: 1\r\n", "b.d", 2, "a: 1\r\nb:\r\n  c: 1\r\n  d: 2\r\n", id="new child, CRLF"),
        pytest.param("", "a.b", 1, "a:\n  b: 1\n", id="empty file"),
        pytest.param("# only words\n", "a.b", 1, "# only words\na:\n  b: 1\n", id="only a comment"),
        pytest.param("---\n# c\n", "a.b", 1, "---\n# c\na:\n  b: 1\n", id="document begun, only a comment"),
        pytest.param("a: # c\nb: 1\n", "a.x", 2, "a: # c\n  x: 2\nb: 1\n", id="empty section"),
        pytest.param("a: ~ # c\nb: 1\n", "a.x", 2, "a: # c\n  x: 2\nb: 1\n", id="null section"),
        pytest.param("a: {} # c\nb: 1\n", "a.x", 2, "a: # c\n  x: 2\nb: 1\n", id="empty flow section"),
        pytest.param("a:\n  b:\n  c: 1\n", "a.b", 2, "a:\n  b: 2\n  c: 1\n", id="missing value"),
        pytest.param("a: {q: 1} # c\n", "a.q", 2, "a: {q: 2} # c\n", id="flow, replaced"),
        pytest.param("a: {q: 1} # c\n", "a.x.z", 3, "a: {q: 1, x: {z: 3}} # c\n", id="flow, added"),
        pytest.param("---\na: 1\n...\n", "b", 2, "---\na: 1\nb: 2\n...\n", id="document marks"),
        pytest.param("a: &x 1\nb: *x\n", "b", 2, "a: &x 1\nb: 2\n", id="alias, replaced"),
        pytest.param("a: &s\n  k: 1\nb:\n  <<: *s\n", "b.k", 2, "a: &s\n  k: 1\nb:\n  <<: *s\n  k: 2\n", id="merged"),
        pytest.param("a: |\n  x\n  y\n\nb: 1\n", "a", "z", "a: z\n\nb: 1\n", id="block text, replaced"),
        pytest.param("a:\n  t: |+\n   x\n\nb: 1\n", "a.c", 2, "a:\n  t: |+\n   x\n\n  c: 2\nb: 1\n", id="kept text"),
        pytest.param("a:\n- 1\n- 2 # c\nb: 1\n", "a", [3], "a: [3] # c\nb: 1\n", id="list"),
    ],
)  # fmt: skip
def test_one_key_changes_and_the_rest_stays(before: str, key: str, value: Any, after: str) -> None:
    assert set_value(before, key, value, file="config.yaml") == after


@pytest.mark.parametrize(
    ("text", "key", "place"),
    [
        pytest.param("x: 0\na: &x 1\nb: *x\n", "a", "config.yaml:2", id="an anchor others use"),
        pytest.param("a: &s\n  k: 1\nb: *s\n", "b.k", "config.yaml:2", id="a section behind an alias"),
        pytest.param("a:\n  b: 1\n", "a", "config.yaml", id="a section"),
        pytest.param("a: 5\n", "a.b", "config.yaml", id="below a value"),
        pytest.param("a: 1\na: 2\n", "a", "config.yaml:2", id="a duplicate key"),
        pytest.param("a: [1\nb: 2\n", "b", "config.yaml:", id="malformed"),
    ],
)
def test_what_cannot_be_changed_faithfully_is_refused_with_its_place(text: str, key: str, place: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        set_value(text, key, 9, file="config.yaml")
    assert place in caught.value.message


_names = st.sampled_from(["alpha", "beta", "gammaRay", "d-e", "x_1"])
_texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12)
_scalars = st.one_of(st.booleans(), st.none(), st.integers(-1000, 1000), st.floats(-1e6, 1e6), _texts)
_written = st.sampled_from(["1", "true", "plain words", "'single'", '"double"', "", "~", "[1, 2]", "{k: v}", "-3.5"])
_mappings: st.SearchStrategy[Any] = st.recursive(
    _written, lambda inner: st.dictionaries(_names, inner, min_size=1, max_size=4), max_leaves=10
)
_comments = st.sampled_from(["", "  # said with care", " #"])


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Nested block mappings with comments, blank lines and an indentation of their own."""
    step = draw(st.integers(1, 4))
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    lines: list[str] = []

    def write(mapping: dict[str, Any], depth: int) -> None:
        for name, value in mapping.items():
            if draw(st.booleans()):
                lines.append(draw(st.sampled_from(["", " " * step * depth + "# about the next line", "# far left"])))
            head = f"{' ' * step * depth}{name}:"
            if isinstance(value, dict):
                lines.append(head + draw(_comments))
                write(value, depth + 1)
            else:
                lines.append(f"{head} {value}{draw(_comments)}")

    write(draw(st.dictionaries(_names, _mappings, min_size=1, max_size=4)), 0)
    end = draw(st.sampled_from(["", newline, newline + "# the end" + newline]))
    return draw(st.sampled_from(["", "\ufeff"])) + newline.join(lines) + end


@pytest.mark.slow
@given(text=documents(), path=st.lists(_names, min_size=1, max_size=4), value=_scalars)
def test_any_edit_sets_the_value_and_keeps_all_other_lines(text: str, path: list[str], value: Any) -> None:
    try:
        changed = set_value(text, ".".join(path), value, file="config.yaml")
    except ConfigurationError as error:
        if "cannot stand below it" in error.message or "is a section" in error.message:
            return
        raise
    before, after = parsed(text.removeprefix("\ufeff")), parsed(changed.removeprefix("\ufeff"))
    section = before = before or {}
    for name in path[:-1]:
        section[name] = section.get(name) or {}
        section = section[name]
    section[path[-1]] = value
    assert after == before
    old, new = text.splitlines(keepends=True), changed.splitlines(keepends=True)
    kept = 0
    while kept < min(len(old), len(new)) and old[kept] == new[kept]:
        kept += 1
    tail = 0
    while tail < min(len(old), len(new)) - kept and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    lost = [line.rstrip("\r\n") for line in old[kept : len(old) - tail]]
    gained = [line.rstrip("\r\n") for line in new[kept : len(new) - tail]]
    rewritten = [line for line in lost if line not in gained]
    assert len(rewritten) <= 1

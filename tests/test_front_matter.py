"""Front matter is read as strict YAML reads it; what that refuses is repaired, and the repair is strict YAML."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from bench.front_matter import strict
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from agent_studio.knowledge.front_matter import FrontMatter, flat, read, read_yaml
from agent_studio.knowledge.text import decode
from agent_studio.knowledge.yaml.reader import mapping

FORMS = sorted((Path(__file__).parent / "fixtures/front_matter").glob("*.yaml"))

PIECES = st.sampled_from([
    "a", "b: ", "key:", "c d e", " ", "  ", "\n", "\n  ", "\n    ", "\n- ", "\n  - ", "'", '"', "[", "]", "{", "}",
    ", ", ": ", "#", " # c", "|", "|-\n  x", ">\n  y\n  z", ">+\n   q\n\n", "&x ", "*x", "~", "null", "true", "1.5",
    "\\n", "\\", "\t", "''", "...",
    "\n\n", "a-b", "http://x.y", "@", "%", "é", "\n? ", "-", "name: x\n", "tools: [a, b]\n",
    'd: "q\\\n  r"\n', "m:\n  n: 1\n  o:\n  - p\n", "**/*.py", "Use when: ", '"quoted" and more',
])  # fmt: skip
SOUP = st.lists(PIECES, max_size=14).map("".join)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\u2028\u2029\x85\ufeff"), max_size=40)


def applied(text: str, found: FrontMatter) -> str:
    """Return a text with every repair written into it."""
    lines = text.split("\n")
    for one in reversed(found.repairs):
        lines[one.line - 1 : one.line - 1 + one.lines] = one.repaired.split("\n") if one.repaired else []
    return "\n".join(lines)


def block_of(text: str) -> str:
    return text.removeprefix("---\n").partition("\n---\n")[0] + "\n"


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_every_form_that_strict_yaml_takes_is_read_the_same(form: Path) -> None:
    block = form.read_text(encoding="utf-8")
    expected = strict(block)
    assert expected is not None, "a form for this test must be strict YAML"
    assert mapping(block) == expected
    assert read(f"---\n{block}---\nbody\n") == FrontMatter(flat(expected), "body\n")


@settings(max_examples=400)
@given(SOUP)
@example("k: \n>\n  y\n")
@example("k: v\n: a\n")
@example("? a\n: b: c\n")
@example("k: |-\n     \nz: end\n")
def test_what_strict_yaml_takes_is_read_the_same_whatever_it_is(soup: str) -> None:
    block = f"k: {soup}\nz: end\n"
    expected = strict(block)
    if expected is None or "\n---" in block:
        return
    found = read(f"---\n{block}---\n")
    assert found.fields == flat(expected)
    assert not found.repairs


@settings(max_examples=400)
@given(SOUP, st.booleans())
@example("Use when: it fails", True)
@example('"quoted" and more\n  and: more', True)
@example("[a] b\n  - c\n - d", True)
@example("\n? \n? ''", False)
@example("\n  name: x\n[", True)
def test_what_is_proposed_is_read_by_strict_yaml_as_we_read_the_original(soup: str, keyed: bool) -> None:  # noqa: FBT001
    text = f"---\n{'k: ' * keyed}{soup}\nz: end\n---\nbody"
    found = read(text)
    if not found.repairs or found.body != "body":
        return
    assert strict(block_of(text)) is None, "nothing is repaired that strict YAML takes"
    assert flat(strict(block_of(applied(text, found))) or {}) == found.fields
    assert read(applied(text, found)).fields == found.fields


@given(st.text(max_size=300))
def test_nothing_raises_and_no_body_is_lost(text: str) -> None:
    for whole in (text, f"---\n{text}\n---\n", f"---\n{text}", f"\ufeff---\r\n{text}"):
        found = read(whole)
        assert set(map(type, found.fields.values())) <= {str, list}
        assert whole.replace("\r\n", "\n").replace("\r", "\n").endswith(found.body)
        read_yaml(whole)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_text(data: bytes) -> None:
    text, repairs = decode(data)
    assert "\ud800" not in text
    assert not repairs or repairs[0].code == "encoding"


@given(st.dictionaries(WORDS.filter("<<".__ne__), WORDS, max_size=5))
def test_what_a_yaml_library_writes_comes_back(fields: dict[str, str]) -> None:
    import io

    written = io.StringIO()
    YAML(typ="safe", pure=True).dump(fields, written)
    expected = strict(written.getvalue())
    if expected is not None and not any("---" in value for value in fields.values()):
        assert read(f"---\n{written.getvalue()}---\n").fields == flat(expected)


@pytest.mark.parametrize(
    ("block", "fields", "code"),
    [
        ("description: Use when: it fails\n", {"description": "Use when: it fails"}, "colon"),
        ('description: "quoted" and more\n', {"description": '"quoted" and more'}, "trailing"),
        ('description: "One" and "two"\n', {"description": '"One" and "two"'}, "trailing"),
        ("description: 'don't stop' # note\n", {"description": "don't stop"}, "trailing"),
        ('description: "He said "hi" twice"\n', {"description": 'He said "hi" twice'}, "trailing"),
        ("argument-hint: [file] [--fast]\n", {"argument-hint": "[file] [--fast]"}, "trailing"),
        ("globs: **/*.py # all\n", {"globs": "**/*.py"}, "alias"),
        ("globs: [*.py, *.ts]\n", {"globs": ["*.py", "*.ts"]}, "alias"),
        ("name: @scope/tool\n", {"name": "@scope/tool"}, "reserved"),
        ("name: `tool`\n", {"name": "`tool`"}, "reserved"),
        ('description: "never closed\nname: x\n', {"description": "never closed", "name": "x"}, "unclosed-quote"),
        ("description: '\n", {"description": "'"}, "unclosed-quote"),
        ("tools: [Read, Grep\nname: x\n", {"tools": "[Read, Grep", "name": "x"}, "bracket"),
        ("description: | text\n  more\n", {"description": "text\nmore"}, "block-header"),
        ("name:\tx\n", {"name": "x"}, "tab"),
        ("tools:\n\t- Read\n\t- Grep\n", {"tools": ["Read", "Grep"]}, "tab"),
        ("name: x\ndescription: one\ntwo\n", {"name": "x", "description": "one two"}, "no-key"),
        ("name: x\n  description: y\n", {"name": "x", "description": "y"}, "colon"),
        (" name: x\ndescription: y\n", {"name": "x", "description": "y"}, "indentation"),
        ("name:x\ndescription: y\n", {"name": "x", "description": "y"}, "colon-space"),
        ("name: x\nname: y\n", {"name": "x"}, "duplicate-key"),
        ("tools:\n  - Read\n - Grep\n", {"tools": ["Read", "Grep"]}, "indentation"),
        ("metadata:\n  note: a: b\n  author: me\n", {"metadata.note": "a: b", "metadata.author": "me"}, "colon"),
        ("name: a\x00b\n", {"name": "ab"}, "control"),
        ("name: x\n- stray\n", {"name": "x - stray"}, "no-key"),
        ("stray words\nname: x\n", {"name": "x"}, "no-key"),
    ],
)
def test_what_strict_yaml_refuses_is_read_for_what_it_plainly_means(
    block: str, fields: dict[str, object], code: str
) -> None:
    assert strict(block) is None
    text = f"---\n{block}---\nbody"
    found = read(text)
    assert (found.fields, found.body) == (fields, "body")
    assert code in {repair.code for repair in found.repairs}
    assert flat(strict(block_of(applied(text, found))) or {}) == fields


def test_a_repair_says_where_and_how_the_line_would_look() -> None:
    found = read("---\nname: x\ndescription: Use when: it fails\n---\n")
    assert [(one.line, one.repaired, one.lines) for one in found.repairs] == [
        (3, 'description: "Use when: it fails"', 1)
    ]
    assert "colon" in found.repairs[0].message


@pytest.mark.parametrize(
    ("text", "fields", "body", "codes"),
    [
        ("no front matter\n", {}, "no front matter\n", []),
        ("---\n---\nbody", {}, "body", []),
        ("\ufeff---\r\nname: x\r\n---\r\nbody\r\n", {"name": "x"}, "body\n", []),
        ("---  \nname: x\n--- \t\nbody", {"name": "x"}, "body", []),
        ("---\nname: x\n...\n---\nbody", {"name": "x"}, "body", []),
        ("---\nname: x\nmodel: y\n\n# Body\n", {"name": "x", "model": "y"}, "\n# Body\n", ["unclosed"]),
        ("---\nname: x\n...\nbody\n", {"name": "x"}, "body\n", ["unclosed"]),
        ("---\nname: x\n-----\nbody\n", {"name": "x"}, "body\n", ["unclosed"]),
        ("---\nname: x", {"name": "x"}, "", ["unclosed"]),
        ("---\na rule, and text\n", {}, "---\na rule, and text\n", []),
        ("\n\n---\nname: x\n---\nbody", {"name": "x"}, "body", ["not-first"]),
        ("\n---\nnote: x\n---\nbody", {}, "\n---\nnote: x\n---\nbody", []),
    ],
)
def test_the_block_is_found_where_it_ends(text: str, fields: dict[str, str], body: str, codes: list[str]) -> None:
    found = read(text)
    assert (found.fields, found.body) == (fields, body)
    assert [repair.code for repair in found.repairs] == codes
    if codes:
        repaired = read(applied(text, found))
        assert (repaired.fields, repaired.repairs) == (fields, ())


@pytest.mark.parametrize(
    ("data", "text", "encoding"),
    [
        ("name: é".encode(), "name: é", ""),
        ("name: é".encode("utf-8-sig"), "name: é", ""),
        ("name: “é”".encode("cp1252"), "name: “é”", "Windows-1252"),
        ("name: é".encode("utf-16"), "name: é", "UTF-16"),
        (b"\xfe\xff" + "name: é".encode("utf-16-be"), "name: é", "UTF-16"),
        (b"name: \x81", "name: \ufffd", "Windows-1252"),
        ("cut €".encode()[:-1], "cut ", ""),
    ],
)
def test_foreign_encodings_are_read_and_named(data: bytes, text: str, encoding: str) -> None:
    read_text, repairs = decode(data)
    assert read_text == text
    assert [encoding in repair.message for repair in repairs] == ([True] if encoding else [])


@pytest.mark.parametrize(
    "hostile",
    [
        "k: 'x\n", 'k: "x\n', "k: [x,\n", "k: {x: \n", "k: a: b\n", "- x\n", "k:\n", "k: |\n", "k: x\n", "\\", "[",
        "{a: ", "k: &a [*a]\n", ": ", "? ", "\t", "  k:\n", "'", '"', "#\n", "k: x\\n", "\n", " ", "k: >\n\n", "x y z ",
        "k: *x\n",
    ],
)  # fmt: skip
def test_time_grows_with_the_length_of_the_text_alone(hostile: str) -> None:
    def seconds(times: int) -> float:
        text = f"---\n{hostile * times}\n---\n"
        best = 9.0
        for _ in range(2):
            start = time.process_time()
            read(text)
            best = min(best, time.process_time() - start)
        return best

    short, long = seconds(500), seconds(4_000)
    assert long < 30 * max(short, 0.002), f"8 times the text took {long / short:.0f} times as long"


def test_aliases_that_multiply_are_not_followed() -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))]
    found = read("---\n" + "\n".join(lines) + "\n---\n")
    assert sum(len(item) for value in found.fields.values() for item in value) < 1_000_000

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.planted import HEADER, HEADER_VALUE, KEY, LOCKED_KEY, MARKS, PASSWORD, TEXTS, TOKENS, URL

from agent_studio.redaction import find_secrets, redact, redact_head
from agent_studio.redaction.formats import FORMATS
from agent_studio.redaction.stream import Stream

TAIL = "aB3dE5gH7jK9mN2pQ4sT6vW8yZ1bC3eF5hJ7"
planted = st.sampled_from(TEXTS)


def leaks(text: str) -> list[bytes]:
    data = text.encode("utf-8", "replace")
    return [mark for mark in MARKS if mark in data]


@pytest.mark.parametrize("token", TOKENS, ids=lambda token: token[:12])
def test_every_format_is_found_and_taken_out(token: str) -> None:
    text = f"first line\nvalue = {token} and more"
    (found,) = find_secrets(text)
    assert found.line == 2
    assert redact(text) in {
        f"first line\nvalue = {before}[REDACTED:{found.kind}]{after} and more"
        for before in ("", "1234567890", "abcdefghij1234.", ".") for after in ("", f"/{token[-36:]}")
    }  # fmt: skip


def test_every_beginning_of_a_format_has_a_sample() -> None:
    assert [fixed for _, fixed, _ in FORMATS if not any(fixed in token for token in TOKENS)] == []


@pytest.mark.parametrize(
    "key",
    [KEY, LOCKED_KEY, KEY.replace("RSA ", ""), KEY[:200], KEY.replace("\n", " "), LOCKED_KEY[:-30], LOCKED_KEY[:180]],
)
def test_a_key_in_armour_is_taken_out_whole(key: str) -> None:
    for text in (f"a\n{key}\nb", json.dumps({"a": f"a\n{key}\nb"}), json.dumps(json.dumps([key]))):
        clean = redact(text)
        assert not leaks(clean)
        assert "[REDACTED:private-key]" in clean
        assert clean.startswith(text[:1])
        if text.startswith(("{", '"')):
            json.loads(clean)


@pytest.mark.parametrize(
    "text",
    [
        "AKIA" + "IOSFODNN7EXAMPLE", "sk-ant-api03-" + "x" * 40, "ghp_your-token-here", "a sk-ant- prefix alone",
        "the pypi-server package", "https://user:password@host/db", "IATA codes", "", "redis://:@host", "a://b",
        "postgres://shop:${DB_PASSWORD}@db/shop", "postgres://shop:$DB_PASSWORD@db/shop", "https://u:***@host",
        "http://localhost:8080/@scope/package", "ssh://git@github.com:22/x", "mailto:a@b.c", "http://h:80/a:b@c",
        "-----BEGIN PRIVATE KEY----- marks where a key begins, and nobody should write one down anywhere",
        "Authorization: Bearer $TOKEN", "Authorization: Bearer YOUR_TOKEN_GOES_HERE_AND_THERE",
        "authorization is needed",
        "task-1234567890 risk-free disk-usage", "hf_hub_download_with_a_long_python_name",
        "key-value-store-of-the-shop",
    ],
)  # fmt: skip
def test_dummies_and_ordinary_words_are_left_alone(text: str) -> None:
    assert find_secrets(text) == []
    assert redact(text) == text


def test_only_the_password_of_a_url_and_the_value_of_a_header_go() -> None:
    assert redact(f"at {URL}!") == "at postgres://shop:[REDACTED:url-password]@db.internal:5432/shop!"
    assert redact(f"-H '{HEADER}'") == "-H 'Authorization: Bearer [REDACTED:authorization-header]'"
    assert redact(json.dumps({"Authorization": f"Basic {HEADER_VALUE}"})) == (
        '{"Authorization": "Basic [REDACTED:authorization-header]"}'
    )
    assert PASSWORD not in redact(URL.replace("/", "\\/"))
    assert not leaks(redact(f"X-API-Key: {HEADER_VALUE}"))


def test_a_dummy_word_beside_a_secret_excuses_nothing() -> None:
    assert redact(f"example: ghp_{TAIL} # placeholder") == "example: [REDACTED:github-token] # placeholder"
    assert redact(f"https://example.com:{PASSWORD}@example.com") != f"https://example.com:{PASSWORD}@example.com"


@given(st.text(), planted, st.text())
def test_what_is_redacted_holds_no_secret_and_redacting_again_changes_nothing(
    before: str, secret: str, after: str
) -> None:
    clean = redact(f"{before} {secret} {after}")
    assert not leaks(clean)
    assert redact(clean) == clean


def escaped(text: str, which: list[bool]) -> str:
    """Return a text as a JSON string that escapes some of its characters by their code."""
    wanted = iter(which * len(text))
    return "".join(
        f"\\u{ord(one):04x}" if next(wanted) and one != "\n" else json.dumps(one)[1:-1] for one in text
    )  # fmt: skip


@given(planted, st.lists(st.booleans(), min_size=1, max_size=9), st.sampled_from(["\n", "\t", "x\n", '"', "\\", "ü"]))
def test_escapes_of_json_hide_nothing(secret: str, which: list[bool], before: str) -> None:
    written = f'{{"a": "{escaped(before + secret, which)}", "b": "keep"}}'
    assert json.loads(written) == {"a": before + secret, "b": "keep"}
    found = json.loads(redact(written))
    assert not leaks(found["a"])
    assert found["b"] == "keep"
    again = json.loads(json.loads(redact(json.dumps(written))))
    assert not leaks(again["a"])


@given(st.integers(0, 9_000), planted, st.integers(1, 2_000))
def test_a_text_is_cut_only_after_it_was_redacted(lead: int, secret: str, limit: int) -> None:
    text = "y" * lead + f" {secret} {secret} {secret} " + "z" * 20_000
    clean = redact_head(text, limit)
    assert len(clean) <= limit
    assert not leaks(clean)
    assert redact(text).startswith(clean)


def test_what_stands_behind_two_overlapping_secrets_survives() -> None:
    inner = "sk-proj-" + "aB3" * 10
    text = json.dumps({"a": f"sk-ant-api03-{'xY7' * 8}-{inner}", "b": "keep"})
    assert json.loads(redact(text)) == {"a": "[REDACTED:anthropic-key]", "b": "keep"}


@given(st.lists(planted | st.sampled_from(["plain words\n", "....F..", "x" * 300, "a: b, ", "\n"])), st.data())
def test_a_stream_says_the_same_wherever_it_is_cut(parts: list[str], data: st.DataObject) -> None:
    text = " ".join(parts)
    stream, said, at = Stream(), [], 0
    while at < len(text):
        size = data.draw(st.integers(1, 200))
        said.append(stream.feed(text[at : at + size]))
        at += size
    said.append(stream.finish())
    assert "".join(said) == redact(text)


def test_a_stream_holds_nothing_back_that_cannot_become_a_secret() -> None:
    stream = Stream()
    assert stream.feed("tests/test_a.py ....") == "tests/test_a.py ...."
    assert stream.feed("..F..\n") == "..F..\n"
    assert stream.feed("see gh") == "see "
    assert stream.feed("p_") == ""
    assert stream.feed("no\n") == "ghp_no\n"
    assert stream.feed("-----BEGIN and so on\n" * 9_000).startswith("-----BEGIN and so on\n"), "not for ever"

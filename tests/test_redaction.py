from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_studio.redaction import find_secrets, redact

TAIL = "aB3dE5gH7jK9mN2pQ4sT6vW8yZ1bC3eF5hJ7"
SECRETS = {
    "anthropic-key": "sk-ant-" + "api03-" + TAIL,
    "openai-key": "sk-" + "proj-" + TAIL,
    "github-token": "gh" + "p_" + TAIL,
    "gitlab-token": "glp" + "at-" + TAIL[:20],
    "aws-access-key": "AK" + "IA" + "QWERTYUIOPASDFGH",
    "google-api-key": "AI" + "za" + TAIL[:35],
    "slack-token": "xo" + "xb-" + TAIL[:20],
    "stripe-key": "sk_" + "live_" + TAIL[:24],
    "npm-token": "np" + "m_" + TAIL,
    "pypi-token": "py" + "pi-" + TAIL + TAIL,
    "huggingface-token": "h" + "f_" + TAIL,
    "json-web-token": "ey" + "Jhbhbhbhbhbh.ey" + "Jzdzdzdzdzdz." + TAIL,
    "private-key": "-----BEGIN RSA " + "PRIVATE KEY-----\n" + TAIL * 3,
}


@pytest.mark.parametrize("kind", SECRETS)
def test_every_format_is_found_and_taken_out(kind: str) -> None:
    text = f"first line\nkey = {SECRETS[kind]} and more"
    (found,) = find_secrets(text)
    assert (found.kind, found.line) == (kind, 2)
    assert SECRETS[kind] not in redact(text)
    assert f"[REDACTED:{kind}]" in redact(text)
    assert redact(text).startswith("first line\nkey = ")


@pytest.mark.parametrize(
    "text",
    [
        "AKIA" + "IOSFODNN7EXAMPLE", "sk-ant-api03-" + "x" * 40, "ghp_your-token-here", "a sk-ant- prefix alone",
        "the pypi-server package", "https://user:password@host/db", "IATA codes", "",
    ],
)  # fmt: skip
def test_dummies_and_ordinary_words_are_left_alone(text: str) -> None:
    assert find_secrets(text) == []
    assert redact(text) == text


@given(st.text(), st.sampled_from(sorted(SECRETS)), st.text())
def test_what_is_redacted_holds_no_secret_and_redacting_again_changes_nothing(
    before: str, kind: str, after: str
) -> None:
    clean = redact(f"{before} {SECRETS[kind]} {after}")
    assert SECRETS[kind] not in clean
    assert redact(clean) == clean


def test_what_stands_behind_two_overlapping_secrets_survives() -> None:
    inner = "sk-proj-" + "aB3" * 10
    text = json.dumps({"a": f"sk-ant-api03-{'xY7' * 8}-{inner}", "b": "keep"})
    assert json.loads(redact(text)) == {"a": "[REDACTED:anthropic-key]", "b": "keep"}

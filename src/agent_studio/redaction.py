"""The one sink that everything we write passes through: secrets of known form become a label.

Formats are the providers' own token shapes, chosen narrow: each hit is meant to be a secret.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_FORMATS: tuple[tuple[str, str, str], ...] = (
    # kind, a fixed text every hit contains (a cheap first look), the format
    ("anthropic-key", "sk-ant-", r"sk-ant-(?:api|admin|oat|ort)[0-9]{2}-[A-Za-z0-9_-]{20,}"),
    ("openai-key", "sk-proj-", r"sk-proj-[A-Za-z0-9_-]{20,}"),
    ("github-token", "gh", r"\bgh[pousr]_[A-Za-z0-9]{36,}\b"),
    ("github-token", "github_pat_", r"\bgithub_pat_[A-Za-z0-9_]{22,}\b"),
    ("gitlab-token", "glpat-", r"\bglpat-[A-Za-z0-9_-]{20,}"),
    ("aws-access-key", "IA", r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    ("google-api-key", "AIza", r"\bAIza[A-Za-z0-9_-]{35}\b"),
    ("slack-token", "xox", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    ("stripe-key", "_live_", r"\b[rs]k_live_[A-Za-z0-9]{16,}"),
    ("npm-token", "npm_", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("pypi-token", "pypi-", r"\bpypi-[A-Za-z0-9_-]{40,}"),
    ("huggingface-token", "hf_", r"\bhf_[A-Za-z0-9]{30,}\b"),
    ("json-web-token", "eyJ", r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
    ("private-key", "-----BEGIN", r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----[A-Za-z0-9+/=\s\\]{40,}"),
)
_DUMMY = r"(?i)example|dummy|placeholder|redacted|your[-_]|x{6}"


class Finding(NamedTuple):
    """One secret found; the value itself is never kept."""

    kind: str
    line: int
    """Counted from 1."""


def find_secrets(text: str) -> list[Finding]:
    """Return what looks like a live credential, in order of appearance; dummies are passed over."""
    hits = sorted((match.start(), kind) for kind, match in _matches(text))
    return [Finding(kind, text.count("\n", 0, start) + 1) for start, kind in hits]


def redact(text: str) -> str:
    """Return the text with every secret replaced by `[REDACTED:kind]`."""
    spans: list[tuple[int, int, str]] = []
    for kind, match in sorted(_matches(text), key=lambda hit: hit[1].start()):
        if spans and match.start() < spans[-1][1]:  # one secret that looks like two
            start, end, first = spans.pop()
            spans.append((start, max(end, match.end()), first))
        else:
            spans.append((match.start(), match.end(), kind))
    for start, end, kind in reversed(spans):
        text = f"{text[:start]}[REDACTED:{kind}]{text[end:]}"
    return text


def _matches(text: str) -> Iterator[tuple[str, re.Match[str]]]:
    for kind, fixed, pattern in _FORMATS:
        if fixed in text:
            for match in re.finditer(pattern, text):
                if not re.search(_DUMMY, match.group()):
                    yield kind, match

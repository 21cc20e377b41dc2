"""What is asked of the knowledge base, and what it answers. Plain data; nothing here reads or ranks."""

from __future__ import annotations

from typing import NamedTuple

DOMAINS = ("skill", "agent", "command", "workflow", "hook", "rule", "doc")
"""What kind of thing an artifact is."""
COMPLEXITIES = ("LOW", "MEDIUM", "HIGH", "EPIC")


class Query(NamedTuple):
    """A question to the knowledge base."""

    text: str
    limit: int = 10
    domain: str | None = None
    """skill, agent, command, workflow, hook, rule or doc."""
    tags: tuple[str, ...] = ()
    """All of them must be there."""
    complexity: str | None = None
    """LOW, MEDIUM, HIGH or EPIC."""
    tools: tuple[str, ...] = ()
    """All of them must be among the artifact's tools."""
    deprecated: bool | None = None
    """True: deprecated ones only; False: none of them; None: both."""
    source: str | None = None
    """project, user or plugin:<name>."""
    include_test: bool = False
    """Also rows of generated test artifacts."""
    explain: bool = False
    """Each hit says what its score is made of."""
    semantic: bool = True
    """Also by meaning, where the extra is installed and vectors are there."""


class Entry(NamedTuple):
    """One artifact, as the index has it."""

    id: int
    name: str
    path: str
    """From the project's root, with `/`; those of the user start with `~/`."""
    description: str
    domain: str
    complexity: str
    use_cases: str
    """Joined by `;`, as are `tools` and `tags`."""
    tools: str
    deprecated: bool
    alias: str
    tags: str
    source: str
    sha256: str
    size_bytes: int
    mtime_ns: int
    hidden: bool
    """The client does not offer it to the model."""
    usage_count: int
    last_used: str
    """RFC 3339 UTC, or empty."""


class Part(NamedTuple):
    """One part of a score."""

    name: str
    points: float
    said: str = ""
    """The words or the field that earned it."""


class Hit(NamedTuple):
    """One artifact that answers a question."""

    entry: Entry
    score: float
    """Comparable within one answer only."""
    fits: float
    """0 to 1: how much of what the question says is said by the artifact too, rare words counting more."""
    snippet: str
    marks: tuple[tuple[int, int], ...] = ()
    """Start and end of each matched word in the snippet."""
    copies: tuple[str, ...] = ()
    """Paths of identical files."""
    explanation: tuple[Part, ...] = ()
    """When it was asked for."""


class Answer(NamedTuple):
    """The best hits for a question, best first."""

    query: Query
    hits: tuple[Hit, ...]
    did_you_mean: str | None
    """The question as it was searched where words were misspelt; the nearest name where nothing fits."""
    fits: float
    """0.5 to 1: how sure it is that the question is about what the artifacts are about; 0 when nothing fits."""
    repaired: tuple[tuple[str, str], ...] = ()
    """Words that were searched as others."""

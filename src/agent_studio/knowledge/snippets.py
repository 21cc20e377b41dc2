"""The passage of an artifact that answers a question best, with the words that match."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agent_studio.knowledge.words import fold, stem

if TYPE_CHECKING:
    from agent_studio.knowledge.answers import Entry
    from agent_studio.knowledge.questions import Question

LENGTH = 160
_WORD = re.compile(r"[^\W_]+")


def snippet(entry: Entry, question: Question) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Return up to 160 characters and the start and end of each match in them."""
    text = " ".join(entry.description.split())
    text = text if len(text) <= LENGTH else text[: LENGTH - 1].rsplit(" ", 1)[0] + "…"
    wanted = {term.stem for term in question.terms}
    marks = tuple(match.span() for match in _WORD.finditer(text) if stem(fold(match[0])) in wanted)
    return text, marks

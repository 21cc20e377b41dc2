"""How texts are cut into words: folded, without accents, `fooBar` as one and as two, stems in one form.

Scripts that write no spaces between words are cut into pairs of characters.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from agent_studio.knowledge import stemming

LONGEST = 40
"""Characters of a word that count; what is longer is a hash or a key."""
_WORD = re.compile(r"c\+\+|\b[cf]#(?!\w)|[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LETTERS = re.compile(r"[^\W_]+")
_ACCENTED = "[\u00c0-\u024f\u0300-\u036f\u0386-\u03ce\u0400-\u045f\u0591-\u05c7\u064b-\u065f\u1e00-\u1fff]"
_UNSPACED = "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
"""Compiled by the first text that is not ASCII: a question seldom is."""
COMMON = frozenset(
    """a about after again all also am an and any are as at be because been before being below between both but by can
    cant could did do does doesnt doing dont down during each few for from further get give got had has have having he
    help her here hers him his how i id if ill im in into is it its ive just let lets like make me might mine more most
    must my need needs no nor not now of off on once only or other our ours out over own please same shall she should so
    some such than that the their theirs them then there these they this those through to too under until up us very
    want wants was we were what when where whether which while who whom whose why will with would you your
    yours""".split()  # noqa: SIM905 - a list of texts would be 120 lines
)
"""Words that say nothing about what is looked for."""


def fold(text: str) -> str:
    """Return a text in lower case and without accents."""
    if text.isascii():
        return text.lower()
    return re.sub(_ACCENTED, _plain, text.casefold())


def words(text: str) -> list[str]:
    """Return the words of a text, folded, in their order; `writing-migrations` is two."""
    found = _WORD.findall(fold(text))
    if text.isascii() or not re.search(_UNSPACED, text):
        return found
    return [part for word in found for part in (_pairs(word) if re.search(_UNSPACED, word) else (word,))]


def humps(text: str) -> list[str]:
    """Return the words inside words: `fooBar` has foo and bar; words without humps have none."""
    if not _HUMP.search(text):
        return []
    return [inner for word in _LETTERS.findall(text) if _HUMP.search(word) for inner in apart(word)]


def apart(text: str) -> list[str]:
    """Return the words of a text, those inside words in their place."""
    return words(_HUMP.sub(" ", text))


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """Return the form that a word has in the index."""
    return stemming.stem(word[:LONGEST])


def _plain(match: re.Match[str]) -> str:
    """Return a letter without its accents, and nothing for an accent that stands alone."""
    apart = unicodedata.normalize("NFD", match[0])
    return "".join(sign for sign in apart if not unicodedata.combining(sign))


def _pairs(word: str) -> list[str]:
    return [word[at : at + 2] for at in range(max(1, len(word) - 1))]


KINDS = {
    "agent": "agent", "subag": "agent", "skill": "skill", "command": "command", "workflow": "workflow", "hook": "hook",
    "rule": "rule",
    # a question that names a profession looks for somebody who has it
    **dict.fromkeys(map(stem, ("specialist", "expert", "engineer", "architect", "developer", "analyst")), "agent"),
}  # fmt: skip
"""Stems that say which kind of artifact is looked for."""

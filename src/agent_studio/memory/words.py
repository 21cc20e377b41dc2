"""How the words of a note are read: for search, and to know whether the same was said before."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
"""Scripts that put no space between words: pairs of letters stand for them."""
_STOP = frozenset((
    "a", "about", "an", "and", "any", "are", "as", "at", "be", "been", "before", "but", "by", "can", "could", "did",
    "do", "does", "done", "for", "from", "get", "gets", "had", "has", "have", "how", "i", "if", "in", "into", "is",
    "it", "its", "may", "me", "my", "no", "not", "of", "on", "one", "or", "our", "out", "over", "own", "s", "shall",
    "should", "so", "some", "such", "t", "than", "that", "the", "their", "them", "then", "there", "these", "they",
    "this", "those", "to", "too", "up", "us", "was", "we", "were", "what", "when", "where", "whether", "which", "who",
    "whose", "why", "will", "with", "would", "you", "your", "der", "die", "das", "den", "dem", "des", "ein", "eine",
    "einer", "und", "oder", "ist", "sind", "war", "wie", "wo", "wann", "welche", "welcher", "welches", "mit", "von",
    "zu", "im", "am", "auf", "für", "bei", "nicht", "es", "sie", "er", "wir",
))  # fmt: skip
_NEGATIONS = frozenset((
    "no", "not", "never", "none", "nothing", "without", "cannot", "avoid", "don't", "doesn't", "isn't", "mustn't",
    "shouldn't", "won't", "can't", "nicht", "nie", "kein", "keine", "ohne", "always", "off", "enable", "disable",
    "enabled", "disabled", "true", "false", "before", "after", "increase", "decrease", "raise", "lower",
))  # fmt: skip
"""Words that turn a sentence round: two notes that differ in one are two notes."""
_ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ers", "ed", "es", "er", "s")
_SHORTEST = 3


def normal(text: str) -> str:
    """Return a text in one form of letters, cases and spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def fingerprint(text: str) -> str:
    """Return what two texts share that differ only in case, spaces, forms of letters and punctuation at their ends."""
    return hashlib.sha256(normal(text).strip(" .,;:!?-*_`").encode("utf-8", "replace")).hexdigest()[:32]


def words(text: str) -> list[str]:
    """Return the words of a text in order, small; names are split at humps and underscores, and kept whole too."""
    found: list[str] = []
    for whole in _WORD.findall(text if text.isascii() else unicodedata.normalize("NFKC", text)):
        if whole.isascii() and whole.islower():
            found.append(whole)
        elif _UNSPACED.search(whole):
            found += _pairs(whole)
        else:
            found.append(whole.casefold())
            parts = _HUMPS.split(whole) if whole[1:] != whole[1:].lower() else ()
            found += [part.casefold() for part in parts if len(parts) > 1]
    return found


def telling(text: str) -> list[str]:
    """Return the words that a question is about; all of them where none is left."""
    found = words(text)
    return [word for word in found if word not in _STOP] or found


def root(word: str) -> str:
    """Return a word without a common English ending; rough, and the same for all."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST:
            return word[: -len(ending)]
    return word


def content(text: str) -> list[str]:
    """Return the roots of the words that carry a note's meaning, in order; words that turn it round are among them."""
    return [
        word if word in _NEGATIONS else root(word) for word in words(text) if word in _NEGATIONS or word not in _STOP
    ]


def denies(left_over: Iterable[str]) -> bool:
    """Tell whether one of the words in which two notes differ turns one of them round."""
    return not _NEGATIONS.isdisjoint(left_over)


def turns(left_over: Collection[str]) -> bool:
    """Tell whether one of the words in which two notes differ may make them two: a number, or a negation."""
    return denies(left_over) or any(letter.isdigit() for word in left_over for letter in word)


def _pairs(text: str) -> list[str]:
    return [text[at : at + 2] for at in range(max(len(text) - 1, 1))]

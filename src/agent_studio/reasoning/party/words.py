"""Texts of models as they are kept and compared: bounded, without what acts on a terminal, equal only when the same."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

NEGATIONS = frozenset(
    [
        "not",
        "no",
        "never",
        "none",
        "cannot",
        "can't",
        "don't",
        "doesn't",
        "won't",
        "isn't",
        "aren't",
        "shouldn't",
        "mustn't",
        "without",
        "nicht",
        "kein",
        "keine",
        "nie",
        "niemals",
        "ne",
        "pas",
        "jamais",
        "nunca",
        "não",
        "nicht",
        "non",
        "не",
        "нет",
        "никогда",
    ]
)
"""Words that turn a claim into its opposite; used only to deny that two claims agree."""
_QUOTES = "\"'`“”‘’«»„"
_WORD = re.compile(r"[\w'’+#]+")
_CUT = " […]"


def normal(text: str) -> str:
    """Return what two texts share when they are the same words: composed, folded, without quotes and a last full stop.

    Signs keep their meaning: `C`, `C#` and `10⁶`, `106` stay apart.
    """
    folded = " ".join(unicodedata.normalize("NFC", text).casefold().split())
    bare = folded.strip(_QUOTES + " ")
    return bare[:-1].rstrip() if bare.endswith(("。", ".")) and not bare.endswith("..") else bare


def are_opposed(one: str, other: str) -> bool:
    """Tell whether two claims differ by a negation alone; a no says nothing, for meaning is not looked at."""
    first, second = _words(one), _words(other)
    negated = [bool(NEGATIONS & set(words)) for words in (first, second)]
    return negated[0] != negated[1] and _without(first) == _without(second)


def is_known(argument: str, revealed: list[str]) -> bool:
    """Tell whether an argument says no more than one of the texts that were shown before."""
    said = normal(argument)
    if not said:
        return True
    words = set(_words(argument))
    return any(said in normal(text) or (words and words <= set(_words(text))) for text in revealed)


def clean(value: Any, most: int) -> str:
    """Return a text of at most `most` characters, what acts on a terminal made spaces; nothing for no text."""
    if not isinstance(value, str):
        return ""
    shown = value[: 4 * most].replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode()
    kept = "".join(one if one == "\n" or not _acts(one) else " " for one in shown).strip()
    return kept if len(kept) <= most else kept[: most - len(_CUT)].rstrip() + _CUT


def one_line(value: Any, most: int) -> str:
    """Return the same on one line."""
    return " ".join(clean(value, most).split())


def _acts(character: str) -> bool:
    """Tell whether a character has no glyph: controls, direction marks, unpaired surrogates."""
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} and character != "\u200d"


def _words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFC", text).casefold().replace("’", "'"))


def _without(words: list[str]) -> list[str]:
    return [
        word for word in words if word not in NEGATIONS | {"do", "does", "should", "must", "is", "are", "be", "will"}
    ]

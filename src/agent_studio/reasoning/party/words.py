"""Texts of models as they are kept and compared: bounded, without what acts on a terminal, equal only when the same."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_NO = """
not no never none cannot can't don't doesn't won't isn't aren't shouldn't mustn't without nicht kein keine nie
niemals ne pas jamais nunca não non не нет никогда
"""
NEGATIONS = frozenset(_NO.split())
"""Words that turn a claim into its opposite; used only to deny that two claims agree."""
_WHO = """
i me my we us our you your he she they them their it its this that these those there here who which what a an the of
to by in on at for from with and or but so as than too also more most much very now then after before because since
if is are was were be been being am do does did have has had will would should can could may not no yes agree agrees
agreed agreeing agreement majority minority others other another everyone everybody all both one position positions
opinion opinions view views vote votes voted voting consensus convinced convincing convinces persuaded persuasive
team colleagues peers panel experts seat seats argument arguments think thought believe feel same reconsidered
reconsider reconsidering changed change changing mind right correct wrong better best good great fine ok okay sounds
seems looks prefer prefers preferred support supports supported reading read seeing seen hearing heard saw option
options choice choose side join joining follow following go going
"""
_APPEALS = frozenset(_WHO.split())
"""Words of which no reason is made: they say who holds something, or that it is held."""
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


def is_known(argument: str, revealed: list[str], names: Iterable[str] = ()) -> bool:
    """Tell whether an argument says no more than one of the texts that were shown before, or nothing but who agrees.

    `names` are what is chosen among: to name an option is no reason for it.
    """
    said, chosen = normal(argument), {word for name in names for word in _words(name)}
    words = set(_words(argument)) - _APPEALS - chosen
    if not words or all(word.isdecimal() for word in words):
        return True
    return any(said in normal(text) or words <= set(_words(text)) for text in revealed)


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

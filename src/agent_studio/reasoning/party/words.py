"""Texts of models as they are kept and compared: bounded, without what acts on a terminal, equal only when the same."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

from agent_studio.reasoning.party.negation import words

if TYPE_CHECKING:
    from collections.abc import Iterable

_WHO = """
i me my we us our you your he she they them their it its this that these those there here who which what a an the of
to by in on at for from with and or but so as than too also more most much very now then after before because since
if is are was were be been being am do does did have has had will would should can could may not no yes same
reconsidered reconsider reconsidering changed change changing mind right correct wrong better best good great fine ok
okay sounds seems looks prefer prefers preferred support supports supported reading read seeing seen hearing heard saw
option options choice choose side join joining follow following go going think thought believe feel indeed
"""
_AGREED = """
agree agrees agreed agreeing agreement majority minority others other another everyone everybody all both position
positions opinion opinions view views vote votes voted voting consensus convinced convincing convinces persuaded
persuasive team colleagues peers panel experts seat seats argument arguments compelling unanimous unanimously
outvoted overruled
"""
_APPEALS = frozenset(_AGREED.split())
"""Words that say who holds something."""
_FILLERS = frozenset(_WHO.split()) | _APPEALS
"""Words of which no reason is made."""
_OF_ENGLISH = """
the and of with from that this are were would which under than their they has have had been by for because without
within each every one two not it its while when after before more less only there into must can should could does our
your in on at there here where these those already today yesterday tomorrow percent lower higher down up across between
through during about again still yet both some any
"""
_ENGLISH = frozenset(_OF_ENGLISH.split())
_NEW_LEAST, _NEW_AMONG_APPEALS = 3, 5
"""Words of its own that a reason needs, and where it speaks of who agrees as well."""
_NEW_SHARE = 0.5
"""Which part of what a reason says nobody may have said before it."""
_QUOTES = "\"'`“”‘’«»„"
_CUT = " […]"


def normal(text: str) -> str:
    """Return what two texts share when they are the same words: composed, folded, without quotes and a last full stop.

    Signs keep their meaning: `C`, `C#` and `10⁶`, `106` stay apart.
    """
    folded = " ".join(unicodedata.normalize("NFC", text).casefold().split())
    bare = folded.strip(_QUOTES + " ")
    return bare[:-1].rstrip() if bare.endswith(("。", ".")) and not bare.endswith("..") else bare


def is_known_quote(quote: str, revealed: list[str]) -> bool:
    """Tell whether a quotation was shown before, whole or in parts."""
    said, parts = normal(quote), set(words(quote))
    return any(said in normal(text) or parts <= set(words(text)) for text in revealed)


def is_argument(reason: str, revealed: list[str], names: Iterable[str] = ()) -> bool:
    """Tell whether a text is long enough, and says enough that was not shown before, to be a reason of its own.

    That others agree, and the `names` of what is chosen among, are none. A text of a language whose words of agreement
    are not known here (any but English) is never one: a quotation that is verified speaks every language.
    """
    listed = words(reason)
    if not reason.isascii() or not _ENGLISH.intersection(listed):
        return False
    chosen = {word for name in names for word in words(name)}
    said = {one for one in listed if one not in _FILLERS | chosen and not one.isdecimal() and not one.endswith("ly")}
    fresh = said - {word for text in revealed for word in words(text)}
    least = _NEW_AMONG_APPEALS if _APPEALS.intersection(listed) else _NEW_LEAST
    return len(fresh) >= least and len(fresh) >= _NEW_SHARE * len(said)


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

"""Whether two claims deny each other, as far as their words tell: negations, contractions, pairs of opposites.

Meaning is not looked at. A yes is used only to deny that two claims agree; where the words that differ are of a
language whose negation is not known here, nothing is said, and who asks must not take that for agreement.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

_NO = """
not no never none neither nor cannot without nothing nobody avoid avoids avoided avoiding refrain nicht kein keine
keinen keinem keiner nie niemals ohne ne pas jamais sans aucun aucune jamás jamais nunca nunca sin ningun ninguna não
nao sem nem non mai senza niet geen nooit zonder inte aldrig ikke aldri ej nie bez ei tidak jangan bukan nu không không
hayır değil не нет ни никогда без ні немає
"""
NEGATIONS = frozenset(_NO.split())
"""Words that turn a claim into its opposite."""
_BARE = """
can could do does did is are was were has have had wo will would should must need might ought shall may ai
"""
_CONTRACTED = frozenset(("cant", "cannot", "wont", *(f"{one}nt" for one in _BARE.split())))
_HELP = """
do does did should must will would can could may might shall is are was were be been being has have had need needs to it
we you they i the a an please just really ever at all any yes
"""
_HELPS = frozenset(_HELP.split())
"""Words that come and go with a negation."""
_DO = "use using adopt choose take keep pick want go with let us have run do make prefer"
"""Words that say no more than that something is to be done: `avoid X` denies `use X`."""
_PAIRS = """
true/false keep/drop keep/remove keep/replace use/avoid adopt/avoid adopt/reject accept/reject approve/reject
allow/forbid allow/deny permit/forbid enable/disable add/remove start/stop begin/stop increase/decrease raise/lower
more/less always/never on/off safe/dangerous good/bad right/wrong before/after for/against buy/build sync/async
support/oppose merge/split now/later include/exclude open/close high/low possible/impossible
"""
_OPPOSITES = frozenset(frozenset(pair.split("/")) for pair in _PAIRS.split())
_PREFIXES = ("un", "in", "im", "ir", "il", "non", "dis")
_SIGNS = "不没沒無无未非否別别勿莫"
"""Signs that negate in scripts which put no spaces between words."""
_UNSIGNED = str.maketrans(dict.fromkeys(_SIGNS, ""))
_STEM_LEAST = 3
_ALIKE = 0.6
"""From which share of words in common two claims that differ by a negation speak of the same."""
_APOSTROPHES = str.maketrans(dict.fromkeys("’＇ʼ‘`´′", "'"))
_WORD = re.compile(r"[\w'+#]+")


class _Claim(NamedTuple):
    words: frozenset[str]
    """What it speaks of, as stems."""
    is_negated: bool
    raw: frozenset[str]


def are_opposed(one: str, other: str) -> bool:
    """Tell whether two claims deny each other; a no says only that their words do not show it."""
    first, second = _read(one), _read(other)
    if _differ_by_sign(one, other):
        return True
    if first.is_negated != second.is_negated:
        return _is_same(first.words, second.words)
    return not first.is_negated and _differ_by_opposites(first.words, second.words)


def are_judged(one: str, other: str) -> bool:
    """Tell whether the words in which two claims differ are of a script whose negations are known here."""
    differing = _read(one).raw ^ _read(other).raw
    return all(character.isascii() for word in differing for character in word)


def words(text: str) -> list[str]:
    """Return the words of a text, folded, with plain apostrophes."""
    return _WORD.findall(unicodedata.normalize("NFC", text).casefold().translate(_APOSTROPHES))


@lru_cache(maxsize=4096)
def _read(claim: str) -> _Claim:
    found, negations = set(), 0
    listed = words(claim)
    for word in listed:
        bare = word.replace("'", "")
        if word in NEGATIONS or bare in NEGATIONS or bare in _CONTRACTED or word.endswith("n't"):
            negations += 1
        elif word not in _HELPS:
            found.add(_stem(word))
    return _Claim(frozenset(found), negations % 2 == 1, frozenset(listed))


def _stem(word: str) -> str:
    for ending in ("ing", "es", "ed", "s"):
        if (
            word.isascii()
            and word.endswith(ending)
            and len(word) - len(ending) >= _STEM_LEAST
            and not word.endswith("ss")
        ):
            return word.removesuffix(ending).removesuffix("e")
    return word.removesuffix("e") if word.isascii() and len(word) > _STEM_LEAST else word


_DONE = frozenset(_stem(word) for word in _DO.split())


def _is_same(first: frozenset[str], second: frozenset[str]) -> bool:
    """Tell whether claims of which one is negated speak of the same thing."""
    if first - _DONE == second - _DONE:
        return True
    both, whole = first & second, first | second
    return len(both) > 1 and len(both) / len(whole) >= _ALIKE


def _differ_by_sign(one: str, other: str) -> bool:
    signs = [sum(text.count(sign) for sign in _SIGNS) for text in (one, other)]
    return signs[0] != signs[1] and one.translate(_UNSIGNED).strip() == other.translate(_UNSIGNED).strip()


def _differ_by_opposites(first: frozenset[str], second: frozenset[str]) -> bool:
    left, right = first - second, second - first
    if len(left) != 1 or len(right) != 1:
        return False
    (mine,), (theirs,) = left, right
    if frozenset((mine, theirs)) in _STEMMED:
        return True
    short, long = sorted((mine, theirs), key=len)
    return len(short) >= _STEM_LEAST and any(long == prefix + short for prefix in _PREFIXES)


_STEMMED = frozenset(frozenset(_stem(word) for word in pair) for pair in _OPPOSITES)

"""Porter's stemmer: `reviewing`, `reviews` and `reviewed` are one word.

The algorithm of M. F. Porter, "An algorithm for suffix stripping", Program 14 (1980) 130-137,
https://tartarus.org/martin/PorterStemmer/def.txt
"""

from __future__ import annotations

import re

_C, _V = "[^aeiou]", "[aeiouy]"
_CC, _VV = "[^aeiou][^aeiouy]*", "[aeiouy][aeiou]*"
_M_GT_0 = re.compile(f"^({_CC})?{_VV}{_CC}")
_M_EQ_1 = re.compile(f"^({_CC})?{_VV}{_CC}({_VV})?$")
_M_GT_1 = re.compile(f"^({_CC})?{_VV}{_CC}{_VV}{_CC}")
_HAS_VOWEL = re.compile(f"^({_CC})?{_V}")
_ENDS_CVC = re.compile(f"^{_CC}{_V}[^aeiouwxy]$")
_DOUBLE = re.compile(r"([^aeiouylsz])\1$")

_STEP_2 = (
    ("ational", "ate"), ("tional", "tion"), ("enci", "ence"), ("anci", "ance"), ("izer", "ize"), ("bli", "ble"),
    ("alli", "al"), ("entli", "ent"), ("eli", "e"), ("ousli", "ous"), ("ization", "ize"), ("ation", "ate"),
    ("ator", "ate"), ("alism", "al"), ("iveness", "ive"), ("fulness", "ful"), ("ousness", "ous"), ("aliti", "al"),
    ("iviti", "ive"), ("biliti", "ble"), ("logi", "log"),
)  # fmt: skip
_STEP_3 = (
    ("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", ""),
)  # fmt: skip
_STEP_4 = (
    "ement", "ance", "ence", "able", "ible", "ment", "ant", "ent", "ism", "ate", "iti", "ous", "ive", "ize", "al",
    "er", "ic", "ou",
)  # fmt: skip
_SHORTEST = 3


def stem(word: str) -> str:
    """Return the stem of a folded word; what is not written in the letters a to z stays as it is."""
    if len(word) < _SHORTEST or not (word.isascii() and word.isalpha()):
        return word
    word = word[0] + word[1:]
    word = _step_1c(_step_1b(_step_1a(word)))
    word = _replaced(_replaced(word, _STEP_2), _STEP_3)
    return _step_5(_step_4(word))


def _step_1a(word: str) -> str:
    if word.endswith(("sses", "ies")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _step_1b(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if _M_GT_0.match(word[:-3]) else word
    for ending in ("ed", "ing"):
        if word.endswith(ending):
            left = word.removesuffix(ending)
            return _restored(left) if _HAS_VOWEL.match(left) else word
    return word


def _restored(left: str) -> str:
    """Return what stood before `ed` or `ing`, mended: hop(p)ing, fil(e)ing."""
    if left.endswith(("at", "bl", "iz")):
        return left + "e"
    if _DOUBLE.search(left):
        return left[:-1]
    return left + "e" if _ENDS_CVC.match(left) else left


def _step_1c(word: str) -> str:
    return word[:-1] + "i" if word.endswith("y") and _HAS_VOWEL.match(word[:-1]) else word


def _replaced(word: str, endings: tuple[tuple[str, str], ...]) -> str:
    for ending, other in endings:
        if word.endswith(ending):
            left = word.removesuffix(ending)
            return left + other if _M_GT_0.match(left) else word
    return word


def _step_4(word: str) -> str:
    for ending in _STEP_4:
        if word.endswith(ending):
            left = word.removesuffix(ending)
            return left if _M_GT_1.match(left) else word
    if word.endswith(("sion", "tion")):
        left = word.removesuffix("ion")
        return left if _M_GT_1.match(left) else word
    return word


def _step_5(word: str) -> str:
    if word.endswith("e"):
        left = word[:-1]
        if _M_GT_1.match(left) or (_M_EQ_1.match(left) and not _ENDS_CVC.match(left)):
            word = left
    return word[:-1] if word.endswith("ll") and _M_GT_1.match(word) else word

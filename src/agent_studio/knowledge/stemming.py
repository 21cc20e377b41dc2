"""Porter's stemmer: `reviewing`, `reviews` and `reviewed` are one word, and so are `optimise` and `optimize`.

The algorithm of M. F. Porter, "An algorithm for suffix stripping", Program 14 (1980) 130-137,
https://tartarus.org/martin/PorterStemmer/def.txt, with two changes: a final y becomes i as in his later one
(https://snowballstem.org/algorithms/english/stemmer.html, step 1c), so that `deploy` and `deployments` meet, and
British spellings are taken for the American ones first.
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
_ENDS_CY = re.compile("(?<=.)[^aeiouy]y$")
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
_ISE = re.compile("^([a-z]{3,})is(e[ds]?|ers?|ing|able|ations?)$")
_NO_IZE = re.compile(
    "(?:[aouvwh]|pr|^upr|sunr|(?:pro|re|de|ur)m|(?:er|re|on|ex|in)c|(?:adv|exp)ert|treat|chast|pract|(?:han|ara)d)$"
)
"""What stands before an `ise` that is no `ize`: advise, enterprise, promise, exercise, concise, expertise."""
_YSE = re.compile("lys(e[ds]?|ers?|ing)$")
_OUR = re.compile("(behavi|col|fav|flav|harb|hon|hum|lab|neighb|rig|rum|sav|vap|vig|arm|endeav)our")
_OTHERS = (
    (re.compile("((?:canc|chann|lab|lev|mod|pan|trav|tunn)el)l(?=ed|ing|er)"), r"\1"),
    (re.compile("^(program)mes?$|(?<=[aeio]log)ues?$"), r"\1"), (re.compile("centre"), "center"),
    (re.compile("artefact"), "artifact"), (re.compile("(def|lic|off)ence"), r"\1ense"),
)  # fmt: skip


def stem(word: str) -> str:
    """Return the stem of a folded word; what is not written in the letters a to z stays as it is."""
    if len(word) < _SHORTEST or not (word.isascii() and word.isalpha()):
        return word
    word = _step_1c(_step_1b(_step_1a(american(word))))
    word = _replaced(_replaced(word, _STEP_2), _STEP_3)
    return _step_5(_step_4(word))


def american(word: str) -> str:
    """Return a folded word as it is spelt in America."""
    if (ise := _ISE.match(word)) and not _NO_IZE.search(ise[1]):
        return f"{ise[1]}iz{ise[2]}"
    word = _OUR.sub(r"\1or", _YSE.sub(r"lyz\1", word))
    for pattern, other in _OTHERS:
        word = pattern.sub(other, word)
    return word


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
    return word[:-1] + "i" if _ENDS_CY.search(word) else word


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

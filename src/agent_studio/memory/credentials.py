"""What in a note looks like a credential beside the forms that `redaction` knows: a password that is called one.

Better one sentence too many is refused than a password kept; whoever writes can say it in other words. What has
neither a known form nor a name beside it cannot be told from any other word.
"""

from __future__ import annotations

import re
import unicodedata

_NAMES = (
    r"(?:pass(?:word|wd|phrase|code)|pwd|(?:api|access|secret|private|auth|signing)[ _-]?(?:key|token)|secret|token)"
)
_CALLED = re.compile(
    rf"{_NAMES}s?[\"'`*]{{0,4}}\s{{0,4}}(?:[:=]|\bis\b|\blautet\b)\s{{0,4}}[\"'`]{{0,2}}(\S{{8,200}})", re.IGNORECASE
)
_LOGIN = re.compile(r"(?:-u|--user)[ =]{1,4}[\"']?[\w.@-]{1,80}:([^\s\"']{6,200})")
_PIN = re.compile(r"\b(?:PIN|pin code|PIN code)\b[^.\n\d]{0,40}?(?:[:=]|\bis\b)\s{0,4}(\d{4,8})\b")
_AWS = re.compile(r"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
_WORD_END = ".,;:!?)\"'`*]}"
_PUBLIC = re.compile(
    r"(?:sha|md|aes|rsa|hs|rs|es|ps|utf|base|bcrypt|scrypt|argon|pbkdf|oauth|x509|ed25519|http|ftp|uuid)[\w-]*\d|"
    r"[$%<{\[(]|\d+(?:[a-z]{1,10})?$|[a-z]+(?:[_/.-][a-z0-9]+)+$|[A-Z]+(?:_[A-Z0-9]+)+$|n-[0-9a-f]{12}$", re.IGNORECASE,
)  # fmt: skip
"""Values that name an algorithm, a variable, a place or an amount."""


def named(text: str) -> str:
    """Return what kind of credential a text seems to hold, or nothing; `text` is without letters that are not seen."""
    if any(_is_secret(match[1]) for match in _CALLED.finditer(text)):
        return "password or token"
    if any(_is_mixed(match[1]) for match in _LOGIN.finditer(text)):
        return "login"
    if _PIN.search(text):
        return "PIN"
    if any(_is_key(match[0]) for match in _AWS.finditer(text)):
        return "secret key"
    return ""


def unhidden(text: str) -> str:
    """Return a text without the letters that are not seen, among which a known form may hide."""
    return "".join(one for one in text if one in "\n\t" or unicodedata.category(one) not in {"Cf", "Cc", "Mn"})


def _is_secret(value: str) -> bool:
    word = value.rstrip(_WORD_END)
    return len(word) >= 8 and not _PUBLIC.match(word) and _is_mixed(word)  # noqa: PLR2004 - shorter ones are words


def _is_mixed(word: str) -> bool:
    """Tell whether a word is made of letters and digits, as no word of a sentence is."""
    return any(one.isdigit() for one in word) and any(one.isalpha() for one in word)


def _is_key(word: str) -> bool:
    kinds = (str.isdigit, str.islower, str.isupper)
    digits, small, large = (sum(map(kind, word)) for kind in kinds)
    return digits >= 1 and min(small, large) >= 5 and word.count("/") <= 3  # noqa: PLR2004 - a path has more

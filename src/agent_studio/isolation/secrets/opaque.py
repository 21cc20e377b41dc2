"""Values that say nothing to a reader: long, of mixed characters, without words. A secret of unknown form is one.

The measure is Shannon's entropy of the characters, which for a random text of length n is at most log2(n).
"""

from __future__ import annotations

import math
import re
from collections import Counter

_TOKEN = re.compile(r"[A-Za-z0-9_+-]{20,}={0,2}")
_WHOLE = re.compile(r"[A-Za-z0-9+/]{32,}={0,2}")
_HEX = re.compile(r"(?:[0-9a-f]{32,}|[0-9A-F]{32,})")
_UUID = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")
_LOOKED_AT = 8_192
_BITS, _HEX_BITS = 3.6, 3.0
_SLASH_EVERY = 12
"""Characters a slash of base64 has to itself at least; parts of a path are shorter."""


def is_opaque(value: str) -> bool:
    """Tell whether a value holds something that could be a secret of unknown form; UUIDs and paths do not."""
    value = value[:_LOOKED_AT]
    if _WHOLE.fullmatch(value) and value.count("/") * _SLASH_EVERY <= len(value) and is_random(value.replace("/", "")):
        return True
    if value.startswith(("/", "~", "./")) or value[1:3] in {":\\", ":/"}:
        return False
    return any(is_random(match[0]) for match in _TOKEN.finditer(_UUID.sub(" ", value)))


def is_random(token: str) -> bool:
    """Tell whether one word without separators looks drawn by lot."""
    if _HEX.fullmatch(token):
        return bool(re.search(r"[0-9]", token) and re.search(r"[A-Fa-f]", token)) and entropy(token) >= _HEX_BITS
    parts = re.split(r"[_-]", token)
    if max(map(len, parts)) < 12 and not any(_is_mixed(part) for part in parts):  # noqa: PLR2004 - words joined
        return False
    kinds = sum(bool(re.search(kind, token)) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    return kinds >= 2 and bool(re.search("[0-9]", token)) and entropy(token) >= _BITS  # noqa: PLR2004 - of three


def entropy(text: str) -> float:
    """Return the bits of information in a character of a text."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def _is_mixed(part: str) -> bool:
    """Tell whether letters and digits change places more than once."""
    return len(re.findall(r"[0-9](?=[A-Za-z])|[A-Za-z](?=[0-9])", part)) > 1

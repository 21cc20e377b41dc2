r"""What in a program's message may tell of a person or a machine: paths, accounts, addresses, this machine's own names.

The queries put `#` in place of what varies (`monitor.dialect.VARYING`), which is enough to count by; what leaves a
machine goes without these as well. A path is taken with what stands before its first `/` or `\`.
"""

from __future__ import annotations

import getpass
import re
import socket
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

_SHORTEST = 3
_NOBODYS = frozenset(("root", "localhost", "localdomain"))
"""Names that tell nothing of whose machine it is."""
_QUOTED = re.compile(
    r"""(?<!\w)(?:"[^"\n/\\]*+[/\\][^"\n]*+"|'[^'\n/\\]*+[/\\][^'\n]*+'(?!\w)|`[^`\n/\\]*+[/\\][^`\n]*+`)"""
)
_PATH = r"""(?:(?<!\w)[A-Za-z]:(?=[/\\]))?(?<![^\s:,;()"'`<>|=/\\])[^\s:,;()"'`<>|=/\\]*+[/\\][^\s:,;()"'`<>|]*+"""
_MAIL = r"(?<![\w.+%-])[\w.+%-]++@[\w.-]*\w"
_ACCOUNT = r"(?<!\w)~[^\W\d][\w.-]*"
_PERSONAL = re.compile(f"{_PATH}|{_MAIL}|{_ACCOUNT}")
"""Each looks at a text once, however long a word or a quotation is."""


def own_names() -> frozenset[str]:
    """Return what this machine, its user and the home folder are called, where that tells them from others."""
    host = socket.gethostname()
    found = {host, host.partition(".")[0]}
    with suppress(OSError, KeyError, ImportError):
        found.add(getpass.getuser())
    with suppress(RuntimeError):
        found |= {str(Path.home()), Path.home().name}
    return frozenset(one for one in found if len(one) >= _SHORTEST and one.casefold() not in _NOBODYS)


def without(text: str, own: frozenset[str]) -> str:
    """Return a message with `#` in place of all that; `own` are the names of this machine."""
    if own:
        text = _any_of(own).sub("#", text)
    return _PERSONAL.sub("#", _QUOTED.sub(_emptied, text))


@lru_cache(maxsize=8)
def _any_of(names: frozenset[str]) -> re.Pattern[str]:
    listed = "|".join(re.escape(name) for name in sorted(names, key=lambda name: (-len(name), name)))
    return re.compile(rf"(?<!\w)(?:{listed})(?!\w)", re.IGNORECASE)


def _emptied(found: re.Match[str]) -> str:
    quote = found[0][0]
    return f"{quote}#{quote}"

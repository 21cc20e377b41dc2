"""Which names a data path may consist of, on every platform at once.

A name that means something else on another system is refused on all of them: data written on Linux is
checked out on Windows and macOS.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from agent_studio.errors import UnsafePathError

MAX_NAME_BYTES = 200
"""Less than the 255 of most file systems: a temporary beside the file has a longer name."""
MAX_DEPTH = 32

# https://learn.microsoft.com/windows/win32/fileio/naming-a-file (read 2026-11)
_RESERVED = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | {
    f"{device}{digit}" for device in ("COM", "LPT") for digit in "0123456789¹²³"
}
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>"|?*\\:/]')
_PLAIN = re.compile(rf"[A-Za-z0-9._-]{{0,{MAX_NAME_BYTES - 1}}}[A-Za-z0-9_-]")
"""Most names; no rule but that of reserved ones can refuse such a name."""
_SHORT_NAME = re.compile(r"~[0-9]+(\.|$)")


def split(relative: str, *, any_form: bool = False) -> tuple[str, ...]:
    """Return the names of a relative path written with `/`; raise `UnsafePathError` for any way out.

    `any_form` takes names in every Unicode form: those of files that others have made, and that keep their names.
    """
    if not relative:
        return ()
    if relative.startswith(("/", "\\")) or (relative[1:2] == ":" and relative[0].isascii() and relative[0].isalpha()):
        raise _refused(relative, "is absolute")
    parts = tuple(relative.split("/"))
    if len(parts) > MAX_DEPTH:
        raise _refused(relative, f"is more than {MAX_DEPTH} folders deep")
    for name in parts:
        check_name(unicodedata.normalize("NFC", name) if any_form else name, relative)
    return parts


def check_name(name: str, whole: str = "") -> None:
    """Raise `UnsafePathError` unless `name` is one plain file name on Linux, macOS and Windows."""
    reason = fault(name)
    if reason:
        raise _refused(whole or name, reason)


def collision_key(name: str) -> str:
    """Return what two names share when some file system takes them for the same file.

    Canonical caseless matching, definition D145 of the Unicode Standard 15, section 3.13.
    """
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


@lru_cache(maxsize=8_192)
def fault(name: str) -> str:
    """Return what is wrong with a name, or an empty text; the same few are asked for again and again."""
    if _PLAIN.fullmatch(name) and name.split(".", 1)[0].upper() not in _RESERVED:
        return ""
    checks = (
        (name == "", "has an empty part"),
        (name in {".", ".."}, f'has the part "{name}"'),
        (name.startswith("~"), 'has a part that starts with "~"'),
        (_FORBIDDEN.search(name) is not None, "has a character that is not allowed in a file name"),
        (name.endswith((".", " ")), "has a part that ends in a dot or a space"),
        (name.split(".", 1)[0].rstrip(" ").upper() in _RESERVED, "has a name reserved by Windows"),
        (_SHORT_NAME.search(name) is not None, "has the form of a Windows short name"),
        (not unicodedata.is_normalized("NFC", name), "is not in Unicode normal form C"),
        (len(name.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES, "has a part that is too long"),
        (any("\ud800" <= character <= "\udfff" for character in name), "is not valid UTF-8"),
        # HFS+ leaves such characters out when it compares names (CVE-2014-9390), and people cannot see them
        (any(unicodedata.category(character) == "Cf" for character in name), "has an invisible character"),
    )
    return next((reason for failed, reason in checks if failed), "")


def _refused(path: str, reason: str) -> UnsafePathError:
    return UnsafePathError(
        f"refused path {path!r}: it {reason}", hint="name a file inside the environment's own folders"
    )

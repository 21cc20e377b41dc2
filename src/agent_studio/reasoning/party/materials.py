"""Files that a question comes with: read once, without secrets, bounded by the context that seats may have."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.errors import UsageError
from agent_studio.redaction import redact
from agent_studio.storage.descriptors import read_chunks

if TYPE_CHECKING:
    from collections.abc import Sequence

QUESTION_MAX = 20_000
FILES_MAX = 40
_BYTES_MAX = 64 << 20
_SNIFFED = 8_192
_ASCII_A_TOKEN = 4
"""Characters of ASCII that one token stands for at the least; any other character counts as a token."""
_LEAST = 400


class Material(NamedTuple):
    """One file as seats are shown it."""

    name: str
    text: str
    left_out: int = 0
    """Characters at its end that no seat is shown."""


class Materials(NamedTuple):
    """All files, and what deserves to be said of them."""

    files: tuple[Material, ...]
    notes: tuple[str, ...]


def tokens(text: str) -> int:
    """Return about how many tokens a text has, rather more than fewer."""
    ascii_ = len(text) if text.isascii() else sum(character < "\x80" for character in text)
    return -(-ascii_ // _ASCII_A_TOKEN) + len(text) - ascii_


def question_of(text: str) -> str:
    """Return a question as it is asked; raise `UsageError` for an empty and for an oversized one."""
    asked = redact("".join(one if one.isprintable() or one in "\n\t" else " " for one in text)).strip()
    if not asked:
        raise UsageError("the question is empty", hint='ask one: agent-studio party run "Which queue do we use?"')
    if len(asked) > QUESTION_MAX:
        raise UsageError(
            f"the question has {len(asked):,} characters, more than {QUESTION_MAX:,}",
            hint="ask in a few sentences, and give what it is about with --file",
        )
    return asked


def load(names: Sequence[str], base: Path, working: Path) -> list[Material]:
    """Return the files by the names they were given, relative ones from the `working` folder; raise `UsageError`.

    What lies in the project `base` is called by its path there, so that quotations of it can be checked.
    """
    if len(names) > FILES_MAX:
        raise UsageError(f"{len(names)} files are given, more than {FILES_MAX}", hint="give those that decide")
    found: dict[str, Material] = {}
    for given in dict.fromkeys(names):
        one = _loaded(given, base, working)
        if found.setdefault(one.name, one) != one:
            raise UsageError(
                f"two files are called {one.name}", hint="rename one: quotations of them could not be told apart"
            )
    return list(found.values())


def fitted(files: Sequence[Material], *, room: int, limit: int) -> Materials:
    """Return the files in `room` tokens: small ones whole, of large ones the beginning, each told of.

    Raises `UsageError` where even a beginning of each does not fit; `limit` is what the configuration says.
    """
    sizes = [tokens(one.text) for one in files]
    if sum(sizes) <= room:
        return Materials(tuple(files), ())
    if room < _LEAST * len(files):
        raise UsageError(
            f"{len(files)} files do not fit a context of {limit:,} tokens (features.partyMode.contextLimit)",
            hint="give fewer files, or those parts that decide",
        )
    most = _fair(sizes, room)
    fit = tuple(_cut(one, most) if size > most else one for one, size in zip(files, sizes, strict=True))
    notes = tuple(
        f"{one.name}: the last {one.left_out:,} of {one.left_out + len(one.text):,} characters are left out: "
        f"a context has {limit:,} tokens at most (features.partyMode.contextLimit)"
        for one in fit
        if one.left_out
    )
    return Materials(fit, notes)


def _loaded(name: str, base: Path, working: Path) -> Material:
    place = Path(os.path.abspath(working / Path(name).expanduser()))  # noqa: PTH100 - links stay
    try:
        descriptor = os.open(place, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise UsageError(f"--file {name}: {error.strerror}", hint="name a text file") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"--file {name} is no file", hint="name a text file")
        if status.st_size > _BYTES_MAX:
            raise UsageError(f"--file {name} has {status.st_size:,} bytes, more than {_BYTES_MAX:,}", hint="cut it")
        data = b"".join(read_chunks(descriptor))
    finally:
        os.close(descriptor)
    if b"\x00" in data[:_SNIFFED]:
        raise UsageError(f"--file {name} is no text", hint="give text, such as what a tool says of it")
    shown = place.relative_to(base).as_posix() if place.is_relative_to(base) else place.name
    return Material(redact(shown), redact(data.decode("utf-8-sig", "replace")))


def _fair(sizes: Sequence[int], room: int) -> int:
    """Return how many tokens a file may have so that all fit: what small ones leave goes to large ones."""
    for number, size in enumerate(ordered := sorted(sizes)):
        share = room // (len(ordered) - number)
        if size > share:
            return share
        room -= size
    return max(sizes, default=0)


def _cut(one: Material, most: int) -> Material:
    text = one.text[: most * _ASCII_A_TOKEN]
    while (over := tokens(text)) > most:
        text = text[: min(len(text) - 1, len(text) * most // over)]
    whole = text.rpartition("\n")[0] or text
    return Material(one.name, whole, len(one.text) - len(whole))

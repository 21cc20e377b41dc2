"""Obtain research: sources that were looked at, each with what it says. Three distinct ones are needed.

A source is an address (http or https), a file of the project with a quote that stands in it, or another document by
its title. Addresses are recorded, not fetched; a quote is looked for when it is recorded and again before Lock.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from agent_studio.environment.detect import DEFINITIONS
from agent_studio.environment.roots import STATE
from agent_studio.errors import AgentStudioError, UsageError
from agent_studio.evolution.gate import INSUFFICIENT, PASS, Gate
from agent_studio.knowledge.places import DOMAINS
from agent_studio.redaction import find_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_studio.environment.roots import Project

NEEDED = 3
_WORDS_LEAST = 3
"""Words that what a source says has at least: less is no finding."""
_TEXT_MAX = 4_000
_FILE_MAX_BYTES = 8 << 20
_DEFINED = frozenset(DOMAINS)
"""Folders of definitions; what else lies beside them was written by a program."""
_KEPT = (STATE, ".git")
_PORTS = {"http": 80, "https": 443}
_STEP = "agent-studio evolve research SOURCE --says TEXT"


class Asked(NamedTuple):
    """A source as somebody gave it."""

    source: str
    says: str
    quote: str = ""
    is_document: bool = False


def source(project: Project, asked: Asked) -> dict[str, Any]:
    """Return a source as it is recorded; raise `UsageError` for what is none."""
    given, says = " ".join(asked.source.split()), " ".join(asked.says.split())
    if not given:
        raise UsageError("an empty text is no source", hint=_STEP)
    if max(map(len, (given, says, asked.quote))) > _TEXT_MAX:
        raise UsageError(f"a source is told in at most {_TEXT_MAX:,} characters", hint="quote what matters")
    if find_secrets(f"{given}\n{says}\n{asked.quote}"):
        raise UsageError("there is a credential in what was given", hint="leave it out: a source is kept and shown")
    if sum(len(word) > 1 for word in re.findall(r"[^\W\d_]+", says)) < _WORDS_LEAST:
        raise UsageError(f"--says tells too little of {given}", hint="say in a sentence what it says about the need")
    is_address = re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", given)
    if asked.quote and (asked.is_document or is_address):
        raise UsageError("--quote is looked for in a file of the project, and this is none", hint="put it in --says")
    if asked.is_document:
        _refuse_disguised(project, given)
        return {"kind": "document", "source": given, "says": says, "key": f"document {given.casefold()}"}
    if is_address:
        return {"kind": "url", "source": given, "says": says, "key": f"url {_address(given)}"}
    return _file(project, given, says, asked.quote)


def _refuse_disguised(project: Project, given: str) -> None:
    """Raise `UsageError` for a document that is an address or a file: it would count beside itself."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://|www\.", given):
        raise UsageError(f"{given[:200]!r} is an address, no title of a document", hint="leave out --document")
    if _read(project, posixpath.normpath(given.replace("\\", "/"))) is not None:
        raise UsageError(f"{given} is a file of the project", hint="--quote TEXT in the place of --document")


def _address(given: str) -> str:
    """Return an address in the one form that tells it from others."""
    try:
        parts = urlsplit(given)
        host, port = (parts.hostname or "").removesuffix("."), parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    scheme = parts.scheme.lower()
    if scheme not in _PORTS or not re.fullmatch(r"\[?[\w.:-]+\]?", host) or parts.username or parts.password:
        raise UsageError(
            f"{given[:200]!r} is no address of a page", hint="https://HOST/PATH, without a name and a password"
        )
    if "." not in host and ":" not in host:
        raise UsageError(f"{host!r} is no host that others could look at", hint="https://HOST/PATH of a public page")
    host = host.removeprefix("www.")
    place = host if port in (None, _PORTS[scheme]) else f"{host}:{port}"
    return urlunsplit(("", place, _path(parts.path), _plain(parts.query), ""))


def _path(path: str) -> str:
    """Return the path of an address without what leads nowhere."""
    plain = posixpath.normpath(re.sub("/+", "/", f"/{_plain(path)}"))
    return "" if plain == "/" else plain


def _plain(text: str) -> str:
    """Return a part of an address with those characters written plainly that need no escape (RFC 3986, 6.2.2.2)."""

    def plain(match: re.Match[str]) -> str:
        character = chr(int(match[1], 16))
        return character if re.fullmatch(r"[A-Za-z0-9._~-]", character) else match[0].upper()

    return re.sub("%([0-9A-Fa-f]{2})", plain, text)


def _file(project: Project, given: str, says: str, quote: str) -> dict[str, Any]:
    relative = posixpath.normpath(given.replace("\\", "/").removeprefix(f"{project.path.as_posix()}/"))
    if not quote.strip():
        raise UsageError(
            f"{given} is taken for a file of the project, and no --quote from it was given",
            hint="--quote TEXT; for a book or another document --document; an address begins with https://",
        )
    if len(re.findall(r"\w+", quote)) < _WORDS_LEAST:
        raise UsageError(f"{quote!r} could stand anywhere", hint=f"quote {_WORDS_LEAST} words at least")
    if _is_kept(relative):
        raise UsageError(f"{given} is no source: it is a draft, or what is kept beside the project", hint=_STEP)
    text = _read(project, relative)
    if text is None:
        raise UsageError(
            f"{given} is no file of the project",
            hint="its path from the project's root; for another document --document",
        )
    if not _holds(text, quote):
        raise UsageError(f"the quote does not stand in {relative}", hint="copy it from there, word for word")
    quoted = " ".join(quote.split())
    return {"kind": "file", "source": relative, "says": says, "quote": quoted, "key": f"file {relative.casefold()}"}


def _is_kept(relative: str) -> bool:
    """Tell whether a file is one that evolutions and environments write themselves."""
    top, *below = relative.split("/")
    if top == DEFINITIONS and below:
        return len(below) > 1 and below[0] not in _DEFINED
    return top in _KEPT


def _read(project: Project, relative: str) -> str | None:
    """Return the text of a file of the project, None where there is none that may be read."""
    try:
        status = project.folder.status(relative)
        if status is None or status.st_size > _FILE_MAX_BYTES:
            return None
        return project.folder.read(relative).decode("utf-8", "replace")
    except (AgentStudioError, OSError):
        return None


def _holds(text: str, quote: str) -> bool:
    return " ".join(quote.split()) in " ".join(text.split())


def gate(project: Project, research: Iterable[Mapping[str, Any]]) -> Gate:
    """Say whether enough was looked at, and whether quotes still stand where they stood."""
    keys: dict[str, str] = {}
    gone = []
    for one in research:
        if "key" not in one:
            continue  # the original's: nothing says what it is
        if one["kind"] == "file":
            text = _read(project, one["source"])
            if text is None or not _holds(text, one["quote"]):
                gone.append(one["source"])
                continue
        keys.setdefault(one["key"], one["source"])
    said = f"{len(keys)} of {NEEDED} distinct sources" if len(keys) < NEEDED else f"{len(keys)} distinct sources"
    if gone:
        said += f"; the quote is gone from {', '.join(gone)}"
    evidence = tuple({"source": name} for name in keys.values())
    if len(keys) < NEEDED:
        return Gate("sources", INSUFFICIENT, f"{said}: {_STEP}", evidence)
    return Gate("sources", PASS, said, evidence)

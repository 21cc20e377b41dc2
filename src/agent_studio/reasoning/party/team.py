"""Teams: who sits at the table, as `.claude/teams/<name>.csv` says, or a team that is shipped.

    agent_type,role,priority,tools,model[,weight][,method]

The first five columns are those of the client's teams; `weight` (1 by default) and `method` are ours. What is wrong is
one clear error with its line.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from agent_studio.errors import ConfigurationError, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import Project

COLUMNS = ("agent_type", "role", "priority", "tools", "model")
OPTIONAL = ("weight", "method")
SHIPPED, PROJECT = "shipped", "project"
FALLBACKS = ("default", "general")
"""The project's own team of this name, else the shipped one of that."""
_FOLDER = "teams"
_PLACE = Path(__file__).parent / "shipped"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,79}")
_AGENT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:-]{0,62}[A-Za-z0-9_-])?")
_SIZE_MAX, _CELL_MAX = 64_000, 400
_WEIGHT = re.compile(r"\d{1,2}(?:\.\d{1,2})?")
_WEIGHT_MAX = 10
_PRIORITY_MAX = 1_000


@dataclass(frozen=True)
class Seat:
    """One row of a team."""

    number: int
    """From 1, in the order of the file."""
    agent: str
    role: str
    priority: int
    tools: tuple[str, ...]
    """What the agent may use in the client; a seat of a party uses none."""
    model: str
    """As written: an alias of the client (`opus`), a model with its provider, or nothing."""
    weight: Fraction = Fraction(1)
    method: str = ""
    line: int = 0


@dataclass(frozen=True)
class Team:
    """A team and what it was read from."""

    name: str
    source: str
    """`project` or `shipped`."""
    file: str
    """As it is named in messages."""
    sha256: str
    seats: tuple[Seat, ...]


def names(project: Project) -> dict[str, str]:
    """Return every team by name with its source; a project's own hides a shipped one of the same name."""
    own = {place.stem for place in _files(project) if _NAME.fullmatch(place.stem)}
    shipped = {place.stem for place in _PLACE.glob("*.csv")}
    return {name: PROJECT if name in own else SHIPPED for name in sorted(own | shipped)}


def load(context: Context, name: str | None = None) -> Team:
    """Return a team by name, by default the project's `default` or else `general`.

    Raises `UsageError` for an unknown team and `ConfigurationError` for what is wrong in its file.
    """
    known = names(context.project)
    if name is None:
        name = next(one for one in FALLBACKS if known.get(one) == PROJECT or one == FALLBACKS[-1])
    name = name.removesuffix(".csv")
    if name not in known:
        raise UsageError(f"no team is named {name!r}", hint=f"{did_you_mean(name, known)}; agent-studio party teams")
    if known[name] == PROJECT:
        file = f"{_FOLDER}/{name}.csv"
        shown = context.project.shown(file)
        try:
            data = context.project.read_definition(file)
        except OSError as error:
            raise _fault(
                shown, f"cannot be read: {error.strerror}", "put the file itself there, or remove it"
            ) from None
    else:
        shown, data = f"{name} (shipped)", (_PLACE / f"{name}.csv").read_bytes()
    return parse(
        data, name=name, source=known[name], file=shown, most=int(context.config["features.partyMode.maxAgents"])
    )


def parse(data: bytes, *, name: str, source: str, file: str, most: int) -> Team:
    """Return the team of a CSV file with at most so many seats."""
    if len(data) > _SIZE_MAX:
        raise _fault(file, f"has {len(data):,} bytes", f"a team has at most {most} seats")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _fault(file, f"is not UTF-8 (byte {error.start})", "save it as UTF-8") from None
    rows = _rows(text, file)
    header = _header(next(rows, (0, ()))[1], file)
    seats = [_seat(dict(zip(header, row, strict=True)), number, line, file)
             for number, (line, row) in enumerate(_whole(rows, header, file), start=1)]  # fmt: skip
    if not seats:
        raise _fault(file, "names no agent", "write a row for each seat")
    if len(seats) > most:
        raise _fault(
            file, f"has {len(seats)} seats, and a party has {most} at most (features.partyMode.maxAgents)",
            "drop rows, or make two teams: more voices of one model say little more",
        )  # fmt: skip
    _refuse_twins(seats, file)
    return Team(name, source, file, hashlib.sha256(data).hexdigest(), tuple(seats))


def _files(project: Project) -> list[Path]:
    folder = project.definition(_FOLDER)
    return sorted(folder.glob("*.csv")) if folder.is_dir() else []


def _rows(text: str, file: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of every row that is not blank."""
    reader = csv.reader(io.StringIO(text.replace("\r\n", "\n").replace("\r", "\n")), strict=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, [cell.strip() for cell in row]
    except csv.Error as error:
        raise _fault(
            f"{file}:{reader.line_num}", f"is no CSV: {error}", "close every quote; write two for one"
        ) from None


def _header(cells: Sequence[str], file: str) -> list[str]:
    header = [cell.casefold() for cell in cells]
    if missing := [name for name in COLUMNS if name not in header]:
        raise _fault(file, f"has no column {missing[0]}", f"its first line is {','.join(COLUMNS)}")
    for name in header:
        if name not in (*COLUMNS, *OPTIONAL):
            raise _fault(f"{file}:1", f"has a column {name!r}", did_you_mean(name, (*COLUMNS, *OPTIONAL)))
        if header.count(name) > 1:
            raise _fault(f"{file}:1", f"has the column {name} twice", "drop one")
    return header


def _whole(rows: Iterator[tuple[int, list[str]]], header: list[str], file: str) -> Iterator[tuple[int, list[str]]]:
    for line, row in rows:
        if len(row) > len(header):
            raise _fault(f"{file}:{line}", f"has {len(row)} cells, its header {len(header)}", "quote cells with commas")
        yield line, [*row, *[""] * (len(header) - len(row))]


def _seat(cells: dict[str, str], number: int, line: int, file: str) -> Seat:
    place = f"{file}:{line}"
    agent = cells["agent_type"]
    if not _AGENT.fullmatch(agent) or ".." in agent:
        raise _fault(place, f"names the agent {agent[:80]!r}", "write the name of an agent, such as code-reviewer")
    if long := next((name for name, cell in cells.items() if len(cell) > _CELL_MAX), ""):
        raise _fault(place, f"has {len(cells[long]):,} characters in {long}", f"at most {_CELL_MAX}")
    return Seat(
        number, agent, cells["role"], _priority(cells["priority"], number, place),
        tuple(filter(None, (one.strip() for one in cells["tools"].split(",")))), cells["model"],
        _weight(cells.get("weight", ""), place), cells.get("method", ""), line,
    )  # fmt: skip


def _priority(text: str, number: int, place: str) -> int:
    if not text:
        return number
    if not text.isascii() or not text.isdecimal() or not 0 <= int(text) <= _PRIORITY_MAX:
        raise _fault(place, f"has the priority {text[:20]!r}", f"a whole number from 0 to {_PRIORITY_MAX}")
    return int(text)


def _weight(text: str, place: str) -> Fraction:
    if not text:
        return Fraction(1)
    if not text.isascii() or not _WEIGHT.fullmatch(text) or not 0 < Fraction(text) <= _WEIGHT_MAX:
        raise _fault(place, f"has the weight {text[:20]!r}", f"a number above 0, up to {_WEIGHT_MAX}, such as 1.5")
    return Fraction(text)


def _refuse_twins(seats: Sequence[Seat], file: str) -> None:
    seen: dict[tuple[str, str, str], Seat] = {}
    for seat in seats:
        first = seen.setdefault((seat.agent.casefold(), seat.model, seat.method), seat)
        if first is not seat:
            raise _fault(
                f"{file}:{seat.line}", f"has {seat.agent} as in line {first.line}",
                "one agent may sit twice only with another model or method",
            )  # fmt: skip


def _fault(place: str, message: str, hint: str) -> ConfigurationError:
    return ConfigurationError(f"{place} {message}", hint=hint)

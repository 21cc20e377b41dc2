"""The journals as tables: columns of closed days where they are whole, lines of JSON where not.

Every segment has a row for every line. A damaged line is a row without a time; `near_ms` is the time it is taken to be
of, that of the record before it, at the start of a file that after it. The views of `opened` hold the records of one
environment. Views and files are found by bound values; nothing is locked, nothing is written.
"""
# ruff: noqa: S608 - names of columns and views are our own constants; values are always bound

from __future__ import annotations

import os
import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from agent_studio import log
from agent_studio.environment.sharing import sharing
from agent_studio.errors import StorageError
from agent_studio.monitor import blocks
from agent_studio.monitor.lines import LARGEST, UNKNOWN
from agent_studio.monitor.segments import JOURNALS, folder_of, segments
from agent_studio.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.monitor.segments import Segment

MEMORY_LIMIT = "1GB"
_NAME, _TEXT, _FIGURE, _WHOLE = "name", "text", "figure", "whole"
COLUMNS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "hooks": {
        "hook": ("hook", _NAME), "event": ("event", _TEXT), "tool": ("tool", _TEXT),
        "duration_ms": ("executionTimeMs", _FIGURE), "status": ("status", _NAME), "session_id": ("sessionId", _TEXT),
        "agent": ("agent", _TEXT),
    },
    "agents": {
        "agent": ("agent", _NAME), "agent_id": ("agentId", _TEXT), "session_id": ("sessionId", _TEXT),
        "task_id": ("taskId", _TEXT), "duration_ms": ("durationMs", _FIGURE), "tokens": ("tokensUsed", _WHOLE),
        "status": ("status", _NAME), "error_message": ("errorMessage", _TEXT), "parent": ("parentAgentId", _TEXT),
    },
    "errors": {
        "error_type": ("errorType", _NAME), "severity": ("severity", _NAME), "source": ("source", _NAME),
        "message": ("message", _TEXT), "tool": ("tool", _TEXT), "session_id": ("sessionId", _TEXT),
    },
    "sessions": {
        "session_id": ("sessionId", _NAME), "event": ("event", _NAME), "source": ("source", _TEXT),
        "model": ("model", _TEXT), "reason": ("reason", _TEXT), "duration_ms": ("durationMs", _FIGURE),
        "cost_usd": ("costUsd", _FIGURE),
    },
}  # fmt: skip
"""By kind: the columns, each with the field that it is from and the form it has."""
_COMMON: Mapping[str, tuple[str, str]] = {
    "environment": ("environment", _TEXT), "event_id": ("eventId", _TEXT), "release": ("release", _TEXT),
    "metadata": ("metadata", _TEXT),
}  # fmt: skip
_FORMS: Mapping[str, tuple[str, str, str]] = {
    _NAME: ("VARCHAR", "VARCHAR", f"coalesce(nullif(\"{{0}}\", ''), '{UNKNOWN}')"),
    _TEXT: ("VARCHAR", "VARCHAR", '"{0}"'),
    _FIGURE: ("DOUBLE", "DOUBLE", f'CASE WHEN abs("{{0}}") <= {LARGEST:.0f} THEN "{{0}}" END'),
    _WHOLE: ("DOUBLE", "BIGINT", f'CAST(trunc(CASE WHEN abs("{{0}}") <= {LARGEST:.0f} THEN "{{0}}" END) AS BIGINT)'),
}
"""Of each form: how it is read, how it is kept, how the one becomes the other."""
_FORM = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
_INSTANT = "epoch_ms(try_strptime(\"timestamp\", '%Y-%m-%dT%H:%M:%S.%gZ'))"
_AT = (
    f'CASE WHEN "environment" IS NOT NULL AND regexp_full_match("timestamp", \'{_FORM}\') AND {_INSTANT} >= 0 '
    f"THEN {_INSTANT} END"
)
_NEAR = (
    "CASE WHEN at_ms IS NULL THEN coalesce("
    "last_value(at_ms IGNORE NULLS) OVER (PARTITION BY filename ORDER BY line), first_value(at_ms IGNORE NULLS) "
    "OVER (PARTITION BY filename ORDER BY line ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)) END"
)
_WILD = re.compile(r"([\[*?])")
_MAGIC = b"PAR1"
_LEAST_BYTES = 12
_TOLD: set[tuple[Path, str]] = set()
"""Damaged files that this process has told of."""


class TooManyRecordsError(StorageError):
    """A query would need more memory than it is given."""


def schema(kind: str) -> dict[str, str]:
    """Return the columns that a file of the lake has, with their types."""
    fields = {**COLUMNS[kind], **_COMMON}
    kept = {name: _FORMS[form][1] for name, (_, form) in fields.items()}
    return {"line": "BIGINT", "at_ms": "BIGINT", **kept}


def copy(source: Path, kind: str, target: Path) -> int:
    """Write the rows of a segment's file as Parquet, 1:1 with its lines; return how many were read.

    Whoever calls this moves `target` into its place. Raises `StorageError`, then nothing may be made of `target`.
    """
    with _connected([source, target]) as db:
        _set_files(db, kind, "json", [source])
        names, rows = ", ".join(schema(kind)), _of_json(kind)
        near = "CAST(NULL AS BIGINT)"
        if db.execute(f"SELECT count(*) FROM ({rows}) WHERE at_ms IS NULL").fetchall() != [(0,)]:
            db.execute(
                f"CREATE TABLE near AS SELECT line, near_ms FROM "
                f"(SELECT line, at_ms, {_NEAR} AS near_ms FROM (SELECT line, at_ms, filename FROM ({rows}))) "
                "WHERE at_ms IS NULL"
            )
            near = "(SELECT any_value(near_ms) FROM near WHERE near.line = told.line)"
        query = (
            f"COPY (SELECT {names}, {near} AS near_ms FROM ({rows}) AS told) TO ? (FORMAT parquet, COMPRESSION zstd)"
        )
        return int(db.execute(query, [str(target)]).fetchall()[0][0])


def rows_in(parquet: Path, kind: str) -> int:
    """Return how many rows a Parquet file holds, each of them read; raise `StorageError` when it is not whole."""
    with _connected([parquet]) as db:
        _set_files(db, kind, "parquet", [parquet])
        found = {row[0]: row[1] for row in db.execute(f"DESCRIBE SELECT * FROM {_of_parquet(kind)}").fetchall()}
        if found != {**schema(kind), "near_ms": "BIGINT"}:
            raise StorageError(
                f"{parquet} has columns of another version", hint="it is made anew by agent-studio ingest"
            )
        sums = f"SELECT count(*), bit_xor(hash(COLUMNS(*))) FROM {_of_parquet(kind)}"
        return int(db.execute(sums).fetchall()[0][0])


def damaged(context: Context, kinds: Iterable[str] = tuple(JOURNALS), *, deep: bool = False) -> list[str]:
    """Return the Parquet and gzipped files that are not whole, by name; `deep` reads all of every one."""
    found = []
    for kind in kinds:
        sources = _sources(context, kind, frozenset())
        found += sources.damaged
        if deep:
            found += [name for name, place in sources.parquet.items() if not _can_be_read(place, kind)]
            folder = folder_of(context.root, kind)
            found += [one.name for one in sources.packed if not blocks.is_whole(folder, one)]
    return found


def _can_be_read(parquet: Path, kind: str) -> bool:
    try:
        rows_in(parquet, kind)
    except StorageError:
        return False
    return True


@contextmanager
def opened(
    context: Context, kinds: Iterable[str], *, distrusted: frozenset[str] = frozenset()
) -> Iterator[DuckDBPyConnection]:
    """Open the views of some kinds, and `lines` of all of these; `distrusted` files are not used."""
    sources = {kind: _sources(context, kind, distrusted) for kind in kinds}
    _tell_of_damage(context, [name for one in sources.values() for name in one.damaged])
    files = [place for one in sources.values() for place in (*one.parquet.values(), *one.json)]
    with _connected(files) as db:
        db.execute("SET VARIABLE environment = ?", [str(context.environment)])
        for kind, one in sources.items():
            _set_files(db, kind, "parquet", one.parquet.values())
            _set_files(db, kind, "json", one.json)
            db.execute(f"CREATE VIEW all_{kind} AS {_all(kind, one)}")
            db.execute(f"CREATE VIEW lines_{kind} AS {_lines(kind, one)}")
            names = ", ".join(name for name in schema(kind) if name not in {"line", "environment"})
            db.execute(
                f"CREATE VIEW {kind} AS SELECT {names} FROM all_{kind} "
                "WHERE at_ms IS NOT NULL AND environment = getvariable('environment')"
            )
        unions = " UNION ALL ".join(f"SELECT * FROM lines_{kind}" for kind in sources)
        if unions:
            db.execute(f"CREATE VIEW lines AS {unions}")
        yield db


def _tell_of_damage(context: Context, names: Iterable[str]) -> None:
    """Say once in the log, not at every look of a page that is open, which files could not be used."""
    fresh = [name for name in names if (context.root.path, name) not in _TOLD]
    if fresh:
        log.warning(context, "columns.damaged", files=fresh)
        _TOLD.update((context.root.path, name) for name in fresh)


class _Sources:
    """The files of a journal, each segment by the better of its two."""

    def __init__(self) -> None:
        self.parquet: dict[str, Path] = {}
        """By name."""
        self.json: list[Path] = []
        self.damaged: list[str] = []
        """Parquet files that are there and not whole, their lines are read instead; packed files that are left out."""
        self.left_out = 0
        """How many packed files are: each is one damaged line at least, what is in it is not known."""
        self.packed: list[Segment] = []
        """Gzipped files that are read themselves."""


def _sources(context: Context, kind: str, distrusted: frozenset[str]) -> _Sources:
    owner = next(iter(sharing(context, JOURNALS[kind][0]).values()))
    folder, found = folder_of(context.root, kind), _Sources()
    for segment in segments(context.root, kind):
        twin = None if segment.is_live else _whole(owner, segment)
        if twin is not None and segment.parquet not in distrusted:
            found.parquet[segment.parquet] = twin
            continue
        if not segment.is_live and owner.state.status(segment.parquet) is not None:
            found.damaged.append(segment.parquet)
        if segment.name in distrusted:
            found.damaged.append(segment.name)
            found.left_out += 1
        elif segment.size:
            found.json.append(folder.resolve(segment.name))
            found.packed += [segment] if segment.is_gzip else []
    return found


def _whole(owner: EnvironmentRoot, segment: Segment) -> Path | None:
    """Return where a segment's Parquet file is, if it has its beginning and its end."""
    try:
        with os.fdopen(owner.state.open(segment.parquet), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < _LEAST_BYTES or file.read(len(_MAGIC)) != _MAGIC:
                return None
            file.seek(size - len(_MAGIC))
            if file.read() != _MAGIC:
                return None
        return owner.state.resolve(segment.parquet)
    except (FileNotFoundError, StorageError):
        return None


def _all(kind: str, found: _Sources) -> str:
    names = ", ".join(schema(kind))
    parts = [f"SELECT {names} FROM {_of_parquet(kind)}"] if found.parquet else []
    parts += [f"SELECT {names} FROM ({_of_json(kind)})"] if found.json else []
    return " UNION ALL ".join(parts) or _nothing(schema(kind))


def _lines(kind: str, found: _Sources) -> str:
    """Return a query of the time of every line, damaged ones and files that cannot be read included."""
    parts = [f"SELECT at_ms, near_ms FROM {_of_parquet(kind)}"] if found.parquet else []
    parts += [f"SELECT at_ms, {_NEAR} AS near_ms FROM ({_of_json(kind)})"] if found.json else []
    parts += [f"SELECT NULL AS at_ms, NULL AS near_ms FROM range({found.left_out})"] if found.left_out else []
    return " UNION ALL ".join(parts) or _nothing({"at_ms": "BIGINT", "near_ms": "BIGINT"})


def _nothing(columns: Mapping[str, str]) -> str:
    return f"SELECT {', '.join(f'CAST(NULL AS {form}) AS {name}' for name, form in columns.items())} WHERE false"


def _of_parquet(kind: str) -> str:
    return f"read_parquet(getvariable('{kind}_parquet'))"


def _of_json(kind: str) -> str:
    """Return a query of the rows of files of JSON, in their columns."""
    fields = {**COLUMNS[kind], **_COMMON}
    read = {"timestamp": "VARCHAR", **{field: _FORMS[form][0] for field, form in fields.values()}}
    columns = ", ".join(f"{name!r}: {form!r}" for name, form in read.items())
    kept = ", ".join(f"{_FORMS[form][2].format(field)} AS {name}" for name, (field, form) in fields.items())
    return (
        f"SELECT row_number() OVER () AS line, {_AT} AS at_ms, {kept}, filename FROM read_json("
        f"getvariable('{kind}_json'), columns = {{{columns}}}, format = 'newline_delimited', records = true, "
        "ignore_errors = true, filename = true)"
    )


def _set_files(db: DuckDBPyConnection, kind: str, form: str, places: Iterable[Path]) -> None:
    db.execute(f"SET VARIABLE {kind}_{form} = ?", [[_literal(place) for place in places]])


def _literal(place: Path) -> str:
    """Return a path in which the engine sees no pattern."""
    return _WILD.sub(r"[\1]", str(place))


@contextmanager
def _connected(files: Iterable[Path]) -> Iterator[DuckDBPyConnection]:
    """Connect to an engine in memory that can reach a few files and nothing else."""
    import duckdb  # noqa: PLC0415 - 100 ms, and only queries need it

    db = duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "temp_directory": ""})
    try:
        db.execute("SET allowed_paths = ?", [[name for place in files for name in (str(place), _literal(place))]])
        db.execute("SET enable_external_access = false")
        yield db
    except duckdb.OutOfMemoryException as error:
        raise TooManyRecordsError(
            f"the records of this stretch need more memory than {MEMORY_LIMIT}",
            hint="ask for a shorter stretch of time",
        ) from error
    except duckdb.Error as error:
        raise StorageError(
            f"the records cannot be read as a table: {redact(str(error).splitlines()[0])}",
            hint="agent-studio doctor",
        ) from error
    finally:
        with suppress(duckdb.Error):
            db.close()

"""Records of a fleet by the million: made by the engine itself for long stretches, row by row for what is sent.

Of a hundred records 70 are hooks, 4 agents, 2 errors, 8 sessions, 16 usage. Half are of the project and environment
that is asked for, the others of nine projects; 200 machines; 20 sessions at a time. Identifiers are random.
"""

from __future__ import annotations

import json
import random
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.fleet.batch import Batch
from agent_studio.fleet.tables import SCHEMA, TABLES
from agent_studio.monitor import segments

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PROJECT, MACHINES = "bookshop", 200
SHARES: Mapping[str, float] = {"hooks": 0.70, "agents": 0.04, "errors": 0.02, "sessions": 0.08, "usage": 0.16}
DAY_MS = 86_400_000
_HOOKS, _SESSIONS, _SESSION_EVENTS = 40, 20, 50
_MESSAGES = ("timed out after # s in #", "no such file: #", "exit code #", "rate limit: retry in # s")
_STATUSES = ("success",) * 24 + ("failure", "blocked")
_MODELS = ("claude-opus-4-1", "claude-sonnet-4-5", "claude-haiku-4-5")


class Speech(NamedTuple):
    """How an engine writes what a filling statement needs."""

    random: str
    """A whole number from 0 up to but without one: which, salt."""
    array: str
    digest: str
    uuid: str
    numbers: str
    """A table `one` of numbers n: first, count."""
    settings: str


SPEECHES = {
    "postgresql": Speech(
        "((hashint8extended(n, {1}) & 2147483647) % {0})", "(ARRAY[{0}])", "md5({0})", "gen_random_uuid()",
        "generate_series({0}::bigint, {0}::bigint + {1} - 1) AS one(n)", "",
    ),
    "clickhouse": Speech(
        "toInt64(cityHash64(n, {1}) % {0})", "([{0}])", "lower(hex(MD5({0})))", "generateUUIDv4()",
        "(SELECT toInt64(number) AS n FROM numbers({0}, {1})) AS one",
        " SETTINGS max_partitions_per_insert_block = 0",
    ),
}  # fmt: skip


def many(table: str, rows: int) -> int:
    """Return how many of so many rows are a table's."""
    return max(round(rows * SHARES[table]), 1)


def filling(dialect: str, table: str, first: int, count: int, total: int, since_ms: int, days: int) -> str:
    """Return the statement that adds `count` of a table's `total` rows, which are spread evenly over the days."""
    speech = SPEECHES[dialect]
    places = _places(speech, f"{since_ms} + n * {days * DAY_MS} / {total}", dialect)
    listed = ", ".join(TABLES[table])
    values = ", ".join(places.get((table, column)) or places.get(("", column), "NULL") for column in TABLES[table])
    source = speech.numbers.format(first, count)
    return f"INSERT INTO {SCHEMA}.{table} ({listed}) SELECT {values} FROM {source}{speech.settings}"


def _places(speech: Speech, at_ms: str, dialect: str) -> dict[tuple[str, str], str]:
    """Return the expression of a column, of one table or of all that have none of their own."""

    def chance(among: int, salt: int) -> str:
        return speech.random.format(among, salt)

    def pick(salt: int, *values: str | None) -> str:
        told = ", ".join("NULL" if value is None else f"'{value}'" for value in values)
        return f"{speech.array.format(told)}[1 + {chance(len(values), salt)}]"

    at_once = _SESSIONS * _SESSION_EVENTS
    whole = f"CAST(floor({at_ms}) AS BIGINT)" if dialect == "postgresql" else _whole(at_ms)
    block = f"n / {at_once}" if dialect == "postgresql" else f"intDiv(n, {at_once})"
    session = speech.digest.format(f"concat('s', {block}, '-', {chance(_SESSIONS, 3)})")
    duration = f"floor(-5000 * ln(CAST(1 + {chance(1_000_000, 4)} AS DOUBLE PRECISION) / 1000001)) / 1000"
    tokens = chance(4_000, 5)
    return {
        ("", "project"): f"CASE WHEN {chance(2, 1)} = 0 THEN '{PROJECT}' ELSE concat('project-', {chance(9, 2)}) END",
        ("", "environment"): "'staging'", ("", "machine"): f"concat('m', {chance(MACHINES, 6)})",
        ("", "id"): speech.uuid, ("", "at_ms"): whole, ("", "session_id"): session, ("", "duration_ms"): duration,
        ("", "synthetic"): "false", ("", "release"): "'1.4.2'", ("", "tokens"): tokens,
        ("", "event_id"): speech.digest.format("concat('e', n)"), ("", "tool"): pick(8, "Bash", "Edit", "Read", None),
        ("", "hook"): f"concat('hook-', {chance(_HOOKS, 7)})", ("", "status"): pick(9, *_STATUSES),
        ("hooks", "event"): pick(10, "PreToolUse", "PostToolUse", "Stop"), ("", "model"): pick(17, *_MODELS),
        ("agents", "status"): pick(9, *["completed"] * 9, "failed"), ("", "source"): pick(13, "api", "hook"),
        ("", "agent"): pick(11, "reviewer", "architect", "tester"), ("", "message"): pick(15, *_MESSAGES),
        ("agents", "agent_id"): speech.digest.format("concat('a', n)"), ("", "web_searches"): "0",
        ("", "error_type"): pick(12, "SystemError", "ValidationError"), ("", "provider"): "'anthropic'",
        ("", "severity"): pick(14, "LOW", "MEDIUM", "HIGH", "CRITICAL"), ("usage", "source"): "'transcript'",
        ("sessions", "event"): pick(16, "start", "prompt", "prompt", "prompt", "stop", "end"),
        ("usage", "response"): speech.digest.format("concat('r', n)"), ("", "seq"): "n",
        ("", "input_tokens"): tokens, ("", "output_tokens"): chance(900, 18), ("", "cache_write_1h_tokens"): "0",
        ("", "cache_read_tokens"): chance(90_000, 19), ("", "cache_write_5m_tokens"): chance(3_000, 20),
        ("", "pico_usd"): f"15000000 * {tokens}",
    }  # fmt: skip


def _whole(at_ms: str) -> str:
    """Return `a + n * b / c` with a whole division, in which nothing grows beyond 63 bits."""
    since, _, rest = at_ms.partition(" + ")
    product, _, total = rest.partition(" / ")
    return f"toInt64({since}) + intDiv({product}, {total})"


def batches(rows: int, size: int, seed: int, now_ms: int) -> Iterator[Batch]:
    """Yield batches as shippers send them: of one machine each, all of the last minutes."""
    chance = random.Random(seed)
    for first in range(0, rows, size):
        machine = f"m{chance.randrange(MACHINES)}"
        many = {table: round(min(size, rows - first) * share) for table, share in SHARES.items()}
        found = {table: [_row(table, machine, chance, now_ms) for _ in range(count)] for table, count in many.items()}
        yield Batch(PROJECT, machine, found)


def _row(table: str, machine: str, chance: random.Random, now_ms: int) -> tuple[Any, ...]:
    session = uuid.UUID(int=chance.getrandbits(10)).hex
    known = {
        "project": PROJECT, "environment": "staging", "machine": machine, "id": f"{chance.getrandbits(128):032x}",
        "at_ms": now_ms - chance.randrange(600_000), "release": "1.4.2", "hook": f"hook-{chance.randrange(_HOOKS)}",
        "event": "PreToolUse", "tool": "Bash", "duration_ms": round(chance.expovariate(0.2), 3), "session_id": session,
        "status": chance.choice(_STATUSES), "synthetic": False, "agent": "reviewer", "tokens": 812, "source": "api",
        "error_type": "SystemError", "severity": "HIGH", "message": chance.choice(_MESSAGES), "model": _MODELS[0],
        "event_id": f"{chance.getrandbits(128):032x}", "agent_id": f"{chance.getrandbits(128):032x}",
        "response": f"{chance.getrandbits(128):032x}", "seq": chance.getrandbits(30), "provider": "anthropic",
        "input_tokens": 500, "output_tokens": chance.randrange(900), "cache_read_tokens": chance.randrange(90_000),
        "cache_write_5m_tokens": chance.randrange(3_000), "cache_write_1h_tokens": 0, "web_searches": 0,
        "pico_usd": 15_000_000 * chance.randrange(4_000),
    }  # fmt: skip
    return tuple(known.get(column) for column in TABLES[table])


def journals(environment: Path, events: int, days: float, seed: int, now_ms: int) -> int:
    """Write journals of an environment's folder, a sealed file a day and the live one; return how many records."""
    chance, written = random.Random(seed), 0
    for kind, (folder, live) in segments.JOURNALS.items():
        many = round(events * SHARES[kind] / sum(SHARES[one] for one in segments.JOURNALS))
        lines: dict[str, list[str]] = {}
        for number in range(many):
            record = _line(kind, chance, now_ms - round(days * DAY_MS * (many - number) / many))
            lines.setdefault(record["timestamp"][:10], []).append(json.dumps(record, separators=(",", ":")) + "\n")
        for day, found in lines.items():
            name = live if day == clock.of_ms(now_ms)[:10] else segments.sealed_name(kind, day, 1)
            (environment / folder / name).write_text("".join(found), encoding="utf-8")
        written += many
    return written


def _line(kind: str, chance: random.Random, at_ms: int) -> dict[str, Any]:
    own: dict[str, dict[str, Any]] = {
        "hooks": {"hook": f"hook-{chance.randrange(_HOOKS)}", "event": "PreToolUse", "tool": "Bash", "agent": None,
                  "executionTimeMs": round(chance.expovariate(0.2), 3), "status": chance.choice(_STATUSES)},
        "agents": {"agent": "reviewer", "agentId": f"{chance.getrandbits(128):032x}", "durationMs": 900,
                   "tokensUsed": 812, "status": "completed", "errorMessage": None, "parentAgentId": None},
        "errors": {"errorType": "SystemError", "severity": "HIGH", "source": "api", "tool": None,
                   "message": chance.choice(_MESSAGES).replace("#", str(chance.randrange(999)))},
        "sessions": {"event": chance.choice(("start", "prompt", "end")), "source": None, "model": None,
                     "reason": None, "durationMs": None, "costUsd": None},
    }  # fmt: skip
    session = f"{at_ms // 3_600_000:x}-{chance.randrange(_SESSIONS)}"
    return {
        "timestamp": clock.of_ms(at_ms), **own[kind], "sessionId": session, "metadata": {},
        "eventId": f"{chance.getrandbits(128):032x}", "environment": "staging", "release": None,
    }  # fmt: skip

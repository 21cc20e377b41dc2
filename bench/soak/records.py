"""Holds what was recorded to the trial's own ledger: sessions, hooks, errors, usage, and lines that are none."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.soak import plays

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bench.soak.project import Place
    from bench.soak.truth import Fact

Facts = dict[str, dict[str, "Fact"]]
SOAK_HOOK, OWN_HOOK = "soak.sh", "guard_bash.py"
_BEGINS = '{"ts":'
_BY_STATUS: Mapping[str, str] = {"failure": "SystemError", "timeout": "SystemError"}
_TOKENS = ("inputTokens", "outputTokens", "cacheReadTokens", "cacheWrite5mTokens", "cacheWrite1hTokens")


@dataclass
class Found:
    """What lies in the environment, read by nothing of the product."""

    hooks: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    """By session."""
    errors: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    sessions: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    agents: list[dict[str, Any]] = field(default_factory=list)
    usage: list[dict[str, Any]] = field(default_factory=list)
    """Of each response the newest record."""
    ledger_lines: int = 0
    bad_lines: Counter[str] = field(default_factory=Counter)
    """Lines of journals that are no record, by journal."""
    twice: list[str] = field(default_factory=list)
    """Event ids that are there more than once."""


def found(place: Place) -> Found:
    """Read every record of the environment."""
    result, seen = Found(), Counter[str]()
    for name, kept in (("hooks", result.hooks), ("errors", result.errors), ("session-log", result.sessions)):
        for record in _records(place.data, name, result):
            kept[record.get("sessionId") or ""].append(record)
            seen[record["eventId"]] += 1
    for record in _records(place.data, "agents", result):
        result.agents.append(record)
        seen[record["eventId"]] += 1
    newest: dict[int, dict[str, Any]] = {}
    for line in _lines(place.data, "llm-usage", ".log"):
        result.ledger_lines += 1
        record = json.loads(line)
        if record.get("type") == "torn":
            continue
        first = record.get("amends") or record["_seq"]
        newest[first] = record
        seen[record["eventId"]] += 1
    result.usage = list(newest.values())
    result.twice = [identity for identity, count in seen.items() if count > 1]
    return result


def _records(data: Path, name: str, result: Found) -> Iterator[dict[str, Any]]:
    for line in _lines(data, name, ".jsonl"):
        try:
            record = json.loads(line)
            if not (isinstance(record, dict) and record["eventId"] and isinstance(record["timestamp"], str)):
                raise ValueError  # noqa: TRY301 - as damaged as what does not parse
        except (ValueError, KeyError):
            result.bad_lines[name] += 1
            continue
        yield record


def _lines(data: Path, name: str, suffix: str) -> Iterator[bytes]:
    folder = data / ("sessions" if name == "session-log" else "metrics")
    for place in sorted(folder.glob(f"{name}*{suffix}*")):
        held = place.read_bytes()
        text = gzip.decompress(held) if place.suffix == ".gz" else held
        yield from (line for line in text.split(b"\n") if line.strip())


def faults(facts: Facts, here: Found) -> Iterator[str]:
    """Yield every difference between what was done and what was recorded."""
    if here.twice:
        yield f"{len(here.twice)} event ids are there twice: {here.twice[:3]}"
    yield from _sessions(facts, here)
    yield from _clients(facts, here)
    yield from _usage(facts, here)


def whole(facts: Facts) -> dict[str, bool]:
    """Return of each played session whether all that it did was acknowledged."""
    open_ones: set[str] = set()
    for kind in ("event", "hook"):
        for identity, fact in facts.get(kind, {}).items():
            if fact.state != "done":
                open_ones.add(identity.partition(".")[0])
    return {name: fact.state == "done" and name not in open_ones for name, fact in facts.get("session", {}).items()}


def _sessions(facts: Facts, here: Found) -> Iterator[str]:
    complete, runs = whole(facts), _runs(facts)
    for session, fact in facts.get("session", {}).items():
        known = plays.known(fact.more["play"])
        name = f"{fact.more['play']} {session}"
        events = Counter(record["event"] for record in here.sessions.get(session, ()))
        timed = [record for record in here.hooks.get(session, ()) if record["hook"] == SOAK_HOOK]
        told = [record for record in here.hooks.get(session, ()) if record["hook"] != SOAK_HOOK]
        statuses, expected = Counter(record["status"] for record in timed), runs[session]
        if complete[session]:
            wanted = Counter(known["errors"]) + Counter(
                _BY_STATUS[one] for one in expected["done"].elements() if one in _BY_STATUS
            )
            errors = Counter(record["errorType"] for record in here.errors.get(session, ()))
            yield from _differs(name, "events", events, Counter(fact.more["events"]))
            yield from _differs(name, "timed hooks", statuses, expected["done"])
            yield from _differs(name, "hooks told of", Counter(one["status"] for one in told), Counter(known["hooks"]))
            yield from _differs(name, "errors", errors, wanted)
            agents = Counter(record["status"] for record in here.agents if record["sessionId"] == session)
            yield from _differs(name, "agents", agents, Counter(known["agents"]))
        else:
            yield from _between(name, "timed hooks", statuses, expected["done"], expected["done"] + expected["meant"])
            yield from _between(name, "events", events, Counter(), Counter(fact.more["events"]) + Counter(end=1))


def _runs(facts: Facts) -> dict[str, dict[str, Counter[str]]]:
    """Return the timed hooks of each session by whether they were acknowledged, by status."""
    runs: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: {"done": Counter(), "meant": Counter()})
    for fact in facts.get("hook", {}).values():
        runs[fact.more["session"]][fact.state][fact.more["status"]] += 1
    return runs


def _clients(facts: Facts, here: Found) -> Iterator[str]:
    for session, fact in facts.get("client", {}).items():
        events = Counter(record["event"] for record in here.sessions.get(session, ()))
        hooks = Counter(one["status"] for one in here.hooks.get(session, ()) if one["hook"] == OWN_HOOK)
        errors = Counter(record["errorType"] for record in here.errors.get(session, ()))
        if fact.state == "done":
            yield from _differs(f"client {session}", "events", events, Counter(start=1, prompt=1, stop=1, end=1))
            yield from _differs(f"client {session}", "timed hooks", hooks, Counter(success=fact.more["hooks"]))
            yield from _differs(f"client {session}", "errors", errors, Counter(ValidationError=fact.more["errors"]))
        elif any(count > 1 for count in events.values()) or hooks.total() > fact.more["hooks"]:
            yield f"client {session}, which was killed: {dict(events)}, {dict(hooks)}"


def _usage(facts: Facts, here: Found) -> Iterator[str]:
    expected, certain = _expected(facts)
    held: Counter[str] = Counter()
    for record in here.usage:
        key = record["messageId"] or record["requestId"]
        held[key] += 1
        if key not in expected:
            yield f"nobody used this: {json.dumps(record)[:300]}"
        elif any(record[name] != value for name, value in expected[key].items()) and key in certain:
            yield f"{key}: recorded {[record[name] for name in _TOKENS]}, used {expected[key]}"
    for key, count in held.items():
        if count > 1:
            yield f"{key} is in the ledger {count} times"
    missing = [key for key in certain if key not in held]
    if missing:
        yield f"{len(missing)} of {len(certain)} responses are not in the ledger: {missing[:3]}"
    refused = [one.id for one in facts.get("call", {}).values() if one.state == "refused" and one.id in held]
    if refused:
        yield f"{len(refused)} refused calls are in the ledger: {refused[:3]}"


def _expected(facts: Facts) -> tuple[dict[str, dict[str, int]], set[str]]:
    """Return the tokens of every response by its id, and which of them must be recorded."""
    expected: dict[str, dict[str, int]] = {}
    certain: set[str] = set()
    complete = whole(facts)
    for kind in ("session", "client"):
        for session, fact in facts.get(kind, {}).items():
            used = {key: plays.tokens(one) for key, one in fact.more["usage"].items()}
            expected |= used
            if complete.get(session, kind == "client" and fact.state == "done"):
                certain |= used.keys()
    for kind in ("call", "telemetry"):
        for identity, fact in facts.get(kind, {}).items():
            expected[identity] = {name: fact.more[name] for name in ("inputTokens", "outputTokens")}
            if fact.state == "done":
                certain.add(identity)
    return expected, certain


def _differs(name: str, what: str, here: Counter[str], wanted: Counter[str]) -> Iterator[str]:
    if +here != +wanted:
        yield f"{name}: {what} {dict(here)}, not {dict(wanted)}"


def _between(name: str, what: str, here: Counter[str], least: Counter[str], most: Counter[str]) -> Iterator[str]:
    if here - most or least - here:
        yield f"{name}: {what} {dict(here)}, not from {dict(least)} to {dict(most)}"


def _is_of_a_recorder(text: str) -> bool:
    """Tell what a killed recorder, or one whose disk was full, may have left of a line."""
    return text.startswith(_BEGINS[: len(text)])


def dirt(facts: Facts, place: Place, here: Found) -> Iterator[str]:
    """Yield every line of dirt that was not counted once, and every line counted that was none of ours."""
    kept = [json.loads(line) for line in _kept(place, "damaged-events.jsonl")]
    hashes = Counter(entry["sha256"] for entry in kept)
    own = {**facts.get("damaged", {}), **facts.get("huge", {})}
    names = {identity: identity for identity in own} | {fact.more["start"]: identity for identity, fact in own.items()}
    counted = Counter(names[one] for one in hashes.elements() if one in names)
    for identity, fact in own.items():
        if counted[identity] != 1 and fact.state == "done":
            yield f"a line of dirt was counted {counted[identity]} times: {fact.id}"
    foreign = [entry for entry in kept if entry["sha256"] not in names and not _is_of_a_recorder(entry["text"])]
    if foreign:
        yield f"{len(foreign)} lines are counted as damaged that nobody damaged: {foreign[0]}"
    unknown = b"".join(_kept(place, "unknown-events.jsonl")).decode()
    for fact in facts.get("unknown", {}).values():
        token = fact.more["token"].split('"')[-2]
        if unknown.count(token) != 1 and fact.state == "done":
            yield f"an event of no known form was kept {unknown.count(token)} times: {token}"
    done = sum(fact.state == "done" for fact in facts.get("journal", {}).values())
    if here.bad_lines.total() != done:
        yield f"{here.bad_lines.total()} lines of journals are damaged, {done} were put in: {dict(here.bad_lines)}"


def _kept(place: Place, name: str) -> list[bytes]:
    file = place.state / name
    return file.read_bytes().splitlines() if file.exists() else []

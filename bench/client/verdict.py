"""Holds the records of a journey to its truth; each function returns what is wrong, nothing when all is right."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.client import claude, scenario
from bench.client.journey import ENVIRONMENTS, FILES, JourneyError, travel
from bench.client.messages_api import OWN_AGENT
from bench.client.scenario import HookRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from bench.client.journey import Journey
    from bench.client.messages_api import Served
    from bench.client.scenario import AgentRun, Fault, Session

_TOKENS: Mapping[str, str] = {
    "inputTokens": "input",
    "outputTokens": "output",
    "cacheReadTokens": "cache_read",
    "cacheWrite5mTokens": "cache_write_5m",
    "cacheWrite1hTokens": "cache_write_1h",
}
_COST_STATE: Mapping[str, tuple[str, ...]] = {
    "inputTokens": ("inputTokens",),
    "outputTokens": ("outputTokens",),
    "cacheReadInputTokens": ("cacheReadTokens",),
    "cacheCreationInputTokens": ("cacheWrite5mTokens", "cacheWrite1hTokens"),
}
"""The client's own totals, and which of our fields make each."""
_SLOWEST_MS = 20_000
_A_MILLIONTH = Decimal("0.000001")


def trial(version: str) -> list[str]:
    """Run the journey with one client and return every fault; raises `ProgramMissingError` where it cannot be had."""
    client = claude.install(version)
    with tempfile.TemporaryDirectory() as folder:
        try:
            journey = travel(client, Path(folder).resolve())
        except JourneyError as error:
            return [str(error)]
        return [f"{name}: {fault}" for name, found in faults(journey).items() for fault in found]


def faults(journey: Journey) -> dict[str, list[str]]:
    """Return what is wrong by the name of the check that saw it; empty when all is right."""
    found = {name: list(check(journey)) for name, check in CHECKS.items()}
    return {name: wrong for name, wrong in found.items() if wrong}


def sessions_went_as_scripted(journey: Journey) -> Iterator[str]:
    """Yield where the client did not do what the script meant it to: then the truth would not hold either."""
    for session in journey.scenario.sessions:
        ran = journey.ran[session.name]
        if ran.overdue:
            yield f"{session.name} did not end: {ran.out[-300:]}{ran.err[-300:]}"
        if ran.code != session.exit_code:
            yield f"{session.name} ended with {ran.code}, not {session.exit_code}: {ran.out[-300:]}{ran.err[-300:]}"
        served = {(one.conversation, one.turn) for one in journey.api.served}
        turns = {session.marker: session.steps, **session.agents}
        for marker, steps in turns.items():
            missing = [number for number in range(len(steps)) if (marker, number) not in served]
            if missing:
                yield f"{session.name}: {marker} was never asked for turns {missing}"
    if (journey.scenario.project / scenario.BLOCKED_FILE).exists():
        yield "the guard did not keep the client from writing the forbidden file"
    if scenario.BLOCKED_TEXT not in json.dumps(journey.api.requests):
        yield "the model was not told why the guard blocked"
    refused = {path for path in journey.api.contacted if path.startswith("CONNECT")}  # the harness lets nothing out
    known = {"POST /v1/messages", "POST /v1/messages/count_tokens", "GET /v1/models"}
    for path in journey.api.contacted.keys() - known - refused:
        yield f"the client asked for {path}, which the API in use here does not know"


def hooks_are_timed(journey: Journey) -> Iterator[str]:
    """Yield hooks of the project that are missing, doubled or wrong, by event, tool, script and status."""
    for environment in ENVIRONMENTS:
        found = journey.records[environment]["hooks"]
        expected: Counter[HookRun] = Counter()
        for session in journey.sessions(environment):
            expected += session.hooks
        tools = {(run.event, run.script): run.tool for run in expected}
        actual: Counter[HookRun] = Counter()
        for one in found:
            # of events that follow at once the hook's cannot be told for certain: no tool then, but never another
            tool = one["tool"] or tools.get((one["event"], _script(one)))
            actual[HookRun(one["event"], tool, _script(one), one["status"])] += 1
        yield from _difference(environment, expected, actual)
        for record in found:
            shortest = {"slow.sh": scenario.SLOW_SECONDS * 500, "tidy.sh": 50}.get(_script(record), 0)
            if not shortest <= (record["executionTimeMs"] or 0) < _SLOWEST_MS:
                yield f"{environment}: {_script(record)} took {record['executionTimeMs']} ms"


def agents_are_recorded(journey: Journey) -> Iterator[str]:
    """Yield agent runs that are missing, doubled or wrong: its agent, end, tokens and call; no warm-up counts."""
    for environment in ENVIRONMENTS:
        expected = Counter(
            (
                session.name,
                step.agent.agent,
                step.agent.status,
                _tokens(journey, step.agent),
                _call(journey, session, turn),
            )
            for session in journey.sessions(environment)
            for turn, step in enumerate(session.steps)
            if step.agent
        )
        names = journey.session_ids(environment)
        found = journey.records[environment]["agents"]
        actual = Counter(
            (names.get(one["sessionId"]), one["agent"], one["status"], one["tokensUsed"] or 0, one["taskId"])
            for one in found
        )
        yield from _difference(environment, expected, actual)
        for record in found:
            if record["status"] == "failed" and not record["errorMessage"]:
                yield f"{environment}: {record['agent']} failed without a message"
            if record["status"] == "completed" and not 0 < (record["durationMs"] or 0) < _SLOWEST_MS:
                yield f"{environment}: {record['agent']} took {record['durationMs']} ms"


def errors_are_classified(journey: Journey) -> Iterator[str]:
    """Yield errors that are missing, doubled or wrong, by session, type, severity and tool."""
    for environment in ENVIRONMENTS:
        names = journey.session_ids(environment)
        left = list(journey.records[environment]["errors"])
        for session in journey.sessions(environment):
            for fault in session.faults:
                own = [one for one in left if names.get(one["sessionId"]) == session.name and _is(fault, one)]
                match = next((one for one in own if one["tool"]), own[0] if own else None)
                if match is None:
                    yield f"{environment}: no record of {fault} in {session.name}"
                else:
                    left.remove(match)
        for record in left:
            shown = {key: record.get(key) for key in ("errorType", "severity", "source", "tool", "message")}
            yield f"{environment}: nothing of the kind happened in {names.get(record['sessionId'])}: {shown}"


def sessions_are_logged(journey: Journey) -> Iterator[str]:
    """Yield starts, prompts, stops and ends that are missing or too many, and sessions that nobody started."""
    for environment in ENVIRONMENTS:
        names = journey.session_ids(environment)
        expected = Counter(
            (session.name, event) for session in journey.sessions(environment) for event in session.events.elements()
        )
        found = journey.records[environment]["sessions"]
        actual = Counter((names.get(one["sessionId"], one["sessionId"]), _event(one)) for one in found)
        yield from _difference(environment, expected, actual)
        for record in found:
            if record["event"] == "start" and record["source"] != "startup":
                yield f"{environment}: a start has the source {record['source']}"
            if record["event"] == "end":
                yield from _end_faults(journey, record)


def usage_is_exact(journey: Journey) -> Iterator[str]:
    """Yield responses whose tokens are missing, doubled or other than the API said, by request."""
    for environment in ENVIRONMENTS:
        found = _newest(journey.records[environment]["usage"])
        actual = Counter(str(one["requestId"]) for one in found)
        yield from (f"{environment}: {request} is recorded {n} times" for request, n in actual.items() if n > 1)
        by_request = {one["requestId"]: one for one in found}
        expected = {one.request_id: one for one in _billed(journey, environment)}
        for request in expected.keys() - by_request.keys() - _unwritten(journey):
            yield f"{environment}: {expected[request]} is not recorded"
        for request, record in by_request.items():
            yield from _usage_faults(journey, environment, expected.get(request), record)


def usage_equals_the_clients_own_totals(journey: Journey) -> Iterator[str]:
    """Yield models whose tokens or USD are not what the client says they were; older clients say nothing."""
    for environment in ENVIRONMENTS:
        for session_id, name in journey.session_ids(environment).items():
            totals = _closing(journey, session_id).get("modelUsage", {})
            mine = [one for one in _newest(journey.records[environment]["usage"]) if one["sessionId"] == session_id]
            for model, used in totals.items():
                own = [one for one in mine if one["model"] == model]
                for key, fields in _COST_STATE.items():
                    total = sum(one[key] for one in own for key in fields)
                    if used[key] != total:
                        yield f"{environment}: {name}: {model}: {total} {key}, the client says {used[key]}"
                usd = sum((Decimal(one["costUsd"] or 0) for one in own), Decimal())
                if abs(usd - Decimal(str(used["costUSD"]))) > _A_MILLIONTH:
                    yield f"{environment}: {name}: {model}: ${usd}, the client says ${used['costUSD']}"


def environments_are_apart(journey: Journey) -> Iterator[str]:
    """Yield what of one environment is found in the other, and files that the other's sessions changed."""
    for environment in ENVIRONMENTS:
        names = journey.session_ids(environment)
        for file, found in journey.records[environment].items():
            for record in found:
                if record.get("environment") != environment and record.get("type") != "torn":
                    yield f"{environment}: a record of {record.get('environment')} in {FILES[file]}"
                known = record.get("sessionId")
                if known and known not in names and known not in _throwaway(journey):
                    yield f"{environment}: session {known} in {FILES[file]} is none of its own"
        before, after = journey.untouched[environment]
        changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        if changed:
            yield f"{environment}: changed by the other's sessions: {sorted(changed)}"
    if (journey.scenario.project / ".agent-studio/unrouted.jsonl").exists():
        yield "events went to no environment"


def records_are_sound(journey: Journey) -> Iterator[str]:
    """Yield records without an id, with one that another has, or without a time."""
    for environment in ENVIRONMENTS:
        for file, found in journey.records[environment].items():
            ids = Counter(str(one.get("eventId")) for one in found)
            yield from (
                f"{environment}: {FILES[file]}: {n} records have the id {one}" for one, n in ids.items() if n > 1
            )
            for record in found:
                if "release" not in record or not str(record.get("timestamp", "")).endswith("Z"):
                    yield f"{environment}: {FILES[file]}: {record}"


def ingest_is_exactly_once(journey: Journey) -> Iterator[str]:
    """Yield records that a later ingest took back or added; only of clients that were ended some comes late."""
    for environment in ENVIRONMENTS:
        names = journey.session_ids(environment)
        killed = {one.name for one in journey.sessions(environment) if one.ended_by}
        for file, found in journey.records[environment].items():
            before, after = journey.at_once[environment][file], journey.again[environment][file]
            if found != after:
                yield f"{environment}: {FILES[file]} had {len(found)} records and has {len(after)}"
            if found[: len(before)] != before:
                yield f"{environment}: {FILES[file]} was rewritten"
            late = [one for one in found[len(before) :] if names.get(one["sessionId"]) not in killed]
            yield from (f"{environment}: came late to {FILES[file]}: {one}" for one in late)


def uninstall_restores(journey: Journey) -> Iterator[str]:
    """Yield settings files that were never wired, or are not what they were before."""
    before, wired, after = (journey.settings[when] for when in ("before", "wired", "after"))
    if before == wired:
        yield "the hooks were not installed"
    yield from (f"{name} is not what it was" for name in before if before[name] != after[name])


CHECKS: Mapping[str, Callable[[Journey], Iterable[str]]] = {
    check.__name__: check
    for check in (
        sessions_went_as_scripted, hooks_are_timed, agents_are_recorded, errors_are_classified, sessions_are_logged,
        usage_is_exact, usage_equals_the_clients_own_totals, environments_are_apart, records_are_sound,
        ingest_is_exactly_once, uninstall_restores,
    )
}  # fmt: skip
"""Everything that must hold, by name."""


def _difference(where: str, expected: Counter[Any], actual: Counter[Any]) -> Iterator[str]:
    yield from (f"{where}: missing {n} x {one}" for one, n in (expected - actual).items())
    yield from (f"{where}: unexpected {n} x {one}" for one, n in (actual - expected).items())


def _script(record: Mapping[str, Any]) -> str:
    """Return the script's name from a hook's name, `EVENT:SCRIPT`."""
    return str(record["hook"]).rpartition(":")[2]


def _event(record: Mapping[str, Any]) -> str:
    """Tell what the client says to itself of an agent's end from a prompt of the user."""
    return scenario.NOTIFIED if record["source"] == "task-notification" else str(record["event"])


def _end_faults(journey: Journey, record: Mapping[str, Any]) -> Iterator[str]:
    """Yield where an end's duration or cost is not the process's and the client's own."""
    name = {journey.session_id(one): one.name for one in journey.scenario.sessions}.get(record["sessionId"], "")
    if name and not 0 < record["durationMs"] <= journey.ran[name].seconds * 1_000:
        yield f"{name} took {record['durationMs']} ms, its process {journey.ran[name].seconds} s"
    cost, own = record["costUsd"], _closing(journey, record["sessionId"]).get("totalCostUSD")
    if own is not None and (cost is None or abs(Decimal(str(cost)) - Decimal(str(own))) > _A_MILLIONTH):
        yield f"{name} cost {cost}, the client says {own}"


def _is(fault: Fault, record: Mapping[str, Any]) -> bool:
    return (
        record["errorType"] == fault.error_type
        and record["severity"] in fault.severity
        # as of hooks: of events that follow at once a hook's tool cannot be told for certain
        and ((record["tool"] or None) == fault.tool or (record["source"] == "hook" and not record["tool"]))
    )


def _tokens(journey: Journey, run: AgentRun) -> int:
    return sum(one.usage.counted for one in journey.api.of(run.marker)) if run.marker else 0


def _call(journey: Journey, session: Session, turn: int) -> str:
    """Return the id of the call of a tool that the API served in a turn."""
    return next(one.tool_ids[0] for one in journey.api.of(session.marker) if one.turn == turn)


def _newest(usage: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what a later record amends, and notes of torn writes."""
    amended = {one.get("amends") for one in usage}
    return [one for one in usage if one.get("type") != "torn" and one["_seq"] not in amended]


def _billed(journey: Journey, environment: str) -> list[Served]:
    """Return the responses whose tokens belong to an environment, the client's own agents' among them."""
    names = journey.session_ids(environment)
    asked = [one for session in journey.sessions(environment) for one in journey.served(session)]
    return asked + [one for one in journey.api.of(OWN_AGENT) if one.session_id in names]


def _unwritten(journey: Journey) -> set[str]:
    """Return the requests of which nobody can know: the client was ended, or its warm-up cut short, before it wrote."""
    lines = [line for place in journey.transcripts() for line in place.read_text(encoding="utf-8").splitlines()]
    written = {json.loads(line).get("requestId") for line in lines if '"requestId"' in line}
    ended = [one for session in journey.scenario.sessions if session.ended_by for one in journey.served(session)]
    return {one.request_id for one in [*ended, *journey.api.of(OWN_AGENT)]} - written


def _usage_faults(
    journey: Journey, environment: str, served: Served | None, record: Mapping[str, Any]
) -> Iterator[str]:
    names = journey.session_ids(environment)
    request = record["requestId"]
    if served is None:
        yield f"{environment}: {request} is no response of this environment's sessions"
        return
    for key, attribute in _TOKENS.items():
        if record[key] != getattr(served.usage, attribute):
            yield f"{environment}: {request} has {key} {record[key]}, served were {getattr(served.usage, attribute)}"
    if record["model"] != served.model or record["messageId"] != served.message_id:
        yield f"{environment}: {request} is of {record['model']} {record['messageId']}, served was {served}"
    if record["sessionId"] != served.session_id or record["sessionId"] not in names:
        yield f"{environment}: {request} is said to be of session {record['sessionId']}, it was {served.session_id}"
    agents = {marker for one in journey.sessions(environment) for marker in one.agents}
    if (record["agent"] == scenario.AGENT) != (served.conversation in agents):
        yield f"{environment}: {request} of {served.conversation} is said to be of agent {record['agent']}"


def _closing(journey: Journey, session_id: str) -> dict[str, Any]:
    """Return the client's own account at the end of a session, empty when it kept none."""
    closing: dict[str, Any] = {}
    for place in journey.transcripts():
        if place.stem == session_id:
            for line in place.read_text(encoding="utf-8").splitlines():
                parsed = json.loads(line)
                closing = parsed if parsed.get("type") == "cost-state" else closing
    return closing


def _throwaway(journey: Journey) -> set[str]:
    """Return the session ids that the API saw for the client's own agents."""
    return {one.session_id for one in journey.api.of(OWN_AGENT)}

"""`cost record`: calls of programs that ask models themselves."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Result
from agent_studio.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.cost.calls import Ledger, Recorded
    from agent_studio.records import LlmUsage

_COUNTS = {
    "input-tokens": "tokens of the request that no cache held",
    "output-tokens": "tokens of the answer",
    "cache-read-tokens": "tokens of the request that were read from the cache",
    "cache-write5m-tokens": "tokens written to the cache for five minutes",
    "cache-write1h-tokens": "tokens written to the cache for an hour",
    "web-searches": "searches that the model made",
}
_TEXTS = {
    "provider": "who answered, such as anthropic",
    "session-id": "session that it belongs to",
    "request-id": "the provider's id of the request",
    "message-id": "the provider's id of the answer",
    "agent": "agent that asked",
    "skill": "skill that it was asked for",
    "task-id": "task that it was asked for",
    "service-tier": "tier that the provider served it in",
    "speed": "speed that was asked for, where it has a price",
    "region": "region that it was served from, where it has a price",
    "cost-usd": "what it cost, USD (default: worked out from the price of its day)",
}
_LINE_MAX = 1 << 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add a field a column of the ledger."""
    parser.add_argument("--model", metavar="MODEL", help="the model that answered, as the API spells it")
    for name, meaning in _COUNTS.items():
        parser.add_argument(f"--{name}", type=int, default=0, metavar="N", help=meaning)
    for name, meaning in _TEXTS.items():
        parser.add_argument(f"--{name}", metavar="USD" if name == "cost-usd" else "TEXT", help=meaning)
    parser.add_argument("--at", metavar="TIME", help="when it was answered, RFC 3339 (default: now)")
    parser.add_argument(
        "--stdin", action="store_true", help="read calls as JSON lines, with fields named as in the ledger"
    )


def run(args: argparse.Namespace, session: Session) -> Result:
    """Record one call, or each line of stdin; a wrong line is named, and then none is recorded."""
    from agent_studio.cost.calls import Ledger  # noqa: PLC0415 - only what the chosen sub-verb needs

    ledger = Ledger(session.context)
    if args.stdin:
        records = [_prepared(ledger, fields, f"line {number}: ") for number, fields in _lines()]
    else:
        if not args.model:
            raise UsageError("--model is missing", hint="or pass calls as JSON lines: --stdin")
        names = [name.replace("-", "_") for name in ("model", *_COUNTS, *_TEXTS, "at")]
        given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
        records = [_prepared(ledger, given, "")]
    done = ledger.append(records) if records else []
    data = {"recorded": len(done), "calls": [recorded._asdict() for recorded in done[-100:]]}
    return Result(data, lambda screen: _render(screen, done))


def _lines() -> Any:
    fields = {_camel(name): name.replace("-", "_") for name in ("model", "project", *_COUNTS, *_TEXTS)}
    fields["timestamp"] = "at"
    for number, text in enumerate(sys.stdin, start=1):
        if not text.strip():
            continue
        try:
            line = json.loads(text) if len(text) <= _LINE_MAX else None
        except (ValueError, RecursionError):
            line = None
        if not isinstance(line, dict):
            raise UsageError(f"line {number} of stdin is no JSON object", hint="one call a line: " + '{"model": "..."}')
        for name in line:
            if name not in fields:
                raise UsageError(f"line {number} of stdin: unknown field {name!r}", hint=did_you_mean(name, fields))
        yield number, {fields[name]: value for name, value in line.items() if value is not None}


def _camel(name: str) -> str:
    first, *rest = name.split("-")
    return first + "".join(word.capitalize() for word in rest)


def _prepared(ledger: Ledger, fields: dict[str, Any], where: str) -> LlmUsage:
    texts = {"model", "project", "at", *(name.replace("-", "_") for name in _TEXTS)}
    for name, value in fields.items():
        if name in texts and not isinstance(value, str):
            raise UsageError(f"{where}{name} is {value!r}", hint="write it as text")
    if "at" in fields:
        fields = {**fields, "at": _moment(fields["at"], where)}
    try:
        return ledger.prepared(**{"model": "", **fields})
    except UsageError as error:
        raise UsageError(where + error.message, hint=error.hint) from None


def _moment(text: str, where: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise UsageError(f"{where}{text!r} is no time with an offset", hint="such as 2026-01-31T09:30:00Z")
    return moment


def _render(screen: Screen, done: list[Recorded]) -> None:
    for recorded in done[-1:]:
        price = "no price is known" if recorded.cost_usd is None else f"${recorded.cost_usd} ({recorded.price_source})"
        screen.mark("ok", f"{len(done)} recorded, the last as number {recorded.seq}: {price}")
    if not done:
        screen.mark("none", "nothing to record")

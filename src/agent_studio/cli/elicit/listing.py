"""`elicit list`: the methods with how much of what each found was taken, and the runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Result, harmless
from agent_studio.errors import UsageError
from agent_studio.reasoning.elicitation import methods, store
from agent_studio.reasoning.elicitation.acceptance import Acceptance, acceptance

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.reasoning.elicitation.methods import Method

_NONE = Acceptance()
_LIMIT_MAX = 10_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="runs at most, newest first (default: 20)")


def run(args: argparse.Namespace, session: Session) -> Result:
    """List methods and runs."""
    if not 0 <= args.limit <= _LIMIT_MAX:
        raise UsageError(f"--limit {args.limit} is not from 0 to {_LIMIT_MAX}")
    context = session.context
    past = store.index(context)
    listed, offered = methods.load(context), methods.on_offer(context)
    measured = acceptance(past)
    runs = _runs(past)[: args.limit]
    data = {"methods": [_data(one, one.id in offered, measured) for one in listed.values()], "runs": runs}
    return Result(data, lambda screen: _render(screen, [listed[one] for one in offered], measured, runs))


def _data(method: Method, is_offered: bool, measured: Mapping[str, Acceptance]) -> dict[str, Any]:  # noqa: FBT001 - read at the one call
    own = measured.get(method.id, _NONE)
    return {
        "id": method.id, "name": method.name, "purpose": method.purpose, "aliases": list(method.aliases),
        "kinds": list(method.kinds), "evidence": method.evidence, "source": method.source, "onOffer": is_offered,
        **own._asdict(), "acceptance": own.share,
    }  # fmt: skip


def _runs(past: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the runs, newest first."""
    ended = {one["id"]: one for one in past if one["kind"] == store.ENDED}
    decided: dict[str, dict[str, int]] = {}
    for one in past:
        if one["kind"] in {store.APPLIED, store.REJECTED}:
            own = decided.setdefault(one["id"], {})
            own[one["kind"]] = own.get(one["kind"], 0) + len(one["findings"])
    return [
        {
            "id": one["id"], "timestamp": one["timestamp"], "session": one["session"], "methods": one["methods"],
            "model": one["model"], "file": one["file"] or None, "status": ended.get(one["id"], {}).get("status"),
            "findings": sum(sum(own.values()) for own in ended.get(one["id"], {}).get("methods", {}).values()),
            "applied": decided.get(one["id"], {}).get(store.APPLIED, 0),
            "rejected": decided.get(one["id"], {}).get(store.REJECTED, 0),
            "costUsd": ended.get(one["id"], {}).get("costUsd"),
        }
        for one in reversed(past)
        if one["kind"] == store.BEGAN
    ]  # fmt: skip


def _render(
    screen: Screen, offered: Sequence[Method], measured: Mapping[str, Acceptance], runs: Sequence[Mapping[str, Any]]
) -> None:
    rows = []
    for method in offered:
        own = measured.get(method.id, _NONE)
        taken = "-" if own.share is None else f"{own.applied} of {own.applied + own.rejected}"
        rows.append((method.id, harmless(method.purpose), own.runs or "-", own.findings or "-", taken))
    screen.columns(("method", "what it does", "runs", "findings", "taken"), rows, numbers=("runs", "findings"))
    if runs:
        screen.line()
        headings = ("run", "on", "methods", "findings", "taken", "cost USD")
        screen.columns(headings, [_row(one) for one in runs], numbers=("findings",))


def _row(one: Mapping[str, Any]) -> tuple[object, ...]:
    decided = one["applied"] + one["rejected"]
    return (
        one["id"], harmless(one["file"] or "-"), ", ".join(one["methods"]), one["findings"],
        f"{one['applied']} of {decided}" if decided else "-", one["costUsd"] or one["status"] or "not ended",
    )  # fmt: skip

"""Acts on budgets before the money is gone: warns the agent, or stops prompts and tools once nothing is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.guards.handler import Call, Handler, Outcome

if TYPE_CHECKING:
    from agent_studio.cost.budgets import Budget
    from agent_studio.cost.spending import Status
    from agent_studio.environment.context import Context

_WARNS = ("SessionStart", "UserPromptSubmit")
_BLOCKS = ("UserPromptSubmit", "PreToolUse")


def asked(context: Context) -> frozenset[str]:
    """Return the events that the configuration's budgets need."""
    actions = {entry.get("action") for entry in context.config["cost.budgets"] or () if hasattr(entry, "get")}
    return frozenset((*(_WARNS if "warn" in actions else ()), *(_BLOCKS if "block" in actions else ())))


def decide(call: Call) -> Outcome | None:
    """Deny when a budget that blocks is over; tell the agent once of every level that one which warns has reached."""
    context = call.context()
    if call.event not in asked(context):
        return None
    from agent_studio.cost.budgets import budgets  # noqa: PLC0415 - only where a budget acts

    listed = [one for one in budgets(context) if one.action != "report"]
    wanted = [one for one in listed if call.event in (_BLOCKS if one.action == "block" else _WARNS)]
    try:
        return _outcome(call, context, wanted) if wanted else None
    except Exception as error:
        if any(one.closed for one in wanted):
            return Outcome(deny=f"agent-studio: a budget that blocks could not be looked at: {error}")
        raise


def _outcome(call: Call, context: Context, wanted: list[Budget]) -> Outcome | None:
    from agent_studio.cost import notices, watch  # noqa: PLC0415 - only where a budget acts

    session, transcript = str(call.payload.get("session_id", "")), str(call.payload.get("transcript_path", ""))
    found = watch.of_session(context, wanted, session, transcript)
    over = [one for one in found if one.budget.action == "block" and one.is_over]
    if over:
        return Outcome(deny=_reason(over[0]))
    warned = [one for one in found if one.budget.action == "warn" and one.crossed]
    fresh = {(notice["budget"], notice["key"]) for notice in notices.new_notices(context.root, warned, session=session)}
    said = [_said(one) for one in warned if (one.budget.name, one.key) in fresh]
    return Outcome(context="\n".join(said)) if said else None


def _reason(one: Status) -> str:
    reset = ""
    if one.end_ms is not None:
        reset = f" It begins anew at {one.budget.zone.local(one.end_ms):%Y-%m-%d %H:%M} ({one.budget.zone.name})."
    return (
        f"agent-studio: {_said(one)}{reset} Who may spend more changes cost.budgets in the project's configuration; "
        "agent-studio cost budget shows it."
    )


def _said(one: Status) -> str:
    name = f"{one.budget.name} ({one.key})" if one.key else one.budget.name
    least = "at least " if one.unpriced else ""
    used = f"{least}{one.budget.shown(one.used)} of {one.budget.shown(one.budget.limit)}"
    return f"the budget {name!r} is used up: {used}." if one.is_over else f"the budget {name!r}: {used} are used."


HANDLER = Handler("budget", decide)

"""What dashboards show, as plain dicts: data in, dict out, nothing written. Terminal, browser and `--json` draw these.

Times are RFC 3339 UTC with milliseconds, durations ms, ratios 0 to 1, amounts USD (null: no price is known). A state is
`OK`, `BREACH`, `UNKNOWN` (too little data) or `OFF` (no limit). Texts come from records as they are: whoever draws them
makes them harmless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from agent_studio import clock
from agent_studio.capture.recorder import routes
from agent_studio.dashboard import figures
from agent_studio.monitor import metrics, watchers
from agent_studio.monitor.summary import DAY_MS, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.monitor.alerts import Alert
    from agent_studio.monitor.rules import Verdict
    from agent_studio.monitor.summary import Summary

Engine = Literal["plain", "sql"]
_LIMIT = (
    "rule", "label", "state", "severity", "value", "low", "high", "limit", "unit", "count", "needed", "message",
)  # fmt: skip
_TEXT_MAX = 500
"""Characters of a text; what a record holds beyond is in its journal."""
_EVERYTHING = ""
"""The label of a verdict on all hooks or agents together."""


def last(hours: float) -> Window:
    """Return the hours up to now."""
    return metrics.last_hours(hours)


def now_ms() -> int:
    """Return the current time, ms since 1970."""
    return int(clock.now().timestamp() * 1000)


def overview(context: Context, window: Window, *, engine: Engine | None = None) -> dict[str, Any]:
    """Return the state of one environment at a glance; `data` of `monitor --json`.

    `{from (journals, fleet), environment, window{from, to, hours}, state, limits[],
    hooks[{hook, calls, failures, blocked, timed, failureRate, avgMs, p50Ms, p95Ms, p99Ms, last, state}],
    agents[{agent, runs, failures, cancelled, failureRate, tokens, avgMs, p95Ms, last, state}],
    errors{total, counted, bySeverity (severity: n), hours[{hour, severity, count}]},
    spend[{model, hour, tokens, costUsd, unpricedTokens}], models[{model, tokens, costUsd, unpricedTokens}],
    totals{calls, failures, blocked, failureRate, runs, agentFailures, agentFailureRate, tokens, costUsd,
    unpricedTokens}, timeline[{hour, errors, tokens, costUsd}] (every hour, errors that count),
    sessions{started, ended, prompts, open}, alerts[],
    newest (time or null), ageSeconds (of the newest record, or null), damagedLines, futureRecords, waitingBytes
    (recorded and not yet ingested), unrouted}`; of a fleet these two are null: they are in each machine's own files.

    A limit is `{rule, label, state, severity, value, low, high, limit, unit, count, needed, message}`; label is the
    hook or agent, empty for all together; low and high bound the value; needed: how many more runs a verdict takes.
    An alert is `{id, rule, label, state (pending, firing, resolved), severity, value, low, high, limit, unit, count,
    message, since, updated, acknowledged{at, who, note} or null, silenced{pattern, until, who, why} or null,
    open (it fires, and nobody has taken note), ...}`.
    """
    from agent_studio.monitor import alerts  # noqa: PLC0415 - only for this

    summary, verdicts = judged(context, window, engine)
    return overview_of(context, summary, verdicts, alerts.current(context))


def judged(context: Context, window: Window, engine: Engine | None = None) -> tuple[Summary, list[Verdict]]:
    """Return the figures of a stretch of time, and the verdict on every limit; there are none where nothing is watched.

    Failures in a burst are those of the last hour, whatever the stretch.
    """
    from agent_studio.monitor import rules  # noqa: PLC0415 - the ledger's table comes with it
    from agent_studio.monitor.times import times  # noqa: PLC0415 - the same

    summary = metrics.summary(context, window, engine=engine)
    if not rules.is_watched(context):
        return summary, []
    recent = metrics.summary(context, last(1))
    return summary, rules.verdicts(context, summary, recent, durations=times)


def overview_of(
    context: Context, summary: Summary, verdicts: Sequence[Verdict], alerts: Iterable[Alert]
) -> dict[str, Any]:
    """Return `overview` of what is known already: who evaluates alerts has the summary and its verdicts."""
    found: dict[str, Any] = _clipped(
        {
            "from": source(context),
            "environment": str(context.environment),
            "window": figures.of_window(summary.window),
            "state": _standing(verdicts),
            "limits": [of_verdict(one) for one in verdicts],
            "hooks": [figures.of_hook(one, _state(verdicts, "hook", one.hook)) for one in summary.hooks],
            "agents": [figures.of_agent(one, _state(verdicts, "agent", one.agent)) for one in summary.agents],
            "errors": figures.of_errors(summary.errors),
            "spend": [figures.of_spend(one) for one in summary.spend],
            "models": figures.of_models(summary.spend),
            "totals": _totals(summary),
            "timeline": figures.timeline(summary),
            "sessions": summary.sessions._asdict(),
            "alerts": [of_alert(one) for one in alerts],
            **_freshness(context, summary),
        }
    )
    return found


def hooks(context: Context, window: Window) -> dict[str, Any]:
    """Return all hooks.

    `{window, hooks[], events[{event, tool, calls, failures, blocked, failureRate, p50Ms, p95Ms, p99Ms}],
    slowest[{hook, event, tool, time, durationMs, status, sessionId}], silent[{kind (hook, agent), name, last,
    usualGapMs, silentMs}]}`; hooks as in `overview`, the hundred slowest runs.
    """
    found = overview(context, window)
    return {
        "window": found["window"],
        "hooks": found["hooks"],
        "events": _rows(context, "hook_events", window),
        "slowest": _rows(context, "slowest_hooks", window),
        "silent": _rows(context, "silence", window),
    }


def hook(context: Context, name: str, window: Window) -> dict[str, Any]:
    """Return one hook.

    `{window, hook (as in `overview`, or null), limitMs (its own p95 at most, or null), histogram[{fromMs, toMs,
    calls}], history[{time, calls, failures, blocked, p50Ms, p95Ms, p99Ms}]}`; history by hour, by day above 3 days.
    """
    from agent_studio.monitor.rules import HOOK_TIME  # noqa: PLC0415 - the ledger's table comes with it

    found, label = overview(context, window), _clipped(name)
    limits = (one["limit"] for one in found["limits"] if (one["rule"], one["label"]) == (HOOK_TIME, label))
    return {
        "window": found["window"],
        "hook": next((one for one in found["hooks"] if one["hook"] == label), None),
        "limitMs": next(limits, None),
        "histogram": _rows(context, "hook_histogram", window, hook=name),
        "history": _rows(context, "hook_history", window, hook=name),
    }


def agents(context: Context, window: Window) -> dict[str, Any]:
    """Return all agents and their latest runs.

    `{window, agents[], runs[{time, agent, agentId, sessionId, parent, durationMs, tokens, status, errorMessage}]}`;
    agents as in `overview`; parent is the agentId that started it, null for the session itself.
    """
    found = overview(context, window)
    return {"window": found["window"], "agents": found["agents"], "runs": _rows(context, "agent_runs", window)}


def errors(context: Context, window: Window) -> dict[str, Any]:
    """Return errors, by hour, grouped, and the latest.

    `{window, errors{total, counted, bySeverity, hours[]}, groups[{errorType, severity, source, shape, count, first,
    last}], latest[{time, errorType, severity, source, shape, message, tool, sessionId, eventId, metadata (JSON
    text)}]}`; shape is a message without what differs from one to the next. Groups: the worst severity first, then the
    most frequent; latest: the newest of all and the newest ten of each group.
    """
    found = overview(context, window)
    return {
        "window": found["window"],
        "errors": found["errors"],
        "groups": _rows(context, "errors_grouped", window),
        "latest": _rows(context, "errors_latest", window),
    }


def costs(context: Context, window: Window) -> dict[str, Any]:
    """Return spend and budgets.

    `{window, spend[], models[], timeline[], totals{tokens, costUsd, unpricedTokens}, budgets[]}`; all but the budgets
    as in `overview`, those as `cost budget --json` has them.
    """
    found = overview(context, window)
    kept = {name: found[name] for name in ("window", "spend", "models", "timeline", "totals")}
    return {**kept, "budgets": budgets(context)}


def budgets(context: Context) -> list[dict[str, Any]]:
    """Return where every budget stands; notices nothing, so a page that is open crosses no level."""
    from agent_studio.monitor import spend  # noqa: PLC0415 - only for budgets

    return [one.to_json() for one in spend.standing(context)]


def sessions(context: Context, window: Window) -> dict[str, Any]:
    """Return sessions, the latest first.

    `{window, sessions[{sessionId, first, last, prompts, calls, failures, errors, runs, tokens, costUsd, source,
    model, open}]}`.
    """
    return {"window": figures.of_window(window), "sessions": _rows(context, "sessions", window)}


def session(context: Context, session_id: str, window: Window) -> dict[str, Any]:
    """Return what happened in one session, in order.

    `{window, sessionId, events[{time, kind (session, hook, agent, error, usage), name, status, durationMs, detail}]}`.
    """
    return {
        "window": figures.of_window(window),
        "sessionId": session_id,
        "events": _rows(context, "session_timeline", window, session_id=session_id),
    }


def trends(context: Context, days: int = 7) -> dict[str, Any]:
    """Return the last days, each a day (UTC), the running one last; days without records are there with 0.

    `{from, environment, window, days[{date, calls, failures, blocked, failureRate, p50Ms, p95Ms, runs, agentFailures,
    agentFailureRate, errors, sessions, tokens, costUsd}]}`; errors are those that count.
    """
    until_ms = last(1).until_ms
    window = Window((until_ms // DAY_MS - days + 1) * DAY_MS, until_ms)
    return {
        "from": source(context),
        "environment": str(context.environment),
        "window": figures.of_window(window),
        "days": _rows(context, "trends_by_day", window),
    }


def source(context: Context) -> str:
    """Return where an environment's figures are from."""
    return "journals" if context.shared is None else "fleet"


def alerts(context: Context) -> dict[str, Any]:
    """Return alerts: `{alerts[]}` as in `overview`, open ones first, then by severity."""
    from agent_studio.monitor import alerts as kept  # noqa: PLC0415 - only for alerts

    return {"alerts": [of_alert(one) for one in kept.current(context)]}


def of_verdict(one: Verdict) -> dict[str, Any]:
    """Return LIMIT of `overview`."""
    return {name: getattr(one, name) for name in _LIMIT}


def of_alert(one: Alert) -> dict[str, Any]:
    """Return ALERT of `overview`."""
    return {**one._asdict(), "message": _clipped(one.message), "open": one.is_open}


def _standing(verdicts: Sequence[Verdict]) -> str:
    """Return the state of an environment: any breach breaks it, what is UNKNOWN of all together leaves it open."""
    if any(one.state == "BREACH" for one in verdicts):
        return "BREACH"
    return figures.worst(one.state for one in verdicts if one.label == _EVERYTHING)


def _state(verdicts: Sequence[Verdict], kind: str, label: str) -> str:
    return figures.worst(one.state for one in verdicts if one.label == label and one.rule.startswith(kind))


def _totals(summary: Summary) -> dict[str, Any]:
    calls, failures = sum(one.calls for one in summary.hooks), sum(one.failures for one in summary.hooks)
    runs, cancelled = sum(one.runs for one in summary.agents), sum(one.cancelled for one in summary.agents)
    failed = sum(one.failures for one in summary.agents)
    return {
        "calls": calls, "failures": failures, "blocked": sum(one.blocked for one in summary.hooks),
        "failureRate": figures.ratio(failures, calls), "runs": runs, "agentFailures": failed,
        "agentFailureRate": figures.ratio(failed, runs - cancelled), **figures.total(summary.spend),
    }  # fmt: skip


def _freshness(context: Context, summary: Summary) -> dict[str, Any]:
    """Return how far what is shown can be trusted."""
    newest = summary.newest_ms
    return {
        "newest": None if newest is None else clock.of_ms(newest),
        "ageSeconds": None if newest is None else round((now_ms() - newest) / 1000),
        "damagedLines": summary.damaged,
        "futureRecords": summary.future,
        **_waiting(context),
    }


def _waiting(context: Context) -> dict[str, int | None]:
    """Return what was recorded and is nowhere yet; of a fleet it is in each machine's own files."""
    if context.shared is not None:
        return {"waitingBytes": None, "unrouted": None}
    unrouted = routes.unrouted(context.project)
    return {
        "waitingBytes": watchers.waiting_bytes(context),
        "unrouted": 0 if unrouted is None else unrouted.count,
    }


def _rows(context: Context, query: str, window: Window, **parameters: Any) -> list[dict[str, Any]]:
    """Return a query's rows, columns named as JSON has them and moments written as times."""
    return [
        {_key(name): _clipped(_value(name, value)) for name, value in row.items()}
        for row in metrics.rows(context, query, window, **parameters)
    ]


def _key(column: str) -> str:
    """Return a column's JSON name: `p95_ms` is p95Ms; a moment loses its unit, `last_at_ms` is last."""
    head, *rest = column.removesuffix("_at_ms").split("_")
    return head + "".join(part.capitalize() for part in rest)


def _value(column: str, value: Any) -> Any:
    if value is not None and column.endswith("_at_ms"):
        return clock.of_ms(int(value))
    return value


def _clipped(value: Any) -> Any:
    """Return a value whose texts, however deep, are of a length that can be shown."""
    if isinstance(value, str):
        return value if len(value) <= _TEXT_MAX else value[: _TEXT_MAX - 1] + "…"
    if isinstance(value, dict):
        return {_clipped(name): _clipped(held) for name, held in value.items()}
    return [_clipped(held) for held in value] if isinstance(value, list) else value

"""Alerts: each incident told of once, by however many processes look.

What is told is a step of an alert, not a figure: it fires, gets worse, is resolved. Between two looks nothing is
remembered but the history.
"""

from __future__ import annotations

from datetime import datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from agent_studio import clock, log
from agent_studio.environment import status_file
from agent_studio.errors import UsageError, did_you_mean
from agent_studio.monitor import alert_history as kept
from agent_studio.monitor.alert import (
    ACKNOWLEDGED,
    ESCALATED,
    FIRING,
    PENDING,
    RELEASED,
    RESOLVED,
    TOLD,
    Alert,
    step,
)  # fmt: skip
from agent_studio.monitor.alert_history import Silence, State
from agent_studio.monitor.texts import clean
from agent_studio.monitor.verdict import RULES, SEVERITIES, UNKNOWN, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import EnvironmentRoot

__all__ = ["Alert", "Silence", "acknowledge", "current", "evaluate", "silence", "silences"]

_DAY_MS = 86_400_000
_NAME_MAX, _TEXT_MAX = 200, 500


def evaluate(context: Context, verdicts: Sequence[Verdict], now: datetime | None = None) -> list[Alert]:
    """Move every alert on by the verdicts of one look, and return the alerts as `current` does.

    The verdicts are all there are: an alert without one is resolved. Steps are appended to the history before this
    returns; telling of them is `notify.deliver`'s. The status line learns how many alerts are open.
    """
    from agent_studio.monitor.destinations import destinations  # noqa: PLC0415 - only who evaluates tells

    moment, root = now or clock.now(), kept.root_of(context)
    tidy = [_tidy(one) for one in verdicts]
    names = [(one.name, one.least) for one in destinations(context)]
    with kept.alone(root):
        state = kept.read(root)
        steps = list(_steps(context, state, tidy, moment, names))
        if steps:
            kept.append(root, steps)
            for record in steps:
                state.take(record)
        found = _shown(state, moment, {(one.rule, one.label): one for one in tidy})
        _show_open(root, found)
    _log(context, steps)
    return found


def current(context: Context, now: datetime | None = None) -> list[Alert]:
    """Return the alerts that are open and those resolved in the last day: open first, the worst first, then by age."""
    return _shown(kept.read(kept.root_of(context)), now or clock.now(), {})


def silences(context: Context, now: datetime | None = None) -> list[Silence]:
    """Return the silences in force."""
    at = clock.timestamp(now or clock.now())
    return [one for one in kept.read(kept.root_of(context)).silences.values() if at < one.until]


def acknowledge(context: Context, id: str, who: str, note: str = "") -> Alert:  # noqa: A002 - what it is
    """Say that somebody looks after an alert: it counts as open no more. `id` may be the start of one.

    Raises `UsageError` for an id that is none of an open alert, or of several.
    """
    root = kept.root_of(context)
    with kept.alone(root):
        state = kept.read(root)
        held = _by_id(state, id)
        record = _record(context, held, ACKNOWLEDGED, clock.now(), [])
        record |= {"who": clean(who, _NAME_MAX), "note": clean(note, _TEXT_MAX)}
        kept.append(root, [record])
        state.take(record)
        _show_open(root, _shown(state, clock.now(), {}))
    return state.open[held.rule, held.label]


def silence(context: Context, pattern: str, until: datetime, who: str, why: str) -> Silence:
    """Tell nobody of what fits a pattern until then: a rule, or `rule:label`, `*` for anything.

    A moment that is past ends the silence. What fires meanwhile and still does then is told then.
    """
    rule = pattern.partition(":")[0].strip()
    if not any(fnmatchcase(known, rule) for known in RULES):
        raise UsageError(f"no rule is called {rule!r}", hint=did_you_mean(rule, RULES))
    made = Silence(clean(pattern, _NAME_MAX), clock.timestamp(until), clean(who, _NAME_MAX), clean(why, _TEXT_MAX))
    now, root = clock.now(), kept.root_of(context)
    record = {"timestamp": clock.timestamp(now), "id": "", "step": kept.SILENCE, **made._asdict()}
    record["id"] = kept.id_of(*record.values())
    with kept.alone(root):
        kept.append(root, [record])
        _show_open(root, _shown(kept.read(root), now, {}))
    return made


def _steps(
    context: Context, state: State, verdicts: Iterable[Verdict], now: datetime, names: Sequence[tuple[str, str]]
) -> Iterator[dict[str, Any]]:
    """Yield the steps that one look makes."""
    by_key = {(one.rule, one.label): one for one in verdicts}
    at = clock.timestamp(now)
    for rule, label in sorted({*by_key, *state.open}):
        held, verdict = state.open.get((rule, label)), by_key.get((rule, label))
        quiet = state.silenced_by(rule, label, at)
        if verdict is None and _knows_nothing(by_key.get((rule, ""))):
            continue  # not its subject is gone, but all there was
        happens = step(held, verdict, lambda since: _elapsed_ms(since, now))
        if happens is None and held and held.state == FIRING and not held.told and not quiet:
            happens = RELEASED  # it began while it was silenced
        if happens is None:
            continue
        subject = _begun(context, verdict, at) if held is None and verdict else held
        if subject is None:
            continue
        if verdict is not None:
            subject = subject.with_figures(verdict)
            subject = subject._replace(severity=max(subject.severity, verdict.severity, key=SEVERITIES.index))
        tells = happens in TOLD and not quiet and (happens != RESOLVED or subject.told)
        record = _record(context, subject, happens, now, _tellable(names, subject.severity) if tells else [])
        yield {**record, "silenced": True} if quiet else record


def _knows_nothing(whole: Verdict | None) -> bool:
    """Tell whether the verdict on all together is of nothing: a journal that was emptied ends no alert."""
    return whole is not None and whole.state == UNKNOWN and not whole.count


def _log(context: Context, steps: Iterable[dict[str, Any]]) -> None:
    for one in steps:
        write = log.warning if one["step"] in {FIRING, ESCALATED} else log.info if one["step"] in TOLD else log.debug
        write(context, f"alert.{one['step']}", **{name: one[name] for name in ("alert", "rule", "label", "severity")})


def _tellable(names: Sequence[tuple[str, str]], severity: str) -> list[str]:
    return [name for name, least in names if SEVERITIES.index(severity) >= SEVERITIES.index(least)]


def _begun(context: Context, verdict: Verdict, at: str) -> Alert:
    id_ = kept.id_of(context.environment, verdict.rule, verdict.label, at)
    return Alert(
        id_, verdict.rule, verdict.label, PENDING, verdict.severity, None, None, None, None, verdict.unit, 0, "", at, at
    )  # fmt: skip


def _record(context: Context, one: Alert, happens: str, now: datetime, notify: list[str]) -> dict[str, Any]:
    at = clock.timestamp(now)
    return {
        "timestamp": at, "id": kept.id_of(one.id, happens, at), "alert": one.id,
        "environment": str(context.environment), "rule": one.rule, "label": one.label, "step": happens,
        "severity": one.severity, "value": one.value, "low": one.low, "high": one.high, "limit": one.limit,
        "unit": one.unit, "count": one.count, "message": one.message, "since": one.since, "notify": notify,
    }  # fmt: skip


def _shown(state: State, now: datetime, verdicts: dict[tuple[str, str], Verdict]) -> list[Alert]:
    at = clock.timestamp(now)
    found = []
    for key, one in state.open.items():
        quiet = state.silenced_by(*key, at)
        shown = one._replace(silenced=quiet._asdict() if quiet else None)
        if key in verdicts and verdicts[key].value is not None:
            shown = shown.with_figures(verdicts[key])._replace(updated=at)
        found.append(shown)
    found += [one for one in state.resolved if _elapsed_ms(one.updated, now) < _DAY_MS]
    order = (FIRING, PENDING, RESOLVED)
    return sorted(
        found, key=lambda one: (order.index(one.state), -SEVERITIES.index(one.severity), one.since, one.rule, one.label)
    )


def _by_id(state: State, start: str) -> Alert:
    found = [one for one in state.open.values() if start and one.id.startswith(start)]
    if len(found) == 1:
        return found[0]
    known = [one.id for one in state.open.values()]
    if found:
        raise UsageError(f"{start!r} is the start of {len(found)} alerts", hint=", ".join(one.id for one in found))
    raise UsageError(
        f"no open alert has the id {start!r}", hint=did_you_mean(start, known) if known else "no alert is open"
    )


def _elapsed_ms(since: str, now: datetime) -> float:
    """Return how long ago a time was; a time that is still to come, after the clock went back, is long past."""
    elapsed = (now - datetime.fromisoformat(since)).total_seconds() * 1000
    return elapsed if elapsed >= 0 else float("inf")


def _tidy(one: Verdict) -> Verdict:
    """Return a verdict whose texts may be written and shown anywhere, and whose figures are JSON."""
    figures = [_finite(value) for value in (one.value, one.low, one.high, one.limit)]
    value, low, high, limit = figures
    return one._replace(
        label=clean(one.label, _NAME_MAX), message=clean(one.message, _TEXT_MAX), value=value, low=low, high=high,
        limit=limit,
    )  # fmt: skip


def _finite(value: float | None) -> float | None:
    return None if value is None or value != value or abs(value) == float("inf") else float(value)  # noqa: PLR0124 - NaN


def _show_open(root: EnvironmentRoot, found: Sequence[Alert]) -> None:
    """Tell the status line how many alerts are open."""
    status_file.tell(root, openAlerts=sum(one.is_open for one in found))

"""The workflow: what may follow what, under one lock, each step a record before it counts.

Gates are asked before the lock is taken, since they may take seconds; what they said holds only while nothing changed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.environment.flag_journal import default_who
from agent_studio.errors import BusyError, UsageError, did_you_mean
from agent_studio.evolution import drafts, enabling, phases, store
from agent_studio.evolution.gate import FAIL, PASS, Gate, verdict
from agent_studio.evolution.gates import sources
from agent_studio.evolution.gates.conflicts import name_form
from agent_studio.evolution.judging import judge
from agent_studio.evolution.phases import PhaseError
from agent_studio.evolution.state import OPEN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.environment.context import Context
    from agent_studio.evolution.judging import Asker
    from agent_studio.evolution.state import Evolution, State

AN_HOUR = 3
"""Evolutions that may be started in an hour."""
_WINDOW = timedelta(hours=1)
_FOR_GOOD = (phases.EVALUATE, phases.VALIDATE)
"""Phases in which a gate that fails ends the evolution: what is there already does not go away by waiting."""
_TEXT_MAX = 2_000
_STATUS = "agent-studio evolve status"


class Wanted(NamedTuple):
    """What is to be evolved."""

    kind: str
    name: str
    need: str
    description: str = ""
    suggestion: str = ""
    unlike: Mapping[str, str] = {}


class Step(NamedTuple):
    """What an advance came to."""

    one: Evolution
    """As it is now."""
    gates: list[Gate]
    left: str
    """The phase whose gates were asked."""
    placed: str = ""
    """Where the artifact lies now, of an evolution that is enabled."""

    @property
    def verdict(self) -> str:
        """What the gates come to."""
        return verdict(self.gates)


def start(context: Context, wanted: Wanted) -> Evolution:
    """Begin an evolution at Evaluate.

    Raises `PhaseError` while another is under way, `UsageError` for what cannot be begun, and for a fourth in an hour.
    """
    kind, name = phases.known_kind(wanted.kind), wanted.name
    if (form := name_form(kind, name)).verdict == FAIL:
        raise UsageError(form.reason, hint="name it by what it does, such as release-notes")
    who = default_who(context.project)
    with store.changing(context) as change:
        if change.state.current is not None:
            raise _under_way(change.state.current)
        need = one_line(wanted.need or _suggested(change.state, wanted.suggestion), "--need", "what nothing does yet")
        description = one_line(wanted.description or need, "--description", "what it will say of itself")
        _refuse_more(change.state)
        change.add(
            "started", id=change.state.next_id, kind=kind, name=name, need=need, description=description, who=who,
            suggestion=known_suggestion(change.state, wanted.suggestion), unlike=dict(wanted.unlike),
        )  # fmt: skip
        one = _current(change.state)
        context.root.folder("context").make(drafts.home(one))
        return one


def _suggested(state: State, unique: str) -> str:
    return state.suggestions[known_suggestion(state, unique)].text if unique else ""


def known_suggestion(state: State, unique: str) -> str:
    """Return the id of a suggestion that waits, given its start; raise `UsageError` for none."""
    if not unique:
        return ""
    found = [one for one in state.suggestions.values() if one.id.startswith(unique.casefold())]
    if len(found) != 1:
        said = "there is no suggestion" if not found else f"{len(found)} suggestions begin with"
        hint = did_you_mean(unique, [one.id for one in state.queue]) if state.queue else "agent-studio evolve suggest"
        raise UsageError(f"{said} {unique!r}", hint=hint)
    if found[0].status != OPEN:
        raise UsageError(f"suggestion {found[0].id} is {found[0].status}: {found[0].reason}", hint=_STATUS)
    return found[0].id


def _refuse_more(state: State) -> None:
    """Raise `UsageError` for a fourth start in an hour; a clock that was set back is taken to stand still."""
    own = clock.now()
    now = max(own, _moment(state.latest) or own)
    recent = sorted(at for text in state.started if (at := _moment(text)) and now - at < _WINDOW)
    if len(recent) < AN_HOUR:
        return
    free = recent[-AN_HOUR] + _WINDOW
    said = f"{len(recent)} evolutions were started in the last hour, and {AN_HOUR} may be"
    if own < now:
        said += f"; the clock says {clock.timestamp(own)}, before the last of them: it was set back"
    raise UsageError(said, hint=f"start it from {clock.timestamp(free)} on")


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def research(context: Context, asked: sources.Asked) -> tuple[Evolution, dict[str, Any], bool]:
    """Record a source; return the evolution, the source, and whether it is a new one.

    Raises `PhaseError` outside the phase of research, `UsageError` for what is no source.
    """
    with store.changing(context) as change:
        one = _in_phase(change.state, phases.RESEARCH, "research is recorded")
        found = sources.source(context.project, asked)
        is_new = found["key"] not in {known.get("key") for known in one.research}
        if is_new:
            change.add("researched", id=one.id, source=found)
        return _current(change.state), found, is_new


def advance(
    asker: Asker, *, to: str = "", given: str | None = None, unlike: Mapping[str, str] | None = None
) -> Step:  # fmt: skip
    """Ask the gates of the current phase, and go on to the next when all pass.

    `to` names the phase that is to be entered, `given` what was drafted, `unlike` why artifacts near it do not do.
    Raises `PhaseError` when that is not the next phase, or when nothing is under way.
    """
    context = asker.context
    with store.changing(context) as change:
        one = _running(change.state)
        if to:
            _refuse_jump(one, phases.known_phase(to))
        if given is not None:
            _in_phase(change.state, phases.LOCK, "a draft is given (--from)")
            drafts.take(context, one, given)
        if unlike:
            change.add("answered", id=one.id, unlike=dict(unlike))
        one, head = _current(change.state), change.head
        if one.phase in phases.DRAFTED:
            drafts.settle(context, one)
    draft = drafts.read(context, one) if one.phase in phases.DRAFTED else None
    gates = judge(asker, one, draft)
    with store.changing(context) as change:
        if change.head != head:
            raise BusyError("another process went on with this evolution meanwhile", hint=_STATUS)
        return _judged(context, change, one, draft, gates)


def _judged(
    context: Context, change: store.Change, one: Evolution, draft: drafts.Draft | None, gates: list[Gate]
) -> Step:  # fmt: skip
    told = [gate.as_json() for gate in gates]
    outcome = verdict(gates)
    if outcome == FAIL and one.phase in _FOR_GOOD:
        reason = "; ".join(f"{gate.name}: {gate.reason}" for gate in gates if gate.verdict == FAIL)
        change.add("ended", id=one.id, outcome=phases.STOPPED, reason=reason, gates=told)
        return Step(change.state.past[-1], gates, one.phase)
    if outcome == PASS and one.phase == phases.ENABLE and draft is not None:
        return _enabled(context, change, one, draft, gates)
    fields: dict[str, Any] = {"to": one.phase}
    if outcome == PASS:
        fields = {"to": phases.following(one.phase)}
        if one.phase == phases.LOCK and draft is not None:
            fields["locked"] = draft.sha256
    elif outcome == FAIL and (one.phase == phases.VERIFY or gates[0].verdict == FAIL):
        fields = {"to": phases.LOCK, "locked": ""}
    change.add("judged", id=one.id, phase=one.phase, gates=told, **fields)
    return Step(_current(change.state), gates, one.phase)


def _enabled(
    context: Context, change: store.Change, one: Evolution, draft: drafts.Draft, gates: list[Gate]
) -> Step:  # fmt: skip
    if one.placing != one.locked:
        change.add("placing", id=one.id, sha256=one.locked)
    placed = enabling.place(context, _current(change.state), draft)
    told = [gate.as_json() for gate in gates]
    change.add("ended", id=one.id, outcome=phases.ENABLED, reason=f"{placed} ({one.locked[:12]})", gates=told)
    return Step(change.state.past[-1], gates, one.phase, placed)


def abort(context: Context, reason: str) -> Evolution:
    """Give the current evolution up, with a reason; its draft stays where it is."""
    said = one_line(reason, "--reason", "why it is given up")
    with store.changing(context) as change:
        one = _running(change.state)
        change.add("ended", id=one.id, outcome=phases.ABORTED, reason=said)
        return change.state.past[-1]


def next_command(context: Context, state: State) -> str:
    """Return the command that brings things on."""
    one = state.current
    if one is None:
        last = state.past[-1] if state.past else None
        return "agent-studio candidate create" if last and last.outcome == phases.ENABLED else phases.START
    if one.phase == phases.RESEARCH and sources.gate(context.project, one.research).verdict != PASS:
        return "agent-studio evolve research SOURCE --says TEXT"
    if one.phase == phases.LOCK:
        return f"{phases.ADVANCE} (write {drafts.shown_place(context, one)} first, or --from PATH)"
    return phases.ADVANCE


def _refuse_jump(one: Evolution, to: str) -> None:
    if one.phase == phases.ENABLE:
        raise PhaseError(f"evolution {one.id} is in enable, the last phase: {to} is behind it", hint=phases.ADVANCE)
    expected = phases.following(one.phase)
    if to == expected:
        return
    is_behind = phases.PHASES.index(to) <= phases.PHASES.index(one.phase)
    said = f"{to} was entered already" if is_behind else f"{expected} would be skipped"
    raise PhaseError(
        f"evolution {one.id} is in {one.phase}, and {expected} follows: {said}", hint=f"{phases.ADVANCE} {expected}"
    )


def _in_phase(state: State, phase: str, doing: str) -> Evolution:
    one = _running(state)
    if one.phase != phase:
        hint = phases.ADVANCE
        if one.phase == phases.RESEARCH:
            hint = f"three sources first (agent-studio evolve research SOURCE --says TEXT), then {phases.ADVANCE}"
        raise PhaseError(f"{doing} in {phase}, and evolution {one.id} is in {one.phase}", hint=hint)
    return one


def _running(state: State) -> Evolution:
    if state.current is None:
        raise PhaseError("no evolution is under way", hint=phases.START)
    return state.current


def _current(state: State) -> Evolution:
    if state.current is None:
        raise AssertionError("it was just written")
    return state.current


def _under_way(one: Evolution) -> PhaseError:
    return PhaseError(
        f"evolution {one.id} ({one.kind} {one.name}) is under way, in {one.phase}: one at a time",
        hint=f"{phases.ADVANCE}, or agent-studio evolve abort --reason TEXT",
    )


def one_line(text: str, option: str, what: str) -> str:
    """Return a text that a user gave as one line; raise `UsageError` where it is none."""
    said = " ".join(text.split())
    if not said:
        raise UsageError(f"{option} is empty: say {what}", hint=f"{option} TEXT")
    if len(said) > _TEXT_MAX:
        raise UsageError(f"{option} has more than {_TEXT_MAX:,} characters", hint="say it in a sentence")
    return said

"""The workflow: what may follow what, under one lock, each step a record before it counts.

Gates are asked before the lock is taken, since they may take seconds; what they said holds only while nothing changed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.environment.flag_journal import default_who
from agent_studio.errors import BusyError, UsageError, did_you_mean
from agent_studio.evolution import drafts, enabling, limit, phases, store
from agent_studio.evolution.gate import FAIL, PASS, Gate, verdict
from agent_studio.evolution.gates import sources
from agent_studio.evolution.gates.conflicts import name_form
from agent_studio.evolution.gates.need import too_short
from agent_studio.evolution.judging import judge, known_names, prove
from agent_studio.evolution.phases import PhaseError
from agent_studio.evolution.state import OPEN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.environment.context import Context
    from agent_studio.evolution.judging import Asker
    from agent_studio.evolution.state import Evolution, State

_SOUGHT = (phases.EVALUATE, phases.VALIDATE, phases.RESEARCH)
"""Phases in which research may be recorded; it is judged in the last of them."""
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
    known_names(context, wanted.unlike)
    with store.changing(context) as change:
        if change.state.current is not None:
            raise _under_way(change.state.current)
        need = one_line(wanted.need or _suggested(change.state, wanted.suggestion), "--need", "what nothing does yet")
        if said := too_short(need):
            raise UsageError(said, hint="--need TEXT: say in a sentence what nothing does yet")
        description = one_line(wanted.description or need, "--description", "what it will say of itself")
        _refuse_more(change)
        change.add(
            "started", id=change.state.next_id, kind=kind, name=name, need=need, description=description, who=who,
            suggestion=known_suggestion(change.state, wanted.suggestion) if wanted.suggestion else "",
            unlike=dict(wanted.unlike),
        )  # fmt: skip
        one = _current(change.state)
        context.root.folder("context").make(drafts.home(one))
        return one


def _suggested(state: State, unique: str) -> str:
    return state.suggestions[known_suggestion(state, unique)].text if unique else ""


def _refuse_more(change: store.Change) -> None:
    """Raise `UsageError` for a fourth start in an hour; that one was asked for while the clock was back is kept."""
    try:
        limit.refuse_more(change.state)
    except limit.TooManyError as error:
        if error.is_ahead:
            change.add("refused", reason=error.message)
        raise


def known_suggestion(state: State, unique: str) -> str:
    """Return the id of a suggestion that waits, given its start; raise `UsageError` for none."""
    if not unique.strip():
        raise UsageError("an empty text names no suggestion", hint="agent-studio evolve list")
    found = [one for one in state.suggestions.values() if one.id.startswith(unique.casefold())]
    if len(found) != 1:
        said = "there is no suggestion" if not found else f"{len(found)} suggestions begin with"
        hint = did_you_mean(unique, [one.id for one in state.queue]) if state.queue else "agent-studio evolve suggest"
        raise UsageError(f"{said} {unique!r}", hint=hint)
    if found[0].status != OPEN:
        raise UsageError(f"suggestion {found[0].id} is {found[0].status}: {found[0].reason}", hint=_STATUS)
    return found[0].id


def research(context: Context, asked: sources.Asked) -> tuple[Evolution, dict[str, Any], bool]:
    """Record a source; return the evolution, the source, and whether it is a new one.

    Raises `PhaseError` after the phase of research, `UsageError` for what is no source.
    """
    with store.changing(context) as change:
        one = _running(change.state)
        if one.phase not in _SOUGHT:
            raise PhaseError(
                f"research is recorded up to research, and evolution {one.id} is in {one.phase}", hint=phases.ADVANCE
            )
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
    A draft that is given after Lock leads back there. Raises `PhaseError` when `to` is not the next phase, or when
    nothing is under way.
    """
    context = asker.context
    with store.changing(context) as change:
        one = _running(change.state)
        is_back = given is not None and one.phase in (phases.VERIFY, phases.ENABLE)
        if to:
            _refuse_jump(replace(one, phase=phases.LOCK) if is_back else one, phases.known_phase(to))
        if given is not None:
            drafts.take(context, one, given)
        known_names(context, unlike or {}, one)
        if is_back:
            change.add("judged", id=one.id, phase=one.phase, gates=[], to=phases.LOCK, locked="")
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
        return _judged(asker, change, one, draft, gates)


def go_on(asker: Asker, *, given: str | None = None, unlike: Mapping[str, str] | None = None) -> list[Step]:
    """Advance as far as the gates let it, but not out of Enable with others: that is a step of its own.

    It ends before a phase in which something has to be brought first. Raises as `advance` does.
    """
    steps = [advance(asker, given=given, unlike=unlike)]
    while steps[-1].verdict == PASS and not steps[-1].one.outcome and _is_ready(asker.context, steps[-1].one):
        steps.append(advance(asker))
    return steps


def _is_ready(context: Context, one: Evolution) -> bool:
    """Tell whether there is something that the gates of a phase could look at, without anybody's doing."""
    if one.phase == phases.RESEARCH:
        return bool(one.research)
    if one.phase == phases.LOCK:
        return drafts.read(context, one) is not None
    return one.phase != phases.ENABLE


def _judged(
    asker: Asker, change: store.Change, one: Evolution, draft: drafts.Draft | None, gates: list[Gate]
) -> Step:  # fmt: skip
    if verdict(gates) == PASS and one.phase == phases.ENABLE and draft is not None:
        return _enabled(asker, change, one, draft, gates)
    told = [gate.as_json() for gate in gates]
    outcome = verdict(gates)
    if outcome == FAIL and one.phase in _FOR_GOOD:
        reason = "; ".join(f"{gate.name}: {gate.reason}" for gate in gates if gate.verdict == FAIL)
        change.add("ended", id=one.id, outcome=phases.STOPPED, reason=reason, gates=told)
        return Step(change.state.past[-1], gates, one.phase)
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
    asker: Asker, change: store.Change, one: Evolution, draft: drafts.Draft, gates: list[Gate]
) -> Step:  # fmt: skip
    """Put the artifact in its place, and take it back unless what is proved there holds."""
    context = asker.context
    if one.placing != one.locked:
        change.add("placing", id=one.id, sha256=one.locked)
    placed = enabling.place(context, _current(change.state), draft)
    try:
        proof = prove(asker, one)
    except BaseException:  # also when somebody stops it: what is not proved is not left there
        enabling.take_back(context, _current(change.state))
        raise
    told = [gate.as_json() for gate in (*gates, *proof)]
    if verdict(proof) != PASS:
        enabling.take_back(context, _current(change.state))
        change.add("judged", id=one.id, phase=one.phase, gates=told, to=one.phase)
        return Step(_current(change.state), [*gates, *proof], one.phase)
    change.add("ended", id=one.id, outcome=phases.ENABLED, reason=f"{placed} ({one.locked[:12]})", gates=told)
    return Step(change.state.past[-1], [*gates, *proof], one.phase, placed)


def abort(context: Context, reason: str) -> Evolution:
    """Give the current evolution up, with a reason; its draft stays where it is."""
    said = one_line(reason, "--reason", "why it is given up")
    with store.changing(context) as change:
        one = _running(change.state)
        enabling.take_back(context, one)
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

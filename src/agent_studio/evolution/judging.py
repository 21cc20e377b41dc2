"""Which gates a phase has, asked in one go; nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_studio.errors import UsageError, did_you_mean
from agent_studio.evolution import drafts, enabling, phases
from agent_studio.evolution.gate import FAIL, INSUFFICIENT, PASS, Gate, counted
from agent_studio.evolution.gates import conflicts, copies, need, proving, sources, verifying
from agent_studio.knowledge.base import knowledge
from agent_studio.staging.smoke import run_smoke
from agent_studio.staging.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from agent_studio.environment.context import Context
    from agent_studio.evolution.drafts import Draft
    from agent_studio.evolution.state import Evolution

NAMES: Mapping[str, tuple[str, ...]] = {
    phases.EVALUATE: ("need",),
    phases.VALIDATE: ("name-form", "name-conflict", "capability-conflict"),
    phases.RESEARCH: ("sources",),
    phases.LOCK: ("draft",),
    phases.VERIFY: (
        "unchanged", "schema", "placeholders", "references", "secrets", "name-conflict", "capability-conflict",
        "copy",
    ),
    phases.ENABLE: (
        "unchanged", "place-free", "references", "name-conflict", "capability-conflict", "copy", "definitions", "smoke",
    ),
}  # fmt: skip
"""The gates of each phase, in their order."""
_LIST = "agent-studio kb list"


class Asker(NamedTuple):
    """Who judges, and how smoke is to be run."""

    context: Context
    variables: Mapping[str, str]
    overrides: tuple[str, ...] = ()


def judge(asker: Asker, one: Evolution, draft: Draft | None) -> list[Gate]:
    """Return what the gates of the phase say; in Enable what `prove` says comes after them."""
    return list(_JUDGES[one.phase](asker, one, draft))


def prove(asker: Asker, one: Evolution) -> list[Gate]:
    """Return what holds once the artifact lies in its place: the client's definitions, and smoke."""
    gates = [proving.definitions(asker.context, one)]
    return gates if gates[0].verdict == FAIL else [*gates, _smoke(asker)]


def known_names(context: Context, unlike: Mapping[str, str], one: Evolution | None = None) -> None:
    """Raise `UsageError` for an answer about what is not there, and is nothing that the draft speaks of."""
    if not unlike:
        return
    draft = drafts.read(context, one) if one else None
    spoken_of = verifying.spoken_of(verifying.look(one, draft)) if one and draft else set()
    with knowledge(context) as base:
        entries = base.list(sort="path")
    names = [entry.name for entry in entries]
    for name in unlike.keys() - set(names) - {entry.path for entry in entries} - spoken_of:
        raise UsageError(f"--unlike {name!r} names no artifact", hint=did_you_mean(name, names) or _LIST)


def _evaluate(asker: Asker, one: Evolution, _: Draft | None) -> Iterator[Gate]:
    with knowledge(asker.context) as base:
        yield need.need(base, base.list(sort="path"), one)


def _validate(asker: Asker, one: Evolution, _: Draft | None) -> Iterator[Gate]:
    form = conflicts.name_form(one.kind, one.name)
    yield form
    if form.verdict == FAIL:
        return
    with knowledge(asker.context) as base:
        yield conflicts.name_free(base, asker.context.project, one)
        yield need.capability(base.list(sort="path"), one.description, one.unlike)


def _research(asker: Asker, one: Evolution, _: Draft | None) -> Iterator[Gate]:
    yield sources.gate(asker.context.project, one.research)


def _lock(asker: Asker, one: Evolution, draft: Draft | None) -> Iterator[Gate]:
    if draft is None:
        place = drafts.shown_place(asker.context, one)
        yield Gate("draft", INSUFFICIENT, f"nothing is drafted: write {place}, or advance --from PATH")
    elif one.kind != "skill" and len(draft.parts) > 1:
        others = ", ".join(part.path for part in draft.parts if part.path != drafts.main_file(one))
        yield Gate("draft", INSUFFICIENT, f"{phases.with_article(one.kind)} is one file; take away {others}")
    elif not next(part.data for part in draft.parts if part.path == drafts.main_file(one)).strip():
        yield Gate("draft", INSUFFICIENT, f"{drafts.shown_place(asker.context, one)} is empty")
    else:
        yield Gate("draft", PASS, f"{draft.sha256[:12]}, {counted(len(draft.parts), 'file')}")


def _verify(asker: Asker, one: Evolution, draft: Draft | None) -> Iterator[Gate]:
    still = verifying.unchanged(one, draft)
    yield still
    if draft is None or still.verdict == FAIL:
        return
    found = verifying.look(one, draft)
    with verifying.laid_out(one, draft) as alone:
        yield verifying.schema(found, alone)
        yield verifying.no_placeholders(found)
        hidden = verifying.no_secrets(alone)
    references, *conflicting = _beside(asker, found)
    yield references
    yield hidden
    yield from conflicting


def _beside(asker: Asker, found: verifying.Looked) -> Iterator[Gate]:
    """Say what the draft is beside all else that is there."""
    one, project = found.one, asker.context.project
    with knowledge(asker.context) as base:
        yield verifying.referenced(base, project, found)
        yield conflicts.name_free(base, project, one)
        entries = base.list(sort="path")
        yield need.capability(entries, found.description, one.unlike)
        yield copies.copied(project, entries, found.matter.body, one.unlike)


def _enable(asker: Asker, one: Evolution, draft: Draft | None) -> Iterator[Gate]:
    still = verifying.unchanged(one, draft)
    yield still
    if draft is None or still.verdict == FAIL:
        return
    if enabling.is_placed(asker.context.project, one):
        yield Gate(
            "place-free", PASS, "it is there already, as it was locked: what was interrupted is brought to its end"
        )
        return
    if there := conflicts.occupied(asker.context.project, one):
        yield Gate("place-free", FAIL, f"{there} is there: move it away")
    else:
        yield Gate("place-free", PASS, asker.context.project.shown(one.place))
    yield from _beside(asker, verifying.look(one, draft))


def _smoke(asker: Asker) -> Gate:
    context = asker.context
    report = run_smoke(Subject(context.project, context.choice, asker.variables, list(asker.overrides)))
    wrong = [f"{one.name}: {one.message}" for one in report.outcomes if one.verdict == "FAIL"]
    counted = f"{report.count('PASS')} checks passed, {report.count('SKIPPED')} skipped"
    if wrong:
        return Gate("smoke", FAIL, f"{len(wrong)} checks fail, {wrong[0]}", tuple({"check": one} for one in wrong))
    return Gate("smoke", PASS if not report.code else INSUFFICIENT, counted)


_JUDGES: Mapping[str, Callable[[Asker, Evolution, Draft | None], Iterator[Gate]]] = {
    phases.EVALUATE: _evaluate, phases.VALIDATE: _validate, phases.RESEARCH: _research, phases.LOCK: _lock,
    phases.VERIFY: _verify, phases.ENABLE: _enable,
}  # fmt: skip

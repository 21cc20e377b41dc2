"""A party as a document in Markdown: what they agree on, what they do not, on what ground, at what cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.reasoning.party import outcome, rounds
from agent_studio.reasoning.party.words import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.reasoning.party.outcome import Outcome
    from agent_studio.reasoning.party.records import Turn

_ACTIVE = str.maketrans({one: f"\\{one}" for one in "\\`*_[]<>|#!&~"})


def markdown(found: Outcome) -> str:
    """Return the document; no text of a model acts in it."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Outcome) -> Iterator[str]:
    session, data = found.session, outcome.data(found)
    yield f"# Party {session.id}\n"
    yield "\n".join(f"> {text(line)}" for line in session.question.splitlines()) + "\n"
    if session.options:
        yield f"Options: {', '.join(text(one) for one in session.options)}\n"
    label = "SIMULATED: one voice, no consensus" if found.is_simulated else f"Consensus: {found.state}"
    yield f"**{label}**" + (f" on **{text(data['option'])}**" if data["option"] else "") + "\n"
    yield f"- {outcome.needed(found)}; seen blind {outcome.percent(found.blind.share)}"
    yield f"- decision: {data['decision']}" + (f" (ended: {data['reason']})" if data["reason"] else " (not ended)")
    cost = "unknown" if data["costUsd"] is None else f"{data['costUsd']:.4f} USD"
    yield f"- {outcome.calls(found)} ({text(', '.join(data['models']))}); {cost}"
    for name, share in found.tally.rejected.items():
        yield f"- rejected by {outcome.percent(share)}: {text(rounds.named(session, name))}"
    yield "\n## Seats\n\n| seat | agent | persona | model | weight | stance | confidence | holds |"
    yield "|--:|---|---|---|--:|---|--:|---|"
    for one in data["seats"]:
        holds = one["option"] or (f"no answer: {one['fault']}" if one["fault"] else "abstains")
        yield (
            f"| {one['seat']} | {text(one['agent'])} | {one['persona']} | {text(one['model'])} | {one['weight']} | "
            f"{one['stance'] or '-'} | {'-' if one['confidence'] is None else one['confidence']} | {text(holds)} |"
        )
    if data["flips"]:
        yield "\n## Changes of mind\n"
    for flip in data["flips"]:
        kept = "counted" if flip["counted"] else "not counted: no new argument"
        reason = f": {text(flip['reason'])}" if flip["reason"] else ""
        turned = f"{text(flip['from'])} → {text(flip['to'])}"
        yield f"- {text(flip['agent'])}, round {flip['round']}: {turned} ({kept}){reason}"
    away = {turn.call for turn in found.dissent}
    held = [turn for _, turn in sorted(found.standing.turns.items()) if turn.call not in away]
    for title, turns in (("Reasons", held), ("Dissent, in full", found.dissent)):
        if turns:
            yield f"\n## {title}"
        for turn in turns:
            yield from _position(found, turn)


def _position(found: Outcome, turn: Turn) -> Iterator[str]:
    held = turn.position
    if held is None:
        return
    stance, option = outcome.held_by(found, turn)
    yield f"\n### {text(found.session.chair(turn.seat).name)}: {stance} {text(option)}\n"
    yield text(held.rationale) or "No reason is given."
    for one in held.evidence:
        mark = "verified" if one.verified else "not found in the file"
        yield f"- {text(one.path)}:{one.line or '?'} ({mark}): {text(one.quote)}"
    for risk in held.risks:
        yield f"- risk: {text(risk)}"
    if held.would_change:
        yield f"- would change its mind: {text(held.would_change)}"


def text(written: str) -> str:
    """Return a text on one line in which nothing is markup."""
    return one_line(written, len(written) + 1).translate(_ACTIVE)

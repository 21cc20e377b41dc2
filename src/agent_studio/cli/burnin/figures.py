"""A burn-in in figures for people: rows of a table, and what else deserves to be said."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from agent_studio import clock
from agent_studio.cli.output import harmless
from agent_studio.release.burnin.rules import CLOCK, ERRORS, HOURS, PRODUCTION
from agent_studio.release.evidence import FAIL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.release.burnin.progress import Burnin
    from agent_studio.release.burnin.rules import Requirement

_UNITS = {HOURS: " h", ERRORS: " /h"}


def terms(found: Burnin) -> str:
    """Return what it is measured by, in words."""
    whose = f"release {found.terms.governed_by[:12]}" if found.terms.governed_by else "the candidate's own"
    return (
        f"policy: {found.terms.hours:g} observed hours, gaps of at most {found.terms.gap_minutes:g} minutes ({whose})"
    )


def rows(found: Burnin) -> list[tuple[str, str, str, str, str]]:
    """Return a row a requirement: name, verdict, what was seen, its limit, what is still needed."""
    return [
        (one.name, one.verdict, _amount(one, one.value), _amount(one, one.limit), _needed(one))
        for one in found.requirements
    ]


def notes(found: Burnin) -> Iterator[str]:
    """Yield what deserves attention beside the requirements."""
    seen = found.seen
    if found.terms.loosened:
        yield f"limits are written looser than twice production's, which counts: {', '.join(found.terms.loosened)}"
    if seen.sessions or seen.synthetic_sessions:
        yield f"{seen.sessions} sessions were observed, {seen.synthetic_sessions} replayed"
    if found.replaying_ms is not None:
        began = clock.of_ms(found.replaying_ms)
        yield f"a replay that began at {began} has not ended: sessions since then are synthetic"
    if seen.left_out:
        yield f"{seen.left_out:,} records are left out: their sessions were not seen to start on this candidate"
    if seen.damaged:
        yield f"{seen.damaged:,} damaged lines are not counted"


def lines(found: Burnin, foot: str) -> list[str]:
    """Return all of it as lines, for a screen that is drawn again and again."""
    drawn = [f"Burn-in of candidate {found.candidate[:12]}: {found.verdict}", terms(found), ""]
    drawn += [
        f"{name:<20}{verdict:<14}{value:>9}{limit:>9}  {needed}" for name, verdict, value, limit, needed in rows(found)
    ]
    return [*drawn, "", harmless(found.message), *map(harmless, notes(found)), "", foot]


def _amount(one: Requirement, value: float | None) -> str:
    if value is None or one.name in {CLOCK, PRODUCTION}:
        return "-"
    if one.name in _UNITS:
        return f"{value:.1f}{_UNITS[one.name]}"
    return f"{100 * value:.1f} %"


def _needed(one: Requirement) -> str:
    if not one.needed or one.verdict == FAIL:
        return "-"
    if one.needed == math.inf:
        return "cannot be shown"
    if one.name == PRODUCTION:
        return "a first run"
    return f"{one.needed:.1f} h" if one.name in _UNITS else f"{one.needed:,.0f} runs"

"""Writes the plan of a deployment and of the ways back as Markdown: what changes, by which commands, who is asked.

The same state gives the same text, so that a plan that is written again is the same evidence, and signatures stay.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.errors import AgentStudioError
from agent_studio.redaction import redact
from agent_studio.release.backups import verifying
from agent_studio.release.checklists.plan import Plan, versions
from agent_studio.release.content import manifest
from agent_studio.release.signing import signers, statement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.release.content.candidates import Made
    from agent_studio.release.facts import Gathered
    from agent_studio.release.production.sides import Sides
    from agent_studio.release.signing.signers import Signer

TITLE = "# Deployment and rollback plan"


class Contact(NamedTuple):
    """Somebody who is named in a plan."""

    who: str
    roles: str


def compose(sides: Sides, made: Made, gathered: Gathered) -> Plan:
    """Return the plan of promoting a candidate as things are now."""
    current, target = versions(gathered)
    parts = [
        _about(sides, made, gathered), _changes(gathered), _deployment(sides, made, gathered),
        _ways_back(sides, gathered), _contacts(made, gathered),
    ]  # fmt: skip
    text = "\n".join(line for part in parts for line in (*part, ""))
    return Plan(redact(text), made.candidate, current, target)


def contacts(allowed: bytes) -> list[Contact]:
    """Return who may sign, and as what, by the lines of an `allowed_signers` file; lines that name nobody say why."""
    return [Contact(", ".join(one.principals) or f"line {one.number}", _roles(one)) for one in signers.read(allowed)]


def _roles(one: Signer) -> str:
    if one.fault:
        return f"nobody: {one.fault}"
    limits = (("from", one.valid_after), ("until", one.valid_before))
    when = "".join(f", {word} {at:%Y-%m-%d %H:%M} UTC" for word, at in limits if at is not None)
    return (", ".join(one.roles) or "no role of a promotion") + when


def _about(sides: Sides, made: Made, gathered: Gathered) -> Iterator[str]:
    current, target = versions(gathered)
    past, policy = gathered.past, gathered.facts.policy
    at = "no git commit" if made.commit is None else f"commit {made.commit}"
    health = {True: "healthy", False: "failed its smoke tests", None: "not proven"}
    yield TITLE
    yield ""
    yield f"- Project: {plain(sides.project.path.name)}"
    yield f"- Candidate: `{made.candidate}` ({at}{', with changes that are not committed' if made.dirty else ''})"
    if past.current is None:
        yield "- Current release: none. This is the first: policy and signers are the candidate's own"
    else:
        yield f"- Current release: `{current}` (live since {past.current.time}, {health[past.current.healthy]})"
    yield f"- Target release: `{target}`" + (" (the candidate with flags)" if target != made.candidate else "")
    yield f"- Production: `{sides.target.tree.definitions}`"
    yield f"- Commands are run in: `{sides.project.path}`"
    yield f"- {statement.SEPARATION[gathered.facts.separation].replace('s', 'S', 1)}"
    yield f"- Policy: `{policy.sha256[:12]}` of {'the candidate' if policy.bootstrap else 'release'} `{policy.of[:12]}`"
    backup = _newest(sides)
    yield f"- Newest backup of production's data: {f'`{backup}`' if backup else 'none; a promotion makes one first'}"


def _changes(gathered: Gathered) -> Iterator[str]:
    changes = manifest.differences(gathered.live, gathered.release)
    yield f"## What changes ({len(changes)} files)"
    yield ""
    for one in changes:
        yield f"- {statement.change_word(one)}: `{one.path}`"
    if not changes:
        yield "- no file"
    for flag, state in sorted(gathered.carried.flags.items()):
        yield f"- flag `{flag}` is {'on' if state else 'off'} in production, as in staging"
    yield from (f"- drift in production: {told}" for told in gathered.facts.unsettled.values())
    if drift := gathered.facts.drift:
        yield f"- drift in production, to be adopted or discarded first: {', '.join(f'`{one}`' for one in drift)}"


def _deployment(sides: Sides, made: Made, gathered: Gathered) -> Iterator[str]:
    steps = [
        ("Every requirement is PASS or WAIVED", "agent-studio gate"),
        ("What would happen is what is planned", "agent-studio promote --dry-run"),
        ("Sessions in production have ended, or are waited for; the candidate goes live, proves itself or goes back",
         f"agent-studio promote --wait --yes --reason {shlex.quote(f'plan of {made.candidate[:12]}')}"),
        (f"The live release is {versions(gathered)[1][:12]}, and healthy", "agent-studio release show"),
        ("Everything is as it was recorded", "agent-studio release verify"),
        ("An hour later no alert fires", f"agent-studio alerts list --env production{_in_production(sides)}"),
    ]  # fmt: skip
    yield "## Deployment"
    yield ""
    for does, command in steps:
        yield f"- [ ] {does}: `{command}`"


def _ways_back(sides: Sides, gathered: Gathered) -> Iterator[str]:
    back = gathered.past.current
    yield "## Rollback"
    yield ""
    if back is None:
        yield "Smoke tests that fail right after the switch bring back what was there before, by themselves."
        level_2 = "production goes back to what was there before the first release"
    else:
        yield f"Smoke tests that fail right after the switch bring back `{back.release[:12]}`, by themselves."
        level_2 = f"production goes back to the last healthy release, `{_healthy(gathered)}`"
    yield ""
    yield "| level | does | command |"
    yield "| --- | --- | --- |"
    for level, does in (
        (1, "staging is made anew; production stays"),
        (2, f"{level_2}; staging is made anew"),
        (3, "staging is restored from its newest backup that verifies, or put out of use; production stays"),
    ):
        yield f'| {level} | {does} | `agent-studio rollback --level {level} --reason "..." --yes` |'
    inside = _in_production(sides)
    if backup := _newest(sides):
        restores = f"agent-studio backup restore {backup} --env production --yes{inside}"
        yield f"| production's data | it is what it was at that backup | `{restores}` |"
    kills = f'agent-studio flags kill FLAG --reason "..." --env production{inside}'
    yield f"| one feature | it is off at once | `{kills}` |"
    yield "| after a killed switch | it is brought to its end | `agent-studio recover` |"
    yield ""
    yield "Each takes `--dry-run`. Data is never part of a release: going back does not rewind it."


def _healthy(gathered: Gathered) -> str:
    """Return where level 2 would go once the plan was carried out."""
    current, before = gathered.past.current, gathered.past.last_healthy
    if current is not None and current.healthy:
        return current.release[:12]
    return before.release[:12] if before else "none yet"


def _contacts(made: Made, gathered: Gathered) -> Iterator[str]:
    people = contacts(gathered.facts.policy.signers)
    yield "## Contacts"
    yield ""
    yield "| who | as |"
    yield "| --- | --- |"
    for one in people:
        yield f"| {plain(one.who)} | {plain(one.roles)} |"
    yield f"| {plain(made.author or 'not known')} | author of the candidate |"
    if not people:
        yield "| nobody | the allowed_signers in force are empty |"


def _newest(sides: Sides) -> str:
    """Return the newest backup of production's data that verifies, empty when there is none."""
    try:
        return verifying.newest(sides.live())
    except AgentStudioError:
        return ""  # production cannot be opened: it has no data yet, or is what the candidate mends


def _in_production(sides: Sides) -> str:
    same = sides.production.path == sides.project.path
    return "" if same else f" --project {shlex.quote(str(sides.production.path))}"


def plain(text: str) -> str:
    """Return a text as one line in which nothing is Markdown."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))

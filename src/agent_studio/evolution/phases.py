"""The six phases of an evolution, in their order, and what an evolution may bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.errors import AgentStudioError, ExitCode, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

EVALUATE, VALIDATE, RESEARCH, LOCK, VERIFY, ENABLE = PHASES = (
    "evaluate", "validate", "research", "lock", "verify", "enable",
)  # fmt: skip
DRAFTED = (LOCK, VERIFY, ENABLE)
"""Phases that look at the draft."""
IDLE = "idle"
"""Nothing is under way."""
ENABLED, STOPPED, ABORTED = "enabled", "stopped", "aborted"
"""How an evolution may end: its artifact is there, a gate refused it for good, somebody gave it up."""
KINDS: Mapping[str, str] = {
    "skill": "skills/{}", "agent": "agents/{}.md", "command": "commands/{}.md", "workflow": "workflows/{}.md",
}  # fmt: skip
"""What can be evolved, and where it lies below the definitions; a skill is a folder with a `SKILL.md`."""
SKILL_FILE = "SKILL.md"
ADVANCE = "agent-studio evolve advance"
START = "agent-studio evolve start KIND NAME --need TEXT"


class PhaseError(AgentStudioError):
    """A phase would be skipped or repeated, or nothing is under way."""

    code = "phase"
    exit_code = ExitCode.USAGE


def following(phase: str) -> str:
    """Return the phase after one; raise `IndexError` after the last."""
    return PHASES[PHASES.index(phase) + 1]


def known_phase(word: str) -> str:
    """Return a phase as it was written; raise `UsageError` for none."""
    if word.casefold() not in PHASES:
        raise UsageError(f"{word!r} is no phase", hint=did_you_mean(word, PHASES))
    return word.casefold()


def known_kind(word: str) -> str:
    """Return a kind of artifact as it was written; raise `UsageError` for none."""
    if word.casefold() not in KINDS:
        raise UsageError(f"{word!r} cannot be evolved", hint=did_you_mean(word, KINDS))
    return word.casefold()


def file_of(kind: str, name: str) -> str:
    """Return the path below the definitions of the file that says what an artifact is."""
    place = KINDS[kind].format(name)
    return f"{place}/{SKILL_FILE}" if kind == "skill" else place


def with_article(kind: str) -> str:
    """Return `a skill`, `an agent`."""
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"

"""What a run proposes: its offered changes as one difference, and the text as it would be."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.reasoning.elicitation import gate
from agent_studio.reasoning.elicitation.findings import Fix

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_studio.reasoning.elicitation.draft import Draft


class Proposal(NamedTuple):
    """A text with changes made."""

    draft: Draft
    made: list[Mapping[str, Any]]
    """The findings whose changes are in it."""
    left: list[tuple[Mapping[str, Any], str]]
    """Those whose changes no longer fit once the others are made, and why."""

    @property
    def text(self) -> str:
        """The text with the changes made."""
        return self.draft.text


def fix_of(finding: Mapping[str, Any]) -> Fix | None:
    """Return the change of a finding as it is kept."""
    return Fix(**finding["fix"]) if finding["fix"] else None


def propose(draft: Draft, found: Iterable[Mapping[str, Any]]) -> Proposal:
    """Make the changes of findings one after another, each checked on the text that those before it left."""
    made: list[Mapping[str, Any]] = []
    left: list[tuple[Mapping[str, Any], str]] = []
    for finding in found:
        fix = fix_of(finding)
        if fix is None:
            left.append((finding, "it has no change to make"))
        elif fault := next(gate.faults(draft, fix), ""):
            left.append((finding, fault))
        else:
            text = gate.changed(draft.text, fix)
            draft = draft._replace(text=text, end=draft.end + len(text) - len(draft.text))
            made.append(finding)
    return Proposal(draft, made, left)


def difference(before: str, after: str, name: str) -> str:
    """Return a unified difference, empty where nothing differs; lines end at line feeds alone, as for other tools."""
    lines = difflib.unified_diff(_lines(before), _lines(after), f"a/{name}", f"b/{name}", n=2)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _lines(text: str) -> list[str]:
    *whole, rest = text.split("\n")
    return [*(f"{line}\n" for line in whole), *([rest] if rest else [])]

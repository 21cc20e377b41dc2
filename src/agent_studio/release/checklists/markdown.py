"""A checklist as Markdown, for a pull request or a wiki."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.redaction import redact
from agent_studio.release.checklists.items import How
from agent_studio.release.checklists.plan_text import plain
from agent_studio.release.evidence import PASS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.release.checklists.deciding import Checklist, Decided

TITLE = "# Checklist: "


def markdown(checklist: Checklist) -> str:
    """Return a checklist with a box for each item, ticked where it holds."""
    return redact("\n".join(_lines(checklist)) + "\n")


def _lines(checklist: Checklist) -> Iterator[str]:
    yield f"{TITLE}{checklist.name}"
    yield ""
    yield f"Candidate `{checklist.candidate}`: **{checklist.verdict}**, {plain(checklist.reason)}."
    yield ""
    shown = [one for one in checklist.items if one.item.how is How.GATE]
    for one in checklist.items:
        if one not in shown:
            yield from _item(one)
    if shown:
        yield ""
        yield "Decided by the gate, not counted here:"
        yield ""
        for one in shown:
            yield from _item(one)


def _item(one: Decided) -> Iterator[str]:
    box = "x" if one.verdict == PASS else " "
    source = f" (`{one.source}`)" if one.source and "`" not in one.source else ""
    yield f"- [{box}] **{plain(one.item.title)}** {one.verdict or 'not asked for'}: {plain(one.reason)}{source}"
    if one.verdict != PASS or one.item.is_told:
        for detail in one.details:
            yield f"  - {plain(detail)}"

"""What must hold of a change before anybody judges it: checked on the text itself, without a model."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from agent_studio.knowledge import front_matter
from agent_studio.reasoning.elicitation.draft import has_open_fence
from agent_studio.redaction import find_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent_studio.reasoning.elicitation.draft import Draft
    from agent_studio.reasoning.elicitation.findings import Fix

_GROWTH, _GROWTH_ANYWAY = 4, 2_000
"""A replacement has at most so many times the characters of its quote, and these more."""
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)|^[ \t]*\[[^\]\n]+\]:\s*(\S+)|(https?://[^\s)>\"'\]]+)", re.MULTILINE)


def faults(draft: Draft, fix: Fix) -> Iterator[str]:
    """Yield why a change must not be made."""
    if not fix.quote.strip():
        yield "it quotes nothing"
        return
    at = draft.text.find(fix.quote)
    if at < 0:
        yield "its quote is not in the text"
        return
    if draft.text.find(fix.quote, at + 1) >= 0:  # one that begins within the first is another place, too
        yield "its quote is in the text more than once"
        return
    if not draft.start <= at <= at + len(fix.quote) <= draft.end:
        yield "its quote is outside the section"
        return
    if fix.quote == fix.replacement:
        yield "it changes nothing"
        return
    if len(fix.replacement) > _GROWTH * len(fix.quote) + _GROWTH_ANYWAY:
        yield f"it puts {len(fix.replacement):,} characters in the place of {len(fix.quote):,}"
    if find_secrets(fix.replacement):
        yield "it writes what looks like a credential"
    yield from _broken(draft.text, changed(draft.text, fix))


def changed(text: str, fix: Fix) -> str:
    """Return a text with a change made, at the first place where its quote stands."""
    return text.replace(fix.quote, fix.replacement, 1)


def _broken(before: str, after: str) -> Iterator[str]:
    """Yield what was whole in a text and is not in the other."""
    if not after.strip():
        yield "it leaves nothing of the text"
    old, new = front_matter.read(before), front_matter.read(after)
    if not old.repairs and new.repairs:
        yield f"the front matter is no YAML any more: {new.repairs[0].message}"
    elif old.fields.keys() != new.fields.keys():
        names = ", ".join(sorted(old.fields.keys() ^ new.fields.keys()))
        yield f"it adds or removes fields of the front matter: {names}"
    if not has_open_fence(before) and has_open_fence(after):
        yield "it leaves a block of code open"
    had, has = Counter(_links(before)), Counter(_links(after))
    if lost := sorted((had - has).keys() - has.keys()):
        yield f"it drops the link to {lost[0][:200]}"
    if added := sorted(has.keys() - had.keys()):
        yield f"it adds a link that the text does not have: {added[0][:200]}"


def _links(text: str) -> Iterable[str]:
    return [next(filter(None, groups)) for groups in _LINK.findall(text)]


def verified(draft: Draft, quotes: Iterable[str]) -> list[bool]:
    """Tell of each quote whether it is in the text that was looked at, blanks and line ends aside."""
    words = " ".join(draft.part.split())
    return [bool(quote.strip()) and " ".join(quote.split()) in words for quote in quotes]

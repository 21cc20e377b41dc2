"""What a draft holds in the place of what is still to be written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_EVERYWHERE = re.compile(
    r"lorem ipsum dolor|^\W*lorem ipsum\b"
    r"|<!--\s*(?:TODO|TBD|FIXME)\b|^\W*todo:|^\W*coming soon\W*$|\((?:still )?to be (?:written|done|filled in)\)"
    r"|^(?:\.\.\.|…)$|\{\{\s*[a-z_ ]+\s*\}\}"
    r"|\byour[ -](?:\w+[ -]){0,2}(?:description|name|text|content|instructions?) (?:goes )?here\b"
    r"|\b(?:insert|describe|add|write|fill in|put) (?:\w+ ){0,4}here\b(?=[\].!>)]*\s*$)"
    r"|<(?:your|insert|describe|add|fill|enter|todo|tbd|placeholder)\b[^<>\n]{0,80}>"
    r"|<\.\.\.>|\[(?:todo|tbd|placeholder|insert|describe|your)\b[^\]\n]{0,80}\](?!\()",
    re.IGNORECASE | re.MULTILINE,
)
_OPEN = re.compile(
    r"^[\s>#*+-]*(?:\d+\.\s+)?(?:\[[ x]\]\s*)?\**(?:TODO|TBD|FIXME|XXX)\b"
    r"(?=\**\s*(?:[:(]|$)|\s+(?:add|write|fill|describe|finish|explain|document|complete|decide)\b)",
    re.MULTILINE,
)
"""A line that says that something is still to be done; a skill may speak of such lines in a sentence."""
_IN_FIELDS = re.compile(
    r"(?:^|[.;:,(]\s*)(?:TODO|TBD|FIXME|XXX)\b(?=\s*(?:[:.)]|$))|\.\.\.\s*$"
    r"|(?<!\w)<(?!(?:html|xml|svg|head|body|div|span|table|form|script|style|img|a|p)\b)[a-z][^<>\n]{0,80}>",
    re.IGNORECASE,
)
"""What no description ends in or holds; elements of a page and types of a language may be spoken of."""
TOLD = frozenset(("name", "description", "when_to_use"))
"""Fields that say something to a model; an `argument-hint` stands for something by its nature."""
_FENCE = re.compile(r"^([ \t]*)(`{3,}|~{3,})[^\n]*\n.*?(?:^[ \t]*\2[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")


class Found(NamedTuple):
    """One placeholder."""

    line: int
    """Counted from 1."""
    text: str


def in_body(text: str) -> Iterator[Found]:
    """Yield what stands for something in a text of Markdown; code between fences or backticks is an example."""
    plain = without_code(text)
    for pattern in (_EVERYWHERE, _OPEN):
        for match in pattern.finditer(plain):
            yield Found(plain.count("\n", 0, match.end()) + 1, " ".join(match[0].split()))


def in_field(value: str) -> str:
    """Return what stands for something in a value of front matter; empty for nothing."""
    match = _EVERYWHERE.search(value) or _IN_FIELDS.search(value)
    return match[0].strip() if match else ""


def without_code(text: str) -> str:
    """Return a text of Markdown with code made blank, every line where it was."""
    return _CODE.sub(_blank, _FENCE.sub(_blank, text))


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])

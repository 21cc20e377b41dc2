"""Reads `memory/issues.md`: which issues are open, how grave each is, and which entries nobody can tell that of.

An entry is a heading with fields (`- **Severity**: High`, `Status: Open`), or an item of a task list. Without a status
it is open; without a severity, or where two contradict each other, the worse is taken or the entry is unclear. Nothing
is passed over but headings that only group others, and text that is in a closed block of code or a comment.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment.roots import MEMORY_FILES
from agent_studio.errors import UnsafePathError
from agent_studio.memory.fields import is_state
from agent_studio.memory.scanning import title_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent_studio.environment.roots import EnvironmentRoot

FILE = MEMORY_FILES[-1]
CRITICAL, HIGH, MEDIUM, LOW = "CRITICAL", "HIGH", "MEDIUM", "LOW"
_ORDER = (CRITICAL, HIGH, MEDIUM, LOW)
_WORDS = {
    "critical": CRITICAL, "crit": CRITICAL, "blocker": CRITICAL, "p0": CRITICAL, "sev0": CRITICAL, "s0": CRITICAL,
    "high": HIGH, "major": HIGH, "p1": HIGH, "sev1": HIGH, "s1": HIGH,
    "medium": MEDIUM, "moderate": MEDIUM, "p2": MEDIUM, "sev2": MEDIUM, "s2": MEDIUM,
    "low": LOW, "minor": LOW, "trivial": LOW, "info": LOW, "p3": LOW, "p4": LOW, "sev3": LOW, "s3": LOW,
}  # fmt: skip
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*)")
_FENCE = re.compile(r"[ \t]*(?:[-*+] +)?(?:(`{3,})([^`]*)|(~{3,})(.*))")
_CODE_SPAN = re.compile(r"`[^`]*`")
_FIELD = re.compile(
    r"[ \t>]*(?:[-*+] +)?[*_]{0,2}(severity|priority|status)[*_]{0,2}[ \t]*:[*_]{0,2}[ \t]*(.*)", re.IGNORECASE
)
_CELL = re.compile(r"[ \t]*\|[ \t*_]*(severity|priority|status)[ \t*_]*\|([^|]*)\|.*", re.IGNORECASE)
_TASK = re.compile(r"[ \t]*(?:[-*+]|\d+[.)]) +\[([ xX])\] +(.*)")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d+[.)])[ \t]+\S|[A-Z][A-Z0-9 -]{2,30}:")
_SETTLED = re.compile(
    r"(?:resolved|fixed|closed|done|completed|won'?t ?fix|won’t fix|wont-fix|duplicate|invalid|archived|obsolete"
    r"|false positive|not a bug)\b(?! \?|\?)", re.IGNORECASE,
)  # fmt: skip
_SETTLED_TITLE = re.compile(
    r"(?:[-–—:(\[]\s*)(?:resolved|fixed|closed|won'?t fix)\b[\s\])*]*(?:\([^)]*\)|[\d-]+)?[\s\])*.!]*$", re.IGNORECASE
)
_ABOUT = re.compile(r"(?:summary|format|template|legend|priority breakdown)(?: \(.*\))?:?", re.IGNORECASE)
"""Headings that tell of the file itself: what stands below them is no entry, unless it has fields."""
_LIST = re.compile(
    r"(?:(?:known |open |current |resolved |closed |fixed )?(?:issues|problems|blockers)(?: and blockers)?"
    r"|open|resolved|closed|fixed|archived?|done)(?: \(.*\))?:?", re.IGNORECASE,
)  # fmt: skip
"""Headings below which entries are listed."""
_NONE = re.compile(
    r"\W*(?:none|nothing|no (?:\w+ )?(?:issues?|problems?|blockers?))(?: (?:yet|now|known|open|at present))?\W*",
    re.IGNORECASE,
)
_RULE = re.compile(r"[-*_| :\t]*")
_MARKED = re.compile(r"\b[A-Z][A-Z0-9]+\b|(?<=[\[(])\s*\w+|^\W*\w+(?=\W*:)")
"""Words of a title that grade it: in capitals, in brackets, or before a colon at its start."""
_SETTLED_GROUP = re.compile(r"(?:resolved|closed|fixed|archived?|done)\b", re.IGNORECASE)
_UNGRADED = "it names no severity (critical, high, medium or low)"
_TITLE_MAX = 120
_TITLE_END = 200
"""Letters at the end of a title in which it may say that the entry is settled."""


class Issue(NamedTuple):
    """One entry."""

    line: int
    title: str
    severity: str
    """CRITICAL, HIGH, MEDIUM or LOW; empty where the entry does not say."""
    is_open: bool
    fault: str = ""
    """Why nobody can tell what the entry means; empty when it can be told."""


class Reading(NamedTuple):
    """An issues file as it was read."""

    place: str
    """From the project's root."""
    issues: Sequence[Issue]
    fault: str = ""
    """Why the file could not be read; empty when it could."""


def read(root: EnvironmentRoot) -> Reading:
    """Read an environment's issues; a file that is missing or no text is a fault of the reading, never no issues."""
    folder, name = root.reads("memory", FILE)
    place = (folder.path / name).relative_to(root.project.path).as_posix()
    try:
        return Reading(place, parse(folder.read(name).decode("utf-8-sig")))
    except FileNotFoundError:
        return Reading(place, (), f"{place} is not there")
    except UnicodeDecodeError as error:
        return Reading(place, (), f"{place} is not UTF-8 text (byte {error.start})")
    except UnsafePathError as error:
        return Reading(place, (), error.message)


def parse(text: str) -> list[Issue]:
    """Return the entries of a file, in order."""
    lines, faults = _visible(text)
    return sorted([*_entries(lines), *faults])


class _Section(NamedTuple):
    """A heading and the lines below it, up to the next heading."""

    line: int
    level: int
    title: str
    body: list[tuple[int, str]]


def _visible(text: str) -> tuple[list[tuple[int, str]], list[Issue]]:
    """Return the numbered lines outside of code and comments; a block that never ends is a fault, and is read."""
    lines = [line.removesuffix("\r") for line in text.replace("\0", " ").split("\n")]
    shown, faults, number = list[tuple[int, str]](), list[Issue](), 0
    while number < len(lines):
        line = lines[number]
        end, what = number, ""
        if fence := _FENCE.fullmatch(line):
            what, end = "code", _fence_end(lines, number, fence[1] or fence[3])
        elif "<!--" in _CODE_SPAN.sub("", line):
            what, end = "comment", _comment_end(lines, number)
        if not what:
            shown.append((number + 1, line))
        elif end < 0:
            faults.append(
                Issue(number + 1, line.strip()[:80], "", is_open=True, fault=f"a {what} begins and never ends")
            )
        elif what == "comment":
            rest = lines[end].rpartition("-->")[2]
            shown.append((number + 1, (line.partition("<!--")[0] + " " + rest).rstrip()))
        number = max(end, number) + 1
    return shown, faults


def _fence_end(lines: Sequence[str], start: int, mark: str) -> int:
    for number in range(start + 1, len(lines)):
        closing = _FENCE.fullmatch(lines[number])
        if closing and lines[number].strip().startswith(mark) and not (closing[2] or closing[4] or "").strip():
            return number
    return -1


def _comment_end(lines: Sequence[str], start: int) -> int:
    """Return the line on which the last comment that begins on a line ends, or -1."""
    if lines[start].rfind("-->") > lines[start].rfind("<!--"):
        return start
    return next((number for number in range(start + 1, len(lines)) if "-->" in lines[number]), -1)


def _sections(lines: Sequence[tuple[int, str]]) -> list[_Section]:
    found = [_Section(0, 1, "", [])]
    for number, line in lines:
        if heading := _HEADING.fullmatch(line):
            found.append(_Section(number, len(heading[1]), title_of(heading[2]), []))
        else:
            found[-1].body.append((number, line))
    return found


def _entries(lines: Sequence[tuple[int, str]]) -> Iterator[Issue]:
    groups: list[_Section] = []
    for section, after in pairwise([*_sections(lines), None]):
        if section is None:
            continue
        while groups and groups[-1].level >= section.level:
            groups.pop()
        settled = any(_SETTLED_GROUP.match(one.title) for one in groups)
        groups.append(section)
        fields = [(number, *found) for number, line in section.body if (found := _field(line))]
        own = settled or bool(_SETTLED_GROUP.match(section.title))
        if fields:
            yield _issue(section, fields, is_settled=settled)
        elif section.level == 1 or _LIST.fullmatch(section.title) or _tasks(section):
            yield from _loose(section, is_settled=own)
        elif not (_ABOUT.fullmatch(section.title) or _NONE.fullmatch(section.title) or _only_groups(section, after)):
            yield _issue(section, [], is_settled=settled)


def _only_groups(section: _Section, after: _Section | None) -> bool:
    """Tell whether a heading has nothing of its own and others below it."""
    has_text = any(not _RULE.fullmatch(line) for _, line in section.body)
    return not has_text and after is not None and after.level > section.level


def _field(line: str) -> tuple[str, str] | None:
    found = _FIELD.fullmatch(line) or _CELL.fullmatch(line)
    if found and found[1].lower() == "status" and line.startswith(("  ", "\t")) and not is_state(found[2]):
        return None  # a sentence below an item
    return (found[1].lower(), found[2].strip(" *_`")) if found else None


def is_settled(status: str) -> bool:
    """Tell whether a status says that an issue is over."""
    return _SETTLED.match(status) is not None


def _tasks(section: _Section) -> bool:
    return any(_TASK.fullmatch(line) for _, line in section.body)


def _issue(section: _Section, fields: Sequence[tuple[int, str, str]], *, is_settled: bool) -> Issue:
    """Read one entry; what it says twice counts as the worse."""
    statuses = [value for _, name, value in fields if name == "status"]
    graded = [value for _, name, value in fields if name != "status"]
    struck = section.title.startswith("~~") and "~~" in section.title[2:]
    if statuses:
        is_open = not all(_SETTLED.match(value) for value in statuses)
    else:
        is_open = not (is_settled or struck or _SETTLED_TITLE.search(section.title[-_TITLE_END:]))
    severity = _worst(" ".join(graded)) or _graded(section.title)
    title = section.title.replace("~~", "")[:_TITLE_MAX] or "(no heading)"
    if graded and not _worst(" ".join(graded)):
        fault = f"{graded[0]!r} is no severity"
    else:
        fault = "" if severity else _UNGRADED
    return Issue(section.line or fields[0][0], title, severity, is_open, fault if is_open else "")


def _loose(section: _Section, *, is_settled: bool) -> Iterator[Issue]:
    """Yield the items of a task list, and what else is said where entries are listed.

    Below the title of the file sentences introduce it; items there are entries that lack their heading.
    """
    for number, line in section.body:
        if task := _TASK.fullmatch(line):
            is_open = task[1] == " " and not is_settled
            severity = _graded(task[2])
            fault = "" if severity or not is_open else _UNGRADED
            yield Issue(number, task[2][:_TITLE_MAX], severity, is_open, fault)
        elif is_settled or _RULE.fullmatch(line) or _NONE.fullmatch(line) or line.startswith((" ", "\t")):
            continue
        elif section.level > 1 or _ITEM.match(line):
            yield Issue(number, line.strip()[:_TITLE_MAX], "", is_open=True, fault="it has no heading with fields")


def _graded(title: str) -> str:
    return _worst(" ".join(_MARKED.findall(title)))


def _worst(text: str) -> str:
    """Return the gravest severity that a text names, empty for none."""
    named = {_WORDS[word] for word in re.findall(r"[a-z]+\d?", text.lower()) if word in _WORDS}
    return next((one for one in _ORDER if one in named), "")

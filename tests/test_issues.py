"""What stands in issues.md: open and grave is seen, settled is settled, what nobody can tell is said with its line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.memory.issues import parse, read

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Studio

ORIGINAL = """# Known Issues and Blockers

## Summary (as of 2026-01-27)

| Status Category | Count | Notes |
| --------------- | ----- | ----- |
| **OPEN**        | 49    | Active |

### Priority Breakdown (OPEN Issues)

- **CRITICAL**: 4 (SEC-AUDIT-012)

## Format

```
## [ISSUE-XXX] Title
- **Severity**: Critical | High | Medium | Low
- **Status**: Open | In Progress | Resolved | Won't Fix
```

<!-- OPEN ISSUES BELOW THIS LINE -->

## Findings (2026-01-27)

### [WORKFLOW-1] Router bypasses the skill creator

- **Date**: 2026-01-27
- **Severity**: High
- **Status**: Open
  ```javascript
  - **Status**: Resolved
  ```

### [ENFORCEMENT-1] The guard is not wired (CRITICAL)

- **Severity**: CRITICAL
- **Status**: Open (Security Review Complete 2026-01-27)

### [DOC-1] A page is missing

- **Severity:** Critical
- **Status:** Won't Fix
"""


def told(text: str) -> list[tuple[int, str, bool, bool]]:
    return [(one.line, one.severity, one.is_open, bool(one.fault)) for one in parse(text)]


def test_a_file_in_the_manner_of_the_original_is_read_as_its_authors_meant_it() -> None:
    assert told(ORIGINAL) == [(25, "HIGH", True, False), (34, "CRITICAL", True, False), (39, "CRITICAL", False, False)]


@pytest.mark.parametrize(
    "text",
    [
        "", "# Open issues\n", "# Issues\n\nThis file tracks issues found during work.\n",
        "# Open issues\n\nGenerated.\n\n## No open issue\n\nReplace this entry with the first one.\n",
        "# Issues\n\n## Format\n- Date\n- Resolution\n\n## Issues\n\nNone.\n",
        "# Issues\n\n## Resolved\n\n- [ ] CRITICAL: was left unticked\n- it was slow\n",
    ],
)  # fmt: skip
def test_a_file_without_entries_has_none_open(text: str) -> None:
    assert not [one for one in parse(text) if one.is_open]


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("## A\nSeverity: high\n", "HIGH"), ("## A\n**Priority:** P0\n", "CRITICAL"),
        ("## A\n| Severity | **High** |\n| Status | Open |\n", "HIGH"), ("## A\r\n- Severity: High\r\n", "HIGH"),
        ("## A\n> Severity: High\n", "HIGH"), ("# Issues\n- [ ] [HIGH] it breaks\n", "HIGH"),
        ("# Issues\n- [ ] **Critical**: it breaks\n", "CRITICAL"), ("## P0 BUG: it breaks\n\ntext\n", "CRITICAL"),
        ("## [ID-1] It breaks (CRITICAL)\n\ntext\n", "CRITICAL"),
        ("## A\n- Severity: Low\n- Severity: High\n", "HIGH"),
        ("## A\n- Severity: High\n- Status: Resolved\n- Status: Open\n", "HIGH"),
        ("## A\n- Severity: High\n- Status: Resolved?\n", "HIGH"),
        ("## A\n- Severity: High\n- Status: not resolved\n", "HIGH"),
        ("## A\n- Severity: High\n- Status: Partially fixed\n", "HIGH"),
        ("## A - fixed in a branch only\n- Severity: High\n", "HIGH"),
        ("```a```\n## A\n- Severity: High\n", "HIGH"), ("the mark `<!--` is text\n## A\n- Severity: High\n", "HIGH"),
    ],
)  # fmt: skip
def test_what_is_open_and_grave_is_seen_however_it_is_written(text: str, severity: str) -> None:
    found = parse(text)
    assert [(one.severity, one.is_open) for one in found] == [(severity, True)], found


@pytest.mark.parametrize(
    "text",
    [
        "## A\n- Severity: High\n- Status: Resolved (2026-01-27)\n", "## ~~A~~ - RESOLVED (2026-04-23)\n\ntext\n",
        "## A [fixed]\n- Severity: High\n", "# Issues\n- [x] [HIGH] it broke\n",
        "## Resolved issues\n\n### A\n- Severity: Critical\n", "## A\n- Severity: High\n- Status: **Closed**\n",
    ],
)  # fmt: skip
def test_what_is_settled_is_not_open(text: str) -> None:
    assert parse(text)
    assert not [one for one in parse(text) if one.is_open or one.fault]


@pytest.mark.parametrize(
    ("text", "line", "fault"),
    [
        ("# Issues\n\n## Login is slow\n\nSince Monday.\n", 3, "names no severity"),
        ("# Issues\n\n## Login is slow\n", 3, "names no severity"),
        ("## A\n- Severity: purple\n", 1, "'purple' is no severity"),
        ("# Issues\n\nRECURRING: the router hangs\n", 3, "no heading"),
        ("# Issues\n1. it hangs\n", 2, "no heading"),
        ("# Issues\n\n## Open issues\n\nLogin is down.\n", 5, "no heading"),
        ("# Issues\n- [ ] it breaks\n", 2, "names no severity"),
        ("## Low memory ends the router\n\ntext\n", 1, "names no severity"),
        ("# Issues\n```\n## hidden\n", 2, "code begins and never ends"),
        ("# Issues\n<!-- hidden\n", 2, "comment begins and never ends"),
    ],
)
def test_what_nobody_can_tell_is_said_with_its_line(text: str, line: int, fault: str) -> None:
    assert next((one.line, fault in one.fault) for one in parse(text) if one.fault) == (line, True), parse(text)


_LINES = st.sampled_from(
    ["", "text", "# Title", "## Group", "### [X-1] An entry", "- Severity: Low", "- Status: Resolved", "```", "~~~",
     "    ```", "- [x] done", "| a | b |", "---", "> quoted", "<!-- aside -->", "## Resolved?", "~~struck~~", "\t"],
)  # fmt: skip


@given(st.lists(_LINES, max_size=12), st.lists(st.sampled_from(["", "text", "- more", "| a |"]), max_size=5))
def test_an_open_critical_entry_is_seen_whatever_stands_around_it(before: list[str], after: list[str]) -> None:
    entry = ["## [SEC-1] Keys leak", "- **Severity**: Critical", "- **Status**: Open"]
    found = parse("\n".join([*before, *entry, *after]))
    assert any(one.is_open and one.severity == "CRITICAL" for one in found), found


@given(st.text(alphabet="#-*~`<>![]()x \n|:aSeverityStatus", max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    lines = text.count("\n") + 1
    assert all(1 <= one.line <= lines for one in parse(text))


def test_a_file_that_is_missing_or_no_text_is_a_fault_and_not_no_issues(staged: Studio) -> None:
    root = open_context(Project(staged.path.resolve()), Choice(Environment.STAGING, "--env"), {}).root
    assert (read(root).fault, list(read(root).issues)) == ("", [])
    place: Path = staged.path / ".claude/staging/memory/issues.md"
    place.write_bytes(b"# Issues\n\xff\n")
    assert "not UTF-8" in read(root).fault
    place.unlink()
    assert "is not there" in read(root).fault
    place.symlink_to(staged.path / ".claude/agents/code-reviewer.md")
    assert read(root).fault

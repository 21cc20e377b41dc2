"""What a test run's output says: how many passed, failed and were skipped, and which.

Counts come from the closing lines of well-known runners and from JUnit files. What no pattern knows is not
counted: an unknown count is None, never 0, and a skipped test is never a passed one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.parsers import expat

if TYPE_CHECKING:
    from pathlib import Path

MAX_NAMES = 20_000
_MAX_NAME_CHARACTERS = 300
_MAX_LINE_CHARACTERS = 4_000


class Counts(NamedTuple):
    """How many tests there were of each outcome; errors are failed ones."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def plus(self, other: Counts) -> Counts:
        """Return both together."""
        return Counts(*(one + two for one, two in zip(self, other, strict=True)))


@dataclass
class Report:
    """What one source says: its counts (None when unknown) and the names it gives, in order."""

    counts: Counts | None = None
    names: dict[str, str] = field(default_factory=dict)
    """Name to `passed` or `failed`; once failed, a name stays so."""

    def add(self, counts: Counts) -> None:
        """Count the tests of one more run."""
        self.counts = counts if self.counts is None else self.counts.plus(counts)

    def name(self, name: str, outcome: str) -> None:
        """Note one test's outcome; names beyond 20,000 are left out."""
        name = name.strip()[:_MAX_NAME_CHARACTERS]
        if name and (name in self.names or len(self.names) < MAX_NAMES):
            self.names[name] = "failed" if self.names.get(name) == "failed" else outcome

    def named(self, outcome: str) -> list[str]:
        """Return the names of one outcome."""
        return [name for name, noted in self.names.items() if noted == outcome]


_ANSI = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*(?:[@-~]|$)|\x1b[]PX^_].*?(?:\x07|\x1b\\|$)|\x1b[ -/]*(?:[0-~]|$)")
_OUTCOMES = (
    {"passed": "passed", "pass": "passed", "passing": "passed", "xpassed": "passed"}
    | dict.fromkeys(("failed", "fail", "failing", "error", "errors", "cancelled"), "failed")
    | dict.fromkeys(("skipped", "skip", "xfailed", "pending", "todo", "ignored"), "skipped")
)
_CLOSING = tuple(map(re.compile, (
    r"=*\s*(\d+ [a-z ]+(?:, \d+ [a-z ]+)*) in [\d.]+s(?: \([\d:, days]+\))?\s*=*",  # pytest
    r"Tests:\s+(\d+ [a-z]+(?:, \d+ [a-z]+)*), \d+ total",  # jest
    r"Tests\s+(\d+ [a-z]+(?: \| \d+ [a-z]+)*) \(\d+\)",  # vitest
    r"test result: [a-zA-Z]+\. (\d+ passed; \d+ failed; \d+ ignored)\b.*",  # cargo
    r"(?:(?:Tests|Results?|Total): )?(\d+ (?:passed|failed|skipped)(?:, \d+ (?:passed|failed|skipped))+)\.?",
    r"(\d+ (?:passing|failing|pending))(?: \([\w. ]+\))?",  # mocha
)))  # fmt: skip
_NONE_RAN = re.compile(r"=*\s*no tests ran in [\d.]+s\s*=*")
_NODE = re.compile(r"[#ℹ] (pass|fail|cancelled|skipped|todo)\s+(\d+)")
_GO = re.compile(r"--- (PASS|FAIL|SKIP): (\S+) \([\d.]+s\)")
_UNITTEST_RAN = re.compile(r"Ran (\d+) tests? in [\d.]+s")
_UNITTEST_END = re.compile(r"(?:OK|FAILED|NO TESTS RAN)(?: \(([\w =,]+)\))?")
_TAP = re.compile(r"(not )?ok (\d+)\b(?: -)?(.*)")
_TAP_PLAN = re.compile(r"1\.\.(\d+)\s*(?:#.*)?")
_NAMES = tuple(
    (re.compile(pattern), outcome)
    for pattern, outcome in (
        (r"test (\S.*?)(?: - should panic)? \.\.\. ok", "passed"),  # cargo
        (r"test (\S.*?)(?: - should panic)? \.\.\. FAILED", "failed"),
        (r"[✔✓] (.+?)(?: \([\d.]+ ?m?s\))?", "passed"),  # node, mocha, jest
        (r"[✖✕] (.+?) \([\d.]+ ?m?s\)", "failed"),
        (r"(\w+ \([\w.]+\)) \.\.\. ok", "passed"),  # unittest
        (r"(?:FAIL|ERROR): (\w+ \([\w.]+\)).*", "failed"),
    )
)
_PYTEST_FAILED = re.compile(r"(?:FAILED|ERROR) ([\w./\\-]+)\.py(?:::([^\[]+?(?:\[.*?\])?))?(?: - .*)?")


def plain(line: str) -> str:
    """Return a line as a terminal would leave it: without escape sequences and what was overwritten."""
    return _ANSI.sub("", line).rstrip("\r\n").rpartition("\r")[2]


class LineCounter:
    """Reads a run's output line by line; keeps counts and names only, whatever the length of the output."""

    def __init__(self) -> None:
        self._report = Report()
        self._tap = Counts()
        self._tap_planned: int | None = None
        self._has_summary = False
        self._unittest_ran: int | None = None

    def feed(self, raw: str) -> None:
        """Take one line of output."""
        if raw.startswith("{") and self._go_event(raw):
            return
        if len(raw) > _MAX_LINE_CHARACTERS:
            return
        line = plain(raw)
        text = line.strip()
        if text and not (self._unittest(text) or self._closing(text) or self._tap_line(line, text)):
            self._names(text)

    def report(self) -> Report:
        """Return what the lines so far say; tests that a TAP plan promised and did not show are failed."""
        whole = Report(self._report.counts, dict(self._report.names))
        if self._tap_planned is not None and not self._has_summary:
            missing = max(0, self._tap_planned - sum(self._tap))
            whole.add(self._tap.plus(Counts(failed=missing)))
        return whole

    def _go_event(self, line: str) -> bool:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            return False
        if not isinstance(event, dict) or not {"Action", "Package"} <= event.keys():
            return False
        if event.get("Test") and event["Action"] in {"pass", "fail", "skip"}:
            self._one(_OUTCOMES[event["Action"]], f"{event['Package']}.{event['Test']}")
        return True

    def _one(self, outcome: str, name: str) -> None:
        self._report.add(Counts(**{outcome: 1}))
        if outcome != "skipped":
            self._report.name(name, outcome)

    def _unittest(self, text: str) -> bool:
        if ran := _UNITTEST_RAN.fullmatch(text):
            self._unittest_ran = int(ran[1])
            return True
        total, self._unittest_ran = self._unittest_ran, None
        end = _UNITTEST_END.fullmatch(text) if total is not None else None
        if total is None or end is None:
            return False
        said = {kind.strip(): int(number) for kind, number in re.findall(r"([a-z ]+)=(\d+)", end[1] or "")}
        failed = sum(said.get(kind, 0) for kind in ("failures", "errors", "unexpected successes"))
        skipped = said.get("skipped", 0) + said.get("expected failures", 0)
        self._report.add(Counts(max(0, total - failed - skipped), failed, skipped))
        return True

    def _closing(self, text: str) -> bool:
        if node := _NODE.fullmatch(text):
            self._has_summary = True
            self._report.add(Counts(**{_OUTCOMES[node[1]]: int(node[2])}))
            return True
        if go := _GO.fullmatch(text):
            self._one(_OUTCOMES[go[1].lower()], go[2])
            return True
        if _NONE_RAN.fullmatch(text):
            self._report.add(Counts())
            return True
        closing = next((found for pattern in _CLOSING if (found := pattern.fullmatch(text))), None)
        known = [
            Counts(**{_OUTCOMES[word]: int(number)})
            for number, word in re.findall(r"(\d+) ([a-z]+)(?! ?[a-z])", closing[1] if closing else "")
            if word in _OUTCOMES
        ]
        for counts in known:
            self._report.add(counts)
        return bool(known)

    def _tap_line(self, line: str, text: str) -> bool:
        """Count top-level results only: a subtest's own are summed up in its parent's."""
        if plan := _TAP_PLAN.fullmatch(line):
            self._tap_planned = (self._tap_planned or 0) + int(plan[1])
            return True
        result = _TAP.fullmatch(text)
        if result is None:
            return False
        name, *directive = re.split(r"\s+#\s*(?=skip|todo)", result[3], maxsplit=1, flags=re.IGNORECASE)
        outcome = "skipped" if directive else "failed" if result[1] else "passed"
        if not line[0].isspace():
            self._tap = self._tap.plus(Counts(**{outcome: 1}))
        if outcome != "skipped":
            self._report.name(name, outcome)
        return True

    def _names(self, text: str) -> None:
        if failed := _PYTEST_FAILED.fullmatch(text):
            parts = [re.sub(r"[/\\]", ".", failed[1]), *str(failed[2] or "").split("::")]
            self._report.name(_junit_name(".".join(parts[:-1]), parts[-1]), "failed")
            return
        for pattern, outcome in _NAMES:
            if found := pattern.fullmatch(text):
                self._report.name(found[1], outcome)
                return


def _junit_name(group: str, name: str) -> str:
    """Return one name whichever of the two parts is empty; pytest puts a broken module's into either."""
    return "::".join(filter(None, (group, name)))


def read_junit(place: Path) -> Report | None:
    """Return what a JUnit file says, or None when it is missing, damaged, cut short or has a document type."""
    report = Report(Counts())
    case: dict[str, str] = {}
    outcome = "passed"

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal case, outcome
        if tag == "testcase":
            case, outcome = attributes, "passed"
        elif tag in {"failure", "error"}:
            outcome = "failed"
        elif tag == "skipped" and outcome == "passed":
            outcome = "skipped"

    def end(tag: str) -> None:
        if tag == "testcase":
            report.add(Counts(**{outcome: 1}))
            if outcome != "skipped":
                report.name(_junit_name(case.get("classname", ""), case.get("name", "")), outcome)

    def refuse(*_: Any) -> None:
        raise ValueError("a JUnit file has no document type")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.StartDoctypeDeclHandler = refuse
    try:
        with place.open("rb") as file:
            parser.ParseFile(file)
    except (OSError, expat.ExpatError, ValueError):
        return None
    return report


def combine(lines: Report, junit: Report | None) -> Report:
    """Return what the one says that saw more tests: every pytest of a run overwrites the file of the one before."""
    if junit is None or junit.counts is None:
        return lines
    return lines if lines.counts and sum(lines.counts) > sum(junit.counts) else junit

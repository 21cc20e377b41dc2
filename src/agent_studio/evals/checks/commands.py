"""Checks that run something in the copy, confined as the agent was: a command, pytest; and JUnit files."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from agent_studio.evals.attempts import reading
from agent_studio.evals.checks.files import Found, search

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.evals.checks.outcome import Scene

_SECONDS = 120.0
_NAME = "check"
_DOCTYPE = re.compile(rb"<!DOCTYPE|<!ENTITY", re.IGNORECASE)


def command(value: Mapping[str, Any], scene: Scene) -> Found:
    """Run a command and look at its exit code, and at what it prints."""
    words = _words(value["command"])
    ended = scene.room.run(words, _NAME, float(value.get("seconds", _SECONDS)))
    said = scene.room.said(_NAME)
    if ended.why:
        return False, f"it was ended: {ended.why}"
    wanted = value.get("exit", 0)
    if ended.code != wanted:
        return False, f"it ended with {ended.code}, not {wanted}: {said[-400:]}"
    if "prints" in value and not search(value["prints"], said):
        return False, f"it does not print {value['prints']!r}: {said[-400:]}"
    return True, f"it ended with {ended.code}"


def _words(written: str | list[str]) -> list[str]:
    if isinstance(written, list):
        return written
    return ["cmd", "/c", written] if os.name == "nt" else ["sh", "-c", written]


def pytest(value: Mapping[str, Any], scene: Scene) -> Found:
    """Run pytest and count what passed; with the Python that the start brings where it does, else with ours."""
    written = value["pytest"]
    targets = written.split() if isinstance(written, str) else written
    report = scene.room.scratch / "junit.xml"
    if report.is_dir() and not report.is_symlink():
        return False, f"{report.name} cannot be written: a folder is in its place"
    report.unlink(missing_ok=True)
    words = [_python(scene), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ended = scene.room.run([*words, f"--junitxml={report}", *targets], _NAME, float(value.get("seconds", _SECONDS)))
    if ended.why:
        return False, f"it was ended: {ended.why}"
    data = reading.regular(report, reading.MOST_BYTES + 1)
    passed, detail = counted(data, report.name, int(value.get("passed", 1)))
    if data is None:
        detail = f"pytest ended with {ended.code}: {scene.room.said(_NAME)[-400:]}"
    return passed, detail


def junit(value: Mapping[str, Any], scene: Scene) -> Found:
    """Look at a JUnit file that is in the copy."""
    name = value["junit"]
    return counted(
        reading.within(scene.room.copy, name, reading.MOST_BYTES + 1), name.rpartition("/")[2],
        int(value.get("passed", 1)),
    )  # fmt: skip


def _python(scene: Scene) -> str:
    """Return the interpreter of the start, never one that an agent made or put in its place."""
    own = scene.room.copy / ".venv/bin/python"
    names = {".venv", ".venv/bin", ".venv/bin/python"}
    is_given = bool(names & scene.before.keys()) and own.exists()
    is_touched = any(path in names or path.startswith((".venv/bin/python", ".venv/pyvenv")) for path in scene.changed)
    return str(own) if is_given and not is_touched else sys.executable


def counted(data: bytes | None, name: str, least: int) -> Found:
    """Return whether enough tests passed and none failed; skipped ones are neither."""
    if data is None:
        return False, f"{name} is not there"
    if len(data) > reading.MOST_BYTES or _DOCTYPE.search(data):
        return False, f"{name} is no JUnit file that is read: too large, or with declarations"
    try:
        cases = list(ET.fromstring(data).iter("testcase"))  # noqa: S314 - without declarations, see above
    except ET.ParseError as error:
        return False, f"{name} is no XML: {error}"
    failed = [case.get("name", "") for case in cases if {"failure", "error"} & {inner.tag for inner in case}]
    skipped = sum("skipped" in {inner.tag for inner in case} for case in cases)
    passed = len(cases) - len(failed) - skipped
    told = f"{passed} passed, {len(failed)} failed, {skipped} skipped"
    if failed:
        return False, f"{told}: {', '.join(failed[:5])}"
    return passed >= least, told if passed >= least else f"{told}; at least {least} have to pass"

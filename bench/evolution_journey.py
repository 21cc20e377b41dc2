"""An evolution on a project that was not written for it: a new skill from need to enabled, three rightly stopped.

python -m bench.evolution_journey PROJECT     on a copy of PROJECT; prints what each step said
python -m bench.evolution_journey TREE.tar.xz
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import tarfile
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from bench.measure import clean_variables
from bench.projects import Trial

from agent_studio import clock
from agent_studio.cli.main import main as command
from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.evolution.gates.likeness import stems
from agent_studio.knowledge.base import knowledge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAME, NEED = "mooring-plan", "turns the harbour master's tide tables into a weekly mooring plan for visiting ferries"
DRAFT = f"""---
name: {NAME}
description: Turns tide tables of a harbour master into a weekly mooring plan. Use when ferries ask for a berth.
---

# Mooring plan

1. Read the tide table of the week with [the form](references/form.md).
2. Give each ferry a berth that stays deep enough; say which one does not fit, and why.
"""
FORM = "# Form\n\nDate, high water, low water, depth at each berth in metres.\n"
SOURCES = (
    ("https://www.rfc-editor.org/rfc/rfc3339", "--says", "how the times of a table are written"),
    ("--document", "Admiralty Tide Tables", "--says", "high and low water of each port and day"),
    ("harbour.md", "--quote", "Berth 4 dries at low water.", "--says", "which berth is not deep enough"),
)
HARBOUR = "# Harbour\n\nBerth 4 dries at low water.\n"
_DEFINITIONS = ("agents", "commands", "skills", "workflows")
_LONG, _SHORT = 8, 1_000
"""Words that say something in a description that is taken for a need, and characters that a need may have."""


class Journey:
    """One project, and the commands that are given in it."""

    def __init__(self, project: Path, trial: Trial) -> None:
        self.project, self.trial = project, trial
        self.ahead = timedelta()

    def command(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Give one command in staging; return its exit code and what it told."""
        out, now = io.StringIO(), clock.now
        given = [*arguments, "--env", "staging", "--project", str(self.project), "--json"]
        with (
            mock.patch.dict(os.environ, clean_variables(), clear=True),
            mock.patch.object(clock, "now", side_effect=lambda: now() + self.ahead),
            contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()),
        ):  # fmt: skip
            code = command(given)
        told: dict[str, Any] = json.loads(out.getvalue())
        return int(code), told

    def evolve(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """Give a sub-verb of `evolve`; another exit code is a fault of the trial."""
        found, told = self.command("evolve", *arguments)
        if found != code:
            self.trial.faults.append(f"evolve {arguments[0]}: exit code {found}, not {code}: {json.dumps(told)[:400]}")
        data: dict[str, Any] = told["data"]
        return data

    def expect(self, held: object, message: str) -> None:
        """Note a fault unless something holds."""
        if not held:
            self.trial.faults.append(message)

    def answered(self, verdict: str = "PASS") -> dict[str, Any]:
        """Advance; what is near is answered for, one look after the other, as somebody would who had read it."""
        unlike: list[str] = []
        for _ in range(6):
            code, told = self.command("evolve", "advance", *unlike)
            data: dict[str, Any] = told["data"]
            waiting = [gate for gate in data.get("gates", []) if gate["verdict"] == "INSUFFICIENT"]
            if code != 3 or not waiting:
                break
            names = dict.fromkeys(one["name"] for gate in waiting for one in gate["evidence"])
            unlike = [word for name in names for word in ("--unlike", f"{name}=that is about no harbour at all")]
        self.expect(data.get("verdict") == verdict, f"{data.get('left')}: {data.get('verdict')}, not {verdict}: {data}")
        return data

    def to_lock(self) -> None:
        """Go from Evaluate to Lock with what holds."""
        for source in SOURCES:
            self.evolve("research", *source)
        self.answered()

    def drafted(self, text: str) -> Path:
        """Write a draft outside the project's definitions."""
        folder = self.project / "drafted"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "references").mkdir(parents=True)
        (folder / "SKILL.md").write_text(text, encoding="utf-8")
        (folder / "references/form.md").write_text(FORM, encoding="utf-8")
        return folder


def trial(project: Path, name: str) -> Trial:
    """Run the journey in a project, which is changed by it."""
    found = Trial(f"an evolution on {name}: a new skill from need to enabled, and four that are stopped")
    journey = Journey(project, found)
    code, told = journey.command("init", "--no-hooks", "--set", "testData.artifactsCount=0")
    if code:
        found.faults.append(f"init: {code}: {json.dumps(told)[:400]}")
        return found
    (project / "harbour.md").write_text(HARBOUR, encoding="utf-8")
    before = definitions(project)
    for step in (_enabled, _duplicate, _unfinished, _fourth, _dangling):
        started = time.perf_counter()
        said = step(journey)
        found.figures.append(f"{said} ({time.perf_counter() - started:.1f} s)")
    after = definitions(project)
    new = {f"skills/{NAME}/SKILL.md": DRAFT.encode(), f"skills/{NAME}/references/form.md": FORM.encode()}
    journey.expect(after == {**before, **new}, "definitions other than the new skill's were changed")
    return found


def _enabled(journey: Journey) -> str:
    journey.evolve("start", "skill", NAME, "--need", NEED)
    journey.to_lock()
    journey.evolve("advance", "verify", "--from", str(journey.drafted(DRAFT)))
    journey.answered()
    done = journey.evolve("advance")
    journey.expect(done.get("placed") == f".claude/skills/{NAME}", f"it was not placed: {done}")
    code, told = journey.command("candidate", "create")
    journey.expect(code == 0 and done.get("next") == "agent-studio candidate create", f"no candidate: {told}")
    _, found = journey.command("kb", "search", NEED)
    hits = [hit["name"] for hit in found["data"]["hits"]]
    journey.expect(hits[:1] == [NAME], f"a search for the need finds {hits[:3]} first")
    return f"{NAME} is enabled, in candidate {told['data'].get('candidate', '?')[:12]}"


def _duplicate(journey: Journey) -> str:
    """Start what is there already: the words of a description in another order, with an answer that says nothing."""
    context = open_context(Project(journey.project), Choice(Environment.STAGING, "a trial"), {})
    with knowledge(context) as base:
        known = (one for one in base.list(sort="path") if one.domain in {"skill", "agent"})
        twin = next(one for one in known if len(stems(one.description)) >= _LONG and len(one.description) < _SHORT)
    need = " ".join(reversed(twin.description.split()))
    journey.evolve("start", "skill", "the-same-again", "--need", need, "--unlike", f"{twin.name}=is another one")
    found = journey.evolve("advance", code=1)
    journey.expect(found.get("evolution", {}).get("outcome") == "stopped", f"a twin of {twin.path} is not stopped")
    return f"a twin of {twin.name} is stopped in evaluate"


def _unfinished(journey: Journey) -> str:
    """Go on with two sources, and then with a draft that is not finished."""
    journey.evolve("start", "skill", "berth-list", "--need", f"{NEED}, and lists of berths by draught and beam")
    journey.answered()
    for source in SOURCES[:2]:
        journey.evolve("research", *source)
    short = journey.evolve("advance", code=3)
    journey.expect(short.get("left") == "research", f"two sources let it into {short.get('evolution')}")
    journey.evolve("research", *SOURCES[2])
    journey.evolve("advance", "lock")
    text = DRAFT.replace(NAME, "berth-list") + "\n## By beam\n\nTODO: <your description here>\n"
    back = journey.evolve("advance", "--from", str(journey.drafted(text)), code=1)
    failed = {gate["name"] for gate in back.get("gates", []) if gate["verdict"] == "FAIL"}
    journey.expect("placeholders" in failed, f"placeholders are not found: {failed}")
    journey.evolve("abort", "--reason", "nobody finishes it")
    return "two sources, then placeholders are stopped"


def _fourth(journey: Journey) -> str:
    """Start a fourth in the same hour, with the clock set back and as it is; then wait."""
    for hours in (-3, 0):
        journey.ahead = timedelta(hours=hours)
        journey.evolve("start", "skill", "one-too-many", "--need", NEED, code=2)
    journey.ahead = timedelta(minutes=61)
    return "a fourth in an hour is refused, also with the clock set back"


def _dangling(journey: Journey) -> str:
    """Draft a skill that names an agent and a file which are nowhere."""
    journey.evolve(
        "start", "skill", "tide-watch", "--need", "watches gauges and tells the pilot office when a tide is late"
    )
    journey.to_lock()
    text = (
        DRAFT.replace(NAME, "tide-watch")
        + "\nAsk the `harbour-pilot-on-duty` agent; see [gauges](references/gauges.md).\n"
    )
    back = journey.evolve("advance", "--from", str(journey.drafted(text)), code=1)
    said = next((gate["reason"] for gate in back.get("gates", []) if gate["name"] == "references"), "")
    journey.expect("harbour-pilot-on-duty" in said and "gauges.md" in said, f"what is not there is not named: {said}")
    journey.evolve("abort", "--reason", "its agent does not exist")
    return "references that lead nowhere are stopped"


def definitions(project: Path) -> Mapping[str, bytes]:
    """Return every definition with its bytes."""
    return dict(_definitions(project / ".claude"))


def _definitions(folder: Path) -> Iterator[tuple[str, bytes]]:
    for kind in _DEFINITIONS:
        for place in sorted((folder / kind).rglob("*")):
            if place.is_file() and not place.is_symlink():
                yield place.relative_to(folder).as_posix(), place.read_bytes()


def copied(source: Path, place: Path) -> Path:
    """Make a project of a checkout or of a packed one."""
    if source.is_dir():
        shutil.copytree(source, place, symlinks=True, ignore=shutil.ignore_patterns(".git", "node_modules"))
    else:
        with tarfile.open(source) as archive:
            archive.extractall(place, filter="data")
    return place


def main() -> int:
    """Run it on a copy of what is named."""
    source = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        found = trial(copied(source, Path(folder).resolve() / "project"), source.name)
    print(f"{found.name}: {found.verdict}", *found.figures, *found.faults, sep="\n  ")
    return bool(found.faults)


if __name__ == "__main__":
    sys.exit(main())

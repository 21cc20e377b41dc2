"""A change on its whole way: the real client burns it in, people sign, it goes live, and the next one fails there.

Everything is done by commands, as a team would. One thing is not as in life: the sessions take minutes, so what they
left in the inbox is spread over a day before it is taken in, and the commands afterwards are run a day later.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.client import claude
from bench.client.journey import JourneyError, command
from bench.client.messages_api import MessagesApi, Tool, Turn
from bench.measure import REPOSITORY

from agent_studio.environment.edit import set_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.client.claude import Client

SESSIONS, AGENTS, CALLS = 8, 9, 11
"""Sessions, and in each runs of an agent and calls of a tool with a hook: enough to show that the limits are kept."""
HOURS = 24.5
"""Over so many hours what was recorded is spread."""
_LONGEST = 40
"""Lines of one screen that the page shows."""
_WITH_MORE = {"burnin", "checklist", "doctor", "signoff"}
"""Verbs of which the page shows each sub-verb."""
_LIMIT, _SLOWEST_MS = "monitoring.thresholds.hookExecutionTimeMs", 250
"""Production's limit of a hook here: the way is tried, on a machine that may be busy, not the hook."""
PEOPLE = {"qa": "quinn", "security": "sam", "uat": "uma"}
AGENT = ".claude/agents/reviewer.md"
_FIRST = (
    "---\nname: reviewer\ndescription: Reviews a change before it is merged.\n---\n\nRead the whole change first.\n"
)
_WORSE = _FIRST + "\nNever read it.\n"
_FILES: Mapping[str, tuple[str, int]] = {
    ".claude/hooks/guard.sh": ("cat > /dev/null\n", 0o755),
    ".claude/settings.json": (
        json.dumps({"hooks": {"PreToolUse": [{"matcher": "Bash", "hooks": [
            {"type": "command", "command": 'sh "$CLAUDE_PROJECT_DIR"/.claude/hooks/guard.sh'}
        ]}]}}, indent=2) + "\n", 0o644,
    ),
    "checks/test_guard.py": (
        "def test_the_guard_is_there():\n    assert open('.claude/hooks/guard.sh').read()\n", 0o644,
    ),
}  # fmt: skip
_MANUAL = (
    ("pre", "security-review", "security"), ("pre", "documentation", "qa"), ("post", "procedures", "qa"),
)  # fmt: skip


@dataclass
class Way:
    """What happened."""

    project: Path
    live: Path
    keys: Path
    variables: Mapping[str, str]
    said: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the telling commands said, by a name of ours."""
    screens: list[tuple[str, str]] = field(default_factory=list)
    """What was typed, and what a person saw."""

    def ours(self, *words: str, code: int = 0, later: bool = True) -> dict[str, Any]:
        """Run a command of ours, a day later unless told otherwise; raise `JourneyError` for another exit code."""
        data: dict[str, Any] = json.loads(self._done(*words, "--json", code=code, later=later).stdout)["data"] or {}
        return data

    def show(self, *words: str, code: int = 0, later: bool = True) -> None:
        """Run a command of ours as `ours` does, and keep what a person sees of it."""
        done = self._done(*words, code=code, later=later)
        typed = f"agent-studio {shlex.join(words)}" + (f"  # exit code {code}" if code else "")
        self.screens.append((self._tidy(typed), self._tidy(done.stdout).rstrip()))

    def _done(self, *words: str, code: int, later: bool) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*command(later=later), *words], cwd=self.project, env={**self.variables, "COLUMNS": "100"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8", timeout=300, check=False,
        )  # fmt: skip
        if done.returncode != code:
            said = f"{done.stdout[-3000:]}{done.stderr[-500:]}"
            raise JourneyError(f"{' '.join(words)}: exit code {done.returncode}, not {code}: {said}")
        return done

    def _tidy(self, text: str) -> str:
        """Name places as on nobody's machine."""
        names = ((self.project, "~/shop"), (self.live, "~/live"), (self.keys, "~/keys"), (sys.executable, "python3"))
        for place, name in names:
            text = text.replace(shlex.quote(str(place)), name).replace(str(place), name)
        return text

    def key(self, role: str) -> str:
        """Return where the key of who has a role is."""
        return str(self.keys / PEOPLE[role])


def travel(client: Client, place: Path, repository: Path | None = None) -> Way:
    """Bring a change to production and the next one back, below an empty folder, in a copy of a repository.

    Raises `JourneyError` when a command does not end as it should.
    """
    project, home = place / "a shop \u00fcn\u00ef", place / "home"
    home.mkdir()
    (home / ".claude.json").write_text("{}\n", encoding="utf-8")  # as a client leaves it that has been started before
    if repository is None:
        project.mkdir()
    else:
        shutil.copytree(repository, project, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    api = MessagesApi(_script(client))
    with api.serving():
        way = Way(project, place / "live", place / "keys", claude.variables(client, home, api.url))
        _prepare(way)
        _prove(way)
        for number in range(SESSIONS):
            _drive(way, number)
    _spread(way)
    _burn_in(way)
    _look_over(way)
    _signed(way)
    for listed in (("signoff", "list"), ("gate",)):
        way.show(*listed)
    way.show("promote", "--yes")
    way.said["promoted"] = way.ours("release", "show")
    _degrade(way)
    way.said["releases"] = way.ours("release", "list")
    return way


def faults(way: Way) -> Iterator[str]:
    """Yield what is not as it should be in the end."""
    burnin, first = way.said["burnin"], way.said["promoted"]
    if burnin["verdict"] != "PASS" or burnin["observedHours"] < 24:
        yield f"the burn-in says {burnin['verdict']} after {burnin['observedHours']} hours"
    if first["healthy"] is not True:
        yield f"the first release did not prove itself: {first}"
    went = [(one["step"], one["healthy"], one["release"]) for one in way.said["releases"]["releases"]]
    second = went[1][2] if len(went) > 1 else ""
    if went != [
        ("promote", True, first["release"]), ("promote", False, second), ("rollback", True, first["release"])
    ]:  # fmt: skip
        yield f"production did not go back to {first['release']}: {went}"
    if (way.live / AGENT).read_text(encoding="utf-8") != _FIRST:
        yield "production does not hold the first release"
    way.ours("release", "verify")


def trial(version: str, repository: Path | None = None) -> list[str]:
    """Travel with one client and return every fault; raises `ProgramMissingError` where it cannot be had."""
    client = claude.install(version)
    with tempfile.TemporaryDirectory() as folder:
        try:
            return list(faults(travel(client, Path(folder).resolve(), repository)))
        except JourneyError as error:
            return [str(error)]


def _prepare(way: Way) -> None:
    """Put the change into the project, make its environments and the keys of who signs."""
    way.keys.mkdir()
    lines = []
    for role, name in PEOPLE.items():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", way.key(role)], check=True)
        kind, base64, *_ = Path(f"{way.key(role)}.pub").read_text(encoding="utf-8").split()
        lines.append(f'{name}@example.org namespaces="{role}@agent-studio" {kind} {base64}\n')
    _write(way.project / ".claude/allowed_signers", "".join(lines), 0o644)
    suite = f"{shlex.quote(sys.executable)} -m pytest -q checks"
    _set(way.project / ".claude/config.yaml", {"test.command": suite, _LIMIT: _SLOWEST_MS})
    staging = way.project / ".claude/config.staging.yaml"
    if staging.exists():  # a checkout with a limit of its own there
        _set(staging, {_LIMIT: 2 * _SLOWEST_MS})
    for issues in (way.project / ".claude").rglob("memory/issues.md"):
        issues.write_text("# Issues\n", encoding="utf-8")  # an open one of the checkout would stop it, and rightly
    _git(way, "init", "-q")
    for name, value in (("user.name", "Dana"), ("user.email", "dana@example.org"), ("commit.gpgsign", "false")):
        _git(way, "config", name, value)
    _commit(way, "The project as it is")
    way.ours("init", "--env", "production", "--no-hooks", "--target", str(way.live), later=False)
    for name, (content, mode) in {**_FILES, AGENT: (_FIRST, 0o644)}.items():
        _write(way.project / name, content, mode)
    way.ours("init", "--env", "staging", later=False)
    way.ours("hooks", "install", "--wrap", later=False)
    _commit(way, "A reviewer and a guard")


def _prove(way: Way, *, later: bool = False) -> None:
    """Gather what commands find by themselves, and begin the burn-in."""
    way.show("candidate", "create", later=later)
    for words in (("smoke",), ("test",), ("doctor", "isolation")):
        way.show(*words, "--env", "staging", later=later)
    if not later:
        way.show("burnin", "start", later=later)


def _script(client: Client) -> dict[str, list[Turn]]:
    script: dict[str, list[Turn]] = {}
    for number in range(SESSIONS):
        turns = []
        for run in range(AGENTS):
            marker = f"[look {number} {run}]"
            asked = {"description": "Look", "prompt": f"{marker} look at it", "subagent_type": "reviewer"}
            if client.agent_tool == "Agent":
                asked["run_in_background"] = False  # type: ignore[assignment]
            turns.append(Turn("Asking.", [Tool(client.agent_tool, asked)]))
            script[marker] = [Turn("It is fine.")]
        bash = Tool("Bash", {"command": "true", "description": "Check"})
        script[f"[session {number}]"] = [*turns, *(Turn(tools=[bash]) for _ in range(CALLS)), Turn("Done.")]
    return script


def _drive(way: Way, number: int) -> None:
    line = claude.words(f"[session {number}] do the planned work")
    ran = claude.run(
        [*command(later=False), "run", "--env", "staging", "--no-telemetry", "--", *line], way.project, way.variables,
        limit_s=180,
    )  # fmt: skip
    if ran.code:
        raise JourneyError(f"session {number} ended with {ran.code}: {ran.out[-1500:]}{ran.err[-1500:]}")


def _spread(way: Way) -> None:
    """Give what was recorded the times of a day, in the order in which it came."""
    inbox = way.project / ".claude/staging/metrics/events.jsonl"
    lines = [json.loads(line) for line in inbox.read_text(encoding="utf-8").splitlines()]
    begun = min(line["ts"] for line in lines)
    step = int(HOURS * 3600e9 / len(lines))
    for number, line in enumerate(sorted(lines, key=lambda line: line["ts"])):
        line["ts"] = begun + number * step
    text = "".join(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n" for line in lines)
    inbox.write_text(text, encoding="utf-8")


def _burn_in(way: Way) -> None:
    way.ours("ingest", "--env", "staging")
    way.said["burnin"] = way.ours("burnin", "status")
    way.show("burnin", "status")
    way.show("burnin", "report")


def _look_over(way: Way) -> None:
    """Ask the four checklists, attest to what people have to look at, and write the plan."""
    for checklist, item, role in _MANUAL:
        attested = ("--attest", item, "--role", role, "--key", way.key(role), "--reason", "read it whole")
        last = (checklist, item) in {("pre", "documentation"), ("post", "procedures")}
        way.ours("checklist", checklist, *attested, code=0 if last else 3)
    way.show("checklist", "promotion", "--plan", str(way.keys / "plan.md"))
    for checklist in ("pre", "deploy", "post"):
        way.show("checklist", checklist)


def _signed(way: Way) -> None:
    """Have everybody sign."""
    for role in PEOPLE:
        asked = str(way.keys / f"{role}.json")
        way.show("signoff", "request", "--role", role, "--out", asked)
        way.show("signoff", "sign", asked, "--key", way.key(role), "--yes")


def _degrade(way: Way) -> None:
    """Promote what cannot work in production, waved through by those who may."""
    (way.project / AGENT).write_text(_WORSE, encoding="utf-8")
    _write(way.project / ".claude/config.production.yaml", "paths:\n  metrics: .claude/elsewhere\n", 0o644)
    _commit(way, "A change that nobody looked at")
    _prove(way, later=True)
    found = way.ours("gate", code=3)["requirements"]
    open_ones = [one["name"] for one in found if one["verdict"] != "PASS" and not one["name"].startswith("sign-off.")]
    for name in open_ones:
        way.show("waive", name, "--role", "qa", "--key", way.key("qa"), "--reason", "a trial of the way back", "--yes")
    _signed(way)
    way.show("promote", "--yes", code=1)
    way.show("release", "list")


def _set(config: Path, values: Mapping[str, str | int]) -> None:
    text = config.read_text(encoding="utf-8") if config.exists() else ""
    for key, value in values.items():
        text = set_value(text, key, value, file=config.name)
    config.write_text(text, encoding="utf-8")


def _write(place: Path, text: str, mode: int) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")
    place.chmod(mode)


def _commit(way: Way, message: str) -> None:
    _git(way, "add", "-A")
    _git(way, "commit", "-q", "--allow-empty", "-m", message)


def _git(way: Way, *words: str) -> None:
    variables = {**way.variables, "PATH": os.environ.get("PATH", os.defpath)}
    subprocess.run(["git", *words], cwd=way.project, env=variables, check=True, capture_output=True)


PAGE = REPOSITORY / "docs/way-to-production.md"
_INTRO = """# The way to production

Every screen of a change on its way from `candidate create` to production, and of the next one, which fails there and is
taken back. `python -m bench.client.released --write` made this page: sessions of the real client did the burn-in, and
their day was compressed to a minute. What each command means stands on the page of its noun.
"""


def page(way: Way) -> str:
    """Return the screens as a page: of commands that differ in a role or name alone, the first."""
    seen: set[tuple[str, ...]] = set()
    parts = [_INTRO]
    for typed, shown in way.screens:
        verb, *more = typed.split()[1:3]
        kind = (verb, *(more if verb in _WITH_MORE else ()), "1" if "exit code" in typed else "")
        if kind not in seen:
            lines = [line.rstrip() for line in shown.splitlines()]
            rest = [f"... and {len(lines) - _LONGEST} lines more"] if len(lines) > _LONGEST else []
            parts.append("\n".join(["```console", f"$ {typed}", *lines[:_LONGEST], *rest, "```"]) + "\n")
        seen.add(kind)
    return "\n".join(parts)


def main() -> int:
    """Travel with the newest client and print every fault; write the page of what was seen."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--repository", type=Path, help="a checkout to travel with, instead of a small project")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        way = travel(claude.install(claude.NEWEST), Path(folder).resolve(), args.repository)
        wrong = list(faults(way))
    print(*wrong, sep="\n")
    if args.write and not wrong:
        PAGE.write_text(page(way), encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

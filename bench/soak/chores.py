"""What people and programs do beside the agents, each by commands of ours, again and again, while things go wrong."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import shutil
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

from bench.soak.truth import Truth

from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.errors import AgentStudioError
from agent_studio.release import evidence, gate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.soak.project import Place, Said

_WORDS = (
    "amber", "birch", "cobalt", "dune", "ember", "fjord", "garnet", "harbor", "indigo", "juniper", "kelp", "lichen",
    "marble", "nectar", "onyx", "pebble", "quartz", "russet", "saffron", "tundra", "umber", "velvet", "willow",
)  # fmt: skip
_BUG = 70
_SEATS = ("--options", "Postgres|Redis|Kafka", "--model", "scripted:party-replies.json")
_SIDES = {"env": None}


class Chores:
    """One thread a chore; each has its own part of the truth."""

    def __init__(self, place: Place, stop: threading.Event) -> None:
        self.place, self.stop = place, stop
        self.faults: list[str] = []
        """Crashes, and answers that no user should get."""
        self.codes: dict[str, dict[int, int]] = {}
        """How often each command ended with which exit code."""
        self.definitions = threading.Lock()
        """Held by who changes definitions, and by who has them go live: a candidate is what they are."""
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin."""
        for name, (chore, pause_s) in CHORES.items():
            chosen = threading.Thread(target=self._loop, args=(name, chore, pause_s), name=name, daemon=True)
            chosen.start()
            self._threads.append(chosen)

    def finish(self) -> None:
        """Wait until every chore has ended."""
        for thread in self._threads:
            thread.join(300)

    def _loop(self, name: str, chore: Callable[[Chore], None], pause_s: float) -> None:
        own = Chore(self, name)
        while not self.stop.is_set():
            try:
                chore(own)
            except Exception as error:  # noqa: BLE001 - a chore that breaks is a fault of the trial, not its end
                self.faults.append(f"{name}: {type(error).__name__}: {error}")
            self.stop.wait(own.chance.uniform(0.5, 1.5) * pause_s)

    def told(self, words: tuple[str, ...], said: Said, *, calm: bool) -> None:
        """Keep an exit code, and what no user should see."""
        verb = " ".join(word for word in words[:2] if not word.startswith("-"))
        with self._lock:
            counted = self.codes.setdefault(verb, {})
            counted[said.code] = counted.get(said.code, 0) + 1
        if said.code == _BUG or "Traceback" in said.err:
            self.faults.append(
                f"{' '.join(words)[:80]}: {'' if calm else '(disk full) '}a bug: {said.problems or said.err[-600:]}"
            )
        elif said.code and not said.killed and not said.problems and not said.data:
            self.faults.append(f"{' '.join(words)[:80]}: exit code {said.code} without a word: {said.err[-300:]}")


class Chore:
    """What a chore works with."""

    def __init__(self, owner: Chores, name: str) -> None:
        self.owner, self.place = owner, owner.place
        self.truth = Truth(owner.place.truth, f"chore-{name}")
        self.chance = random.Random(name)
        self.count = 0

    def ours(self, *words: str, **options: Any) -> Said:
        """Run a command, its clock off now and then."""
        if "minutes" not in options and self.chance.random() < 0.1:
            options["minutes"] = self.chance.choice((-70, 70))
        before = self.truth.disturbance
        said = self.place.ours(*words, **options)
        self.calm = before == self.truth.disturbance and not before % 2
        self.owner.told(words, said, calm=self.calm)
        return said

    def acknowledged(self, kind: str, identity: str, said: Said, **more: Any) -> None:
        """Note whether what was meant was done, refused, or cannot be told."""
        if said.code == 0:
            self.truth.note(kind, identity, "done", **more)
        elif not said.killed:
            self.truth.note(kind, identity, "refused", code=said.code)

    def fault(self, text: str) -> None:
        """Say what should not have been, unless the disk was full."""
        if self.calm:
            self.owner.faults.append(text)


def remember(chore: Chore) -> None:
    """Add a note of the project that no other one is like; now and then the process is killed."""
    token = uuid.uuid4().hex[:12]
    text = " ".join([token, *chore.chance.sample(_WORDS, 5)])
    kind = chore.chance.choice(("learning", "decision", "issue"))
    chore.truth.note("note", token, "meant")
    kill = chore.chance.uniform(0.02, 0.4) if chore.chance.random() < 0.15 else None
    said = chore.ours("memory", "add", kind, text, kill_after=kill)
    chore.acknowledged("note", token, said)
    if said.code == 0 and chore.chance.random() < 0.2:
        hits = chore.ours("memory", "search", token)
        if not any(token in hit["text"] for hit in hits.data.get("hits", ())):
            chore.fault(f"memory search: {token} was added and is not found: {hits.code} {hits.problems}")


def edit(chore: Chore) -> None:
    """Write, change or remove a skill, and find what is there."""
    chore.count += 1
    name, word = f"soak-{chore.chance.randrange(30)}", "x" + uuid.uuid4().hex[:10]
    with chore.owner.definitions:
        if not _edited(chore, name, word):
            return
    found = chore.ours("kb", "search", word)
    names = [hit["name"] for hit in found.data.get("hits", ())]
    if names[:1] != [name]:
        chore.fault(f"kb search: {name} holds {word}, found is {names} ({found.code} {found.problems})")
    if chore.chance.random() < 0.2:
        chore.ours("kb", "build")


def _edited(chore: Chore, name: str, word: str) -> bool:
    """Write a skill that knows a word, or remove it; return whether it was written."""
    folder = chore.place.project / ".claude/skills" / name
    if folder.exists() and chore.chance.random() < 0.3:
        shutil.rmtree(folder)
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        beside = folder / ".soak"
        beside.write_text(f"---\nname: {name}\ndescription: Knows about {word} and nothing else.\n---\n\nAsk {word}.\n")
        beside.replace(folder / "SKILL.md")
    except OSError:  # the disk is full
        with contextlib.suppress(OSError):
            (folder / ".soak").unlink()
        return False
    return True


def discuss(chore: Chore) -> None:
    """Hold a party of scripted seats; some are killed and gone on with."""
    question = f"Which queue for {uuid.uuid4().hex[:12]}?"
    chore.truth.note("party", question, "meant")
    killed = chore.chance.random() < 0.3
    said = chore.ours("party", "run", question, *_SEATS, kill_after=chore.chance.uniform(0.1, 0.6) if killed else None)
    if said.code == 0:
        chore.truth.note("party", question, "done", party=said.data["id"])
        if chore.ours("party", "verify", said.data["id"]).code:
            chore.fault(f"party verify {said.data['id']} fails")
    else:
        chore.acknowledged("party", question, said)


def evaluate(chore: Chore) -> None:
    """Have two tasks done by a script."""
    identity = uuid.uuid4().hex
    said = chore.ours(
        "eval", "run", "--tag", "words", "--repeats", "1", "--backend", "scripted:.claude/evals/rehearsal.json"
    )
    if said.data.get("decided"):
        chore.truth.note("eval", identity, "done", run=said.data["run"], decided=said.data["decided"])


def back_up(chore: Chore) -> None:
    """Make a backup of the data and prove it."""
    identity = uuid.uuid4().hex
    chore.truth.note("backup", identity, "meant")
    kill = chore.chance.uniform(0.1, 0.6) if chore.chance.random() < 0.2 else None
    said = chore.ours("backup", "create", "--reason", identity, kill_after=kill)
    chore.acknowledged("backup", identity, said, backup=said.data.get("backup"))
    if said.code == 0 and (proved := chore.ours("backup", "verify", said.data["backup"])).code:
        chore.fault(f"backup verify {said.data['backup']}: {proved.code} {proved.data} {proved.problems}")


def release(chore: Chore) -> None:
    """Make a candidate, record evidence, promote it; every third cannot work in production, and has to go back."""
    with chore.owner.definitions:
        _released(chore)


def _released(chore: Chore) -> None:
    chore.count += 1
    worse = chore.count % 3 == 0
    bad = chore.place.project / ".claude/config.production.yaml"
    agent = chore.place.project / ".claude/agents/planner.md"
    text = agent.read_text().partition("\n<!--")[0]
    try:
        agent.write_text(f"{text}\n<!-- {uuid.uuid4().hex} -->\n")
        if worse:
            bad.write_text("paths:\n  metrics: .claude/elsewhere\n")
        _look_after_alerts(chore)
        made = chore.ours("candidate", "create", **_SIDES)
        if made.code == 0 and _evident(chore, made.data["candidate"]):
            _go_live(chore, made.data["candidate"], worse=worse)
    except OSError:  # the disk is full
        agent.write_text(text)
    finally:
        bad.unlink(missing_ok=True)


def _look_after_alerts(chore: Chore) -> None:
    """Acknowledge what fires: an alert that nobody looks after keeps a candidate back."""
    for alert in chore.ours("alerts", "list", minutes=0).data.get("alerts", ()):
        if alert["state"] == "firing" and not alert["acknowledged"]:
            chore.ours("alerts", "ack", alert["id"], "--by", "trial", "--note", "the trial makes it", minutes=0)


def _evident(chore: Chore, candidate: str) -> bool:
    staging = open_context(Project(chore.place.project), Choice(Environment.STAGING, "--env"), {})
    try:
        for kind in gate.REQUIRED:
            evidence.record(staging, kind, candidate, evidence.PASS, {"reason": "recorded by the trial"})
    except AgentStudioError:
        return False  # the disk is full
    return True


def _go_live(chore: Chore, candidate: str, *, worse: bool) -> None:
    identity = uuid.uuid4().hex
    chore.truth.note("promotion", identity, "meant", candidate=candidate)
    kill = chore.chance.uniform(0.2, 1.0) if chore.chance.random() < 0.2 else None
    said = chore.ours("promote", "--yes", "--discard", kill_after=kill, **_SIDES)
    if said.killed or said.code == 6:
        chore.ours("recover", minutes=0, **_SIDES)
    if worse and not said.killed:
        chore.truth.note("promotion", identity, "refused", worse=True, code=said.code)
        early = any("a clock is wrong" in str(problem) for problem in said.problems)  # it was off: the gate has said so
        if not early and (said.code != 1 or not said.data.get("returnedTo")):
            chore.fault(f"promote of what cannot work: {said.code} {said.data.get('returnedTo')} {said.problems}")
        return
    chore.acknowledged("promotion", identity, said, release=said.data.get("release"))


def look(chore: Chore) -> None:
    """Read what a person reads, as a process of its own."""
    for words in chore.chance.sample(LOOKS, 3):
        chore.ours(*words)


LOOKS = (
    ("monitor",), ("monitor", "--trends"), ("status",), ("doctor",), ("cost", "report", "--by", "day,model"),
    ("cost", "verify"), ("cost", "budget"), ("alerts", "list"), ("kb", "stats"), ("memory", "list"),
    ("hooks", "status"),
    ("party", "list"), ("backup", "list"), ("release", "list"), ("flags", "list"), ("config", "check"), ("gate",),
    ("alerts", "silence", "*", "--for", "1h", "--why", "trial", "--by", "trial"),
)  # fmt: skip


def take_in(chore: Chore) -> None:
    """Ingest beside the daemon, with a wrong clock or killed now and then."""
    kill = chore.chance.uniform(0.05, 0.6) if chore.chance.random() < 0.4 else None
    chore.ours("ingest", kill_after=kill, minutes=chore.chance.choice((0, 0, -90, 90)))


def visit(chore: Chore) -> None:
    """Read the dashboard as a page does, its stream for a moment as well."""
    try:
        port = json.loads((chore.place.state / "serve.json").read_bytes())["port"]
    except (OSError, ValueError, KeyError):
        return
    for path in ("/dashboard", "/api/overview?env=staging", "/readyz", "/healthz", "/events?env=staging"):
        try:
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
                connection.request("GET", path)
                answer = connection.getresponse()
                said = answer.read(1 if path.startswith("/events") else None)
                stopping = answer.status == 503 and b"the server is stopping" in said
                chore.truth.note("page", uuid.uuid4().hex, "done", path=path, status=answer.status, stopping=stopping)
        except (OSError, http.client.HTTPException):
            time.sleep(0.2)


CHORES: Mapping[str, tuple[Callable[[Chore], None], float]] = {
    "memory-1": (remember, 2.5), "memory-2": (remember, 2.5), "memory-3": (remember, 2.5), "kb": (edit, 4),
    "party": (discuss, 8), "eval": (evaluate, 40), "backup": (back_up, 60), "release": (release, 15),
    "looks": (look, 6), "ingest": (take_in, 5), "page": (visit, 2),
}  # fmt: skip

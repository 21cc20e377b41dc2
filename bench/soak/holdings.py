"""Holds all that is no record of a session to the trial's own ledger: notes, parties, backups, releases, the rest."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.soak.project import OLD_DAY, OLD_RECORDS, must

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.soak.project import Place
    from bench.soak.records import Facts, Found

LATER_MINUTES = 180
"""From then on everything that a wrong clock wrote is in the past."""
_UNDECIDED = ("it took more than", "neither the daemon nor Python answers")
"""Who may not decide in time stops the call: right, and on a machine this busy no fault, while it is rare."""
_MOST_UNDECIDED = 0.1
_LEFT = re.compile(r"\.tmp$|^\.canary-|^\.smoke-|^ballast$|~$|\.partial$")


def reports(place: Place, here: Found, figures: dict[str, Any]) -> Iterator[str]:
    """Yield where what commands report is not what lies there."""
    monitor = must(place, "monitor", "--hours", "24", minutes=LATER_MINUTES)
    calls = Counter(record["hook"] for records in here.hooks.values() for record in records)
    said = {one["hook"]: one["calls"] for one in monitor["hooks"]}
    if said != dict(calls):
        yield f"monitor says {said}, recorded are {dict(calls)}"
    errors = sum(len(records) for records in here.errors.values())
    if monitor["errors"]["total"] != errors:
        yield f"monitor says {monitor['errors']['total']} errors, recorded are {errors}"
    if sum(one["runs"] for one in monitor["agents"]) != len(here.agents):
        yield f"monitor says {monitor['agents']}, recorded are {len(here.agents)} runs"
    if monitor["damagedLines"] != here.bad_lines.total():
        yield f"monitor says {monitor['damagedLines']} damaged lines, there are {here.bad_lines.total()}"
    events = Counter(event for records in here.sessions.values() for event in {record["event"] for record in records})
    events["prompt"] = sum(record["event"] == "prompt" for records in here.sessions.values() for record in records)
    for name, event in (("started", "start"), ("ended", "end"), ("prompts", "prompt")):
        if monitor["sessions"][name] != events[event]:
            yield f"monitor says {name}: {monitor['sessions'][name]}, recorded are {events[event]}"
    yield from _costs(place, here, monitor, figures)
    figures |= {"hooks": sum(calls.values()), "errors": errors, "agents": len(here.agents), "events": dict(events)}


def _costs(place: Place, here: Found, monitor: dict[str, Any], figures: dict[str, Any]) -> Iterator[str]:
    report = must(place, "cost", "report", "--by", "model", minutes=LATER_MINUTES)
    totals = report["totals"]
    pairs = (
        ("responses", len(here.usage)), ("input_tokens", _sum(here, "inputTokens")),
        ("output_tokens", _sum(here, "outputTokens")), ("cache_read_tokens", _sum(here, "cacheReadTokens")),
        ("cache_write_tokens", _sum(here, "cacheWrite5mTokens") + _sum(here, "cacheWrite1hTokens")),
    )  # fmt: skip
    for name, wanted in pairs:
        if totals[name] != wanted:
            yield f"cost report says {name} {totals[name]:,}, the ledger holds {wanted:,}"
    counted = sum(wanted for name, wanted in pairs if name.endswith("tokens") and "read" not in name)
    if sum(one["tokens"] for one in monitor["spend"]) != counted:
        yield f"monitor says {sum(one['tokens'] for one in monitor['spend']):,} tokens, the ledger holds {counted:,}"
    verified = must(place, "cost", "verify")
    if verified["verdict"] != "PASS" or verified["head"]["seq"] != here.ledger_lines:
        yield f"cost verify says {verified['verdict']}, {verified['head']}, there are {here.ledger_lines} lines"
    figures |= {"responses": len(here.usage), "tokens": counted, "tornInLedger": verified["tornNotes"]}


def _sum(here: Found, name: str) -> int:
    return sum(record[name] for record in here.usage)


def notes(place: Place, facts: Facts, figures: dict[str, Any]) -> Iterator[str]:
    """Yield notes that are lost, doubled, or there although they were refused."""
    texts = [file.read_text(encoding="utf-8") for file in (place.data / "memory").rglob("*.md")]
    whole = "\n".join(texts)
    listed = must(place, "memory", "list", "--limit", "10000")["notes"]
    listed += must(place, "memory", "list", "--limit", "10000", "--archived")["notes"]
    told = Counter(word for note in listed for word in set(re.findall(r"\b[0-9a-f]{12}\b", note["text"])))
    for token, fact in facts.get("note", {}).items():
        count = len(re.findall(rf"^## .*{token}", whole, re.MULTILINE))
        wanted = {"done": (1,), "refused": (0,), "meant": (0, 1)}[fact.state]
        if count not in wanted or told[token] != count:
            yield f"the note {token}, {fact.state}, is there {count} times, listed {told[token]} times"
    figures["notes"] = sum(fact.state == "done" for fact in facts.get("note", {}).values())


def artifacts(place: Place, figures: dict[str, Any]) -> Iterator[str]:
    """Yield where the knowledge base is not what lies on the disk."""
    listed = {one["path"] for one in must(place, "kb", "list")["artifacts"]}
    skills = {str(file.relative_to(place.project)) for file in place.project.glob(".claude/skills/*/SKILL.md")}
    known = {path for path in listed if path.startswith(".claude/skills/") and path.endswith("/SKILL.md")}
    if known != skills:
        yield f"the knowledge base differs from the disk: {sorted(known ^ skills)[:5]}"
    figures["artifacts"] = len(listed)


def parties(place: Place, facts: Facts, figures: dict[str, Any]) -> Iterator[str]:
    """Yield parties that are lost, or that cannot be brought to their end."""
    listed = must(place, "party", "list", "--limit", "100000")["parties"]
    questions = Counter(one["question"] for one in listed)
    for question, fact in facts.get("party", {}).items():
        if questions[question] > 1 or (fact.state == "done" and questions[question] != 1):
            yield f"the party about {question}, {fact.state}, is there {questions[question]} times"
    for one in listed:
        if one["question"] not in facts.get("party", {}):
            yield f"nobody held the party {one}"
        if not one["reason"]:  # killed: it can be gone on with, unless an agent of its was changed since
            place.ours("party", "resume", one["id"])
        proved = place.ours("party", "verify", one["id"])
        held = facts.get("party", {}).get(one["question"])
        open_still = any(problem["code"] == "not-ended" for problem in proved.problems)
        if proved.code and not (open_still and held and held.state == "meant"):
            yield f"party verify {one['id']}: {proved.code} {proved.data.get('faults')} {proved.problems}"
    figures["parties"] = len(listed)


def evals(place: Place, facts: Facts, figures: dict[str, Any]) -> Iterator[str]:
    """Yield runs of evals that are lost."""
    runs = {one["run"]: one for one in must(place, "eval", "list")["runs"]}
    for fact in facts.get("eval", {}).values():
        run = runs.get(fact.more["run"])
        if run is None or run["attempts"] < fact.more["decided"]:
            yield f"the run {fact.more['run']} made {fact.more['decided']} attempts, kept is {run}"
    figures["evals"] = len(runs)


def backups(place: Place, facts: Facts, figures: dict[str, Any]) -> Iterator[str]:
    """Yield backups that are lost or damaged."""
    listed = {one["backup"]: one for one in must(place, "backup", "list")["backups"]}
    own = facts.get("backup", {})
    for fact in own.values():
        if fact.state == "done" and fact.more["backup"] not in listed:
            yield f"the backup {fact.more['backup']} is gone"
    for one in listed.values():
        if one["by"] == "user" and own[one["reason"]].state == "refused":
            yield f"the backup {one['backup']} was refused and is there"
        if (said := place.ours("backup", "verify", one["backup"])).code:
            yield f"backup verify {one['backup']}: {said.code} {said.data.get('faults')} {said.problems}"
    figures["backups"] = len(listed)


def releases(place: Place, facts: Facts, figures: dict[str, Any]) -> Iterator[str]:
    """Yield releases that are lost, and what `release verify` finds."""
    place.ours("recover", env=None)
    listed = must(place, "release", "list", env=None)["releases"]
    known = {one["release"] for one in listed}
    for fact in facts.get("promotion", {}).values():
        if fact.state == "done" and fact.more["release"] not in known:
            yield f"the release {fact.more['release']} is not in the history"
    proved = place.ours("release", "verify", env=None)
    if proved.code:
        yield f"release verify: {proved.code} {proved.data}"
    figures["releases"] = len(listed)


def taken_back(place: Place, figures: dict[str, Any]) -> Iterator[str]:
    """Go back one release, which archives staging's data, and yield what is not in the archive as it was."""
    if figures["releases"] < 2:
        return
    before = {str(file.relative_to(place.data)): file.stat().st_size for file in place.data.rglob("*.jsonl")}
    said = place.ours("rollback", "--level", "2", "--yes", "--reason", "the end of the trial", env=None)
    if said.code:
        yield f"rollback: {said.code} {said.data.get('steps')} {said.problems}"
        return
    newest = max((place.state / "archive").glob("2*"), default=place.state)
    for name, size in before.items():
        kept = [file.stat().st_size for file in newest.rglob(name)]
        if kept != [size]:
            yield f"rollback: {name} of {size} bytes is archived as {kept}"


def archived(place: Place) -> Iterator[str]:
    """Yield where retention did not do its work."""
    name = f"hooks.{OLD_DAY}.1.jsonl"
    left = [file.name for file in (place.data / "metrics").iterdir() if file.name.startswith(f"hooks.{OLD_DAY}")]
    if left:
        yield f"retention left {left}"
    files = list((place.state / "archive").rglob(f"{name}*"))
    counts = [len(gzip.decompress(file.read_bytes()).splitlines()) for file in files if file.suffix == ".gz"]
    counts += [len(file.read_bytes().splitlines()) for file in files if file.suffix != ".gz"]
    if counts != [OLD_RECORDS]:
        yield f"the archive holds {counts} records of the old day in {files}, not {OLD_RECORDS}"


def answers(facts: Facts, figures: dict[str, Any]) -> Iterator[str]:
    """Yield answers of the daemon and of decision hooks that should not have been."""
    wrong = Counter(
        fact.more["status"] for fact in facts.get("invalid", {}).values() if fact.more["status"] not in {400, 503}
    )
    if wrong:
        yield f"bodies that are no telemetry were answered with {dict(wrong)}"
    pages = Counter(
        (fact.more["path"].partition("?")[0], fact.more["status"])
        for fact in facts.get("page", {}).values() if not fact.more["stopping"]
    )  # fmt: skip
    for (path, status), count in pages.items():
        if status != 200 and (path, status) != ("/readyz", 503):
            yield f"{path} was answered with {status} {count} times"
    decisions = list(facts.get("decision", {}).values())
    for fact in decisions:
        if fact.more["wanted"] and not fact.more["denied"]:
            yield f"a write of evidence was not stopped: {fact.more}"
    doubtful = [
        fact.more for fact in decisions if fact.more["denied"] and not fact.more["wanted"] and fact.more["calm"]
    ]
    undecided = [more for more in doubtful if any(said in more["said"] for said in _UNDECIDED)]
    if len(doubtful) > len(undecided):
        first = next(more for more in doubtful if more not in undecided)
        yield f"{len(doubtful) - len(undecided)} harmless writes were stopped: {first}"
    if len(undecided) > _MOST_UNDECIDED * len(decisions):
        yield f"{len(undecided)} of {len(decisions)} decisions were not taken in time"
    figures |= {"decisions": len(decisions), "undecided": len(undecided), "pages": len(facts.get("page", {})),
                "invalidBodies": len(facts.get("invalid", {}))}  # fmt: skip


def left(place: Place) -> Iterator[str]:
    """Yield processes, temporary files and locks that are left."""
    for file in (*place.disk.rglob("*"),):
        if _LEFT.search(file.name) and "/.git/" not in str(file):
            yield f"left: {file.relative_to(place.disk)}"
    for name in ("serve.json", "decide.sock"):
        if (place.state / name).exists():
            yield f"left: {name}"
    for file in place.project.rglob("*.lock"):
        with file.open("rb") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                fcntl.lockf(os.open(file, os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield f"still locked: {file.relative_to(place.project)}"
    yield from processes(place)


def processes(place: Place) -> Iterator[str]:
    """Yield processes that have this trial's folder on their command line or as their working directory."""
    here, own = str(place.folder), _ancestors()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in own:
            continue
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            folder = str((entry / "cwd").readlink())
        except OSError:
            continue
        if here in line or folder.startswith(here):
            yield f"still running: {entry.name} {line[:120]}"


def _ancestors() -> set[int]:
    """Return our own process and those that started it."""
    found, pid = set(), os.getpid()
    while pid:
        found.add(pid)
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        pid = int(stat.rpartition(")")[2].split()[1])
    return found


def health(place: Place) -> Iterator[str]:
    """Yield what `doctor` calls an error."""
    said = place.ours("doctor", minutes=0)
    for one in said.data.get("findings", ()):
        if one["severity"] == "error":
            yield f"doctor: {one['code']}: {one['message']}"


def sizes(place: Place, events: int) -> tuple[dict[str, Any], list[str]]:
    """Return what takes how much disk, in MB, and where that is more than it should be."""
    found = {
        "dataMb": _mb(place.data), "stateMb": _mb(place.state), "inboxMb": _mb(place.data / "metrics", "events*"),
        "backupsMb": _mb(place.state / "backups"), "objectsMb": _mb(place.project / ".agent-studio/objects"),
    }  # fmt: skip
    wrong = []
    if found["inboxMb"] > 130:
        wrong.append(f"the inbox holds {found['inboxMb']} MB")
    journals = _mb(place.data / "metrics", "hooks*") + _mb(place.data / "metrics", "errors*")
    if journals * 1e6 > max(events, 1) * 2_000 + 5e6:
        wrong.append(f"journals of {events} events take {journals} MB")
    return found, wrong


def _mb(folder: Path, pattern: str = "**/*") -> float:
    files = (file for file in folder.glob(pattern) if file.is_file()) if folder.exists() else ()
    return round(sum(file.stat().st_size for file in files) / 1e6, 1)


def as_text(figures: dict[str, Any]) -> str:
    """Return figures on one line of a report."""
    return json.dumps(figures, sort_keys=True)

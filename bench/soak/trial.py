"""One soak from beginning to end."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.client import claude
from bench.npm import ProgramMissingError
from bench.projects import Trial
from bench.soak import faults as bad
from bench.soak import holdings, records, truth
from bench.soak.chores import Chores
from bench.soak.clients import Clients
from bench.soak.project import Place, can_be_off, dismiss, must, prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DAY_LATER_MINUTES = 25 * 60
"""When a session that was killed is over for `ingest`, and the day as well."""
_SHORT_MINUTES = 5
_MOST_RSS_MB_PER_HOUR, _MOST_DESCRIPTORS_PER_HOUR = 40.0, 5.0
_ENOUGH_MINUTES = 15
"""A slope over less says nothing."""


@dataclass
class Report:
    """What came of it."""

    minutes: float
    faults: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    not_run: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {"verdict": "FAIL" if self.faults else "PASS", **vars(self)}


@dataclass
class Soak:
    """How to run it."""

    minutes: float
    with_client: bool = True
    disk_mb: int | None = None
    keep: Path | None = None

    def run(self) -> Report:
        """Run it all and return the report."""
        report = Report(self.minutes)
        with self._folder() as folder:
            short = self.minutes < _SHORT_MINUTES
            place = prepare(folder, self.disk_mb or (300 if short else 1500))
            try:
                (folder / "variables.json").write_text(json.dumps(place.variables))
                if not place.disk_mb:
                    report.not_run.append("full disk: no disk of its own could be mounted (needs root)")
                if not can_be_off():
                    report.not_run.append("a wrong clock of played sessions: no libfaketime (apt-get install faketime)")
                self._disturb(place, report)
                _account(place, report)
            finally:
                if self.keep is not None and place.disk_mb:
                    shutil.copytree(place.disk, folder / "kept", symlinks=True)
                dismiss(place)
        return report

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        if self.keep is not None:
            self.keep.mkdir(parents=True)
            yield self.keep.resolve()
            return
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            yield Path(folder).resolve()

    def _disturb(self, place: Place, report: Report) -> None:
        """Let everything run at once for the time given, then let it end."""
        stop, seconds = threading.Event(), self.minutes * 60
        daemon = bad.Daemon(place, stop, seconds * 0.4)
        writers = bad.Writers(place, stop, (2, 12) if seconds > 300 else (1, 4))
        disk = (
            bad.FullDisk(place, stop, (90, 240), (3, 8)) if seconds > 300 else bad.FullDisk(place, stop, (6, 9), (1, 2))
        )
        dirt = bad.Dirt(place, stop, (1, 8))
        chores, clients = Chores(place, stop), self._clients(place, stop, report)
        runs: list[Callable[[], None]] = [daemon.run, writers.run, disk.run, dirt.run]
        runs += [clients.run] if clients else []
        threads = [threading.Thread(target=_guarded, args=(run, report), daemon=True) for run in runs]
        for thread in threads:
            thread.start()
        chores.start()
        time.sleep(seconds)
        stop.set()
        for thread in threads:
            thread.join(300)
        chores.finish()
        report.faults += [*daemon.faults, *writers.faults, *chores.faults, *(clients.faults if clients else ())]
        report.figures |= {
            "kills": {"serve": daemon.kills, "writers": writers.kills}, "fullDisks": disk.times,
            "serve": bad.report_of(daemon.samples), "exitCodes": chores.codes,
            "clients": {"sessions": clients.sessions, "killed": clients.killed} if clients else None,
        }  # fmt: skip
        (place.folder / "serve-samples.jsonl").write_text(bad.as_json(daemon.samples))
        report.faults += _grown(report.figures["serve"])

    def _clients(self, place: Place, stop: threading.Event, report: Report) -> Clients | None:
        if not self.with_client:
            report.not_run.append("real clients: left out")
            return None
        try:
            return Clients(place, stop, claude.install(claude.NEWEST))
        except ProgramMissingError as reason:
            report.not_run.append(f"real clients: {reason}")
            return None


def _guarded(run: Callable[[], None], report: Report) -> None:
    try:
        run()
    except Exception as error:  # noqa: BLE001 - a part of the trial that breaks is told, the others go on
        report.faults.append(f"{run.__qualname__}: {type(error).__name__}: {error}")


def _grown(serve: dict[str, float]) -> list[str]:
    """Return where the daemon grew more than it may."""
    if serve.get("minutes", 0) < _ENOUGH_MINUTES:
        return []
    limits = (("rssMbPerHour", _MOST_RSS_MB_PER_HOUR), ("descriptorsPerHour", _MOST_DESCRIPTORS_PER_HOUR))
    return [f"serve grows: {name} {serve[name]}, at most {most}" for name, most in limits if serve[name] > most]


def _account(place: Place, report: Report) -> None:
    """Take in what waits, a day later as well, and hold everything to the ledger."""
    must(place, "ingest")
    must(place, "ingest", minutes=_DAY_LATER_MINUTES)
    facts, here = truth.read(place.truth), records.found(place)
    figures = report.figures
    checks = (
        records.faults(facts, here), records.dirt(facts, place, here), holdings.reports(place, here, figures),
        holdings.notes(place, facts, figures), holdings.artifacts(place, figures),
        holdings.parties(place, facts, figures),
        holdings.evals(place, facts, figures), holdings.backups(place, facts, figures),
        holdings.releases(place, facts, figures), holdings.archived(place), holdings.answers(facts, figures),
        holdings.health(place), holdings.taken_back(place, figures), holdings.left(place),
    )  # fmt: skip
    for check in checks:
        try:
            report.faults += list(check)
        except RuntimeError as error:
            report.faults.append(str(error))
    figures["facts"] = {
        kind: dict(Counter(one.state for one in found.values())) for kind, found in sorted(facts.items())
    }
    figures["disk"], wrong = holdings.sizes(place, len(facts.get("event", {})) + len(facts.get("hook", {})))
    report.faults += wrong


def trial(minutes: float, *, with_client: bool, of: Path | None = None) -> Trial:
    """Return the row of the report of all trials: of a soak now, or of one whose report is the JSON file `of`."""
    if not minutes and of is None:
        return Trial("everything at once, much goes wrong, every total exact", not_run="--soak-minutes 0")
    report = _read(of) if of else Soak(minutes, with_client=with_client).run()
    found = Trial(f"everything at once for {report.minutes:g} min, much goes wrong, every total exact")
    found.faults += report.faults
    told = ("responses", "hooks", "errors", "notes", "parties", "backups", "releases", "fullDisks")
    found.figures += [f"{report.figures.get(name, 0):,} {name}" for name in told]
    serve = report.figures["serve"]
    if serve:
        found.figures.append(
            f"serve {serve['rssMb']} MB, {serve['rssMbPerHour']:+} MB/h, {serve['descriptors']} descriptors"
        )
    found.figures += [f"not run: {reason}" for reason in report.not_run]
    if of:
        found.figures.append(f"ended {datetime.fromtimestamp(of.stat().st_mtime, UTC):%Y-%m-%d %H:%M}")
    return found


def _read(place: Path) -> Report:
    said = json.loads(place.read_text(encoding="utf-8"))
    return Report(**{name: said[name] for name in Report.__dataclass_fields__})

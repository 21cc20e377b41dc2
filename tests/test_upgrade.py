"""Data that earlier versions wrote is read by this one, goes on to be written, and newer data is refused.

The fixtures were made by the earlier versions themselves: `python -m tests.upgrade_maker COMMIT STAGE`.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import Studio

from agent_studio.errors import StorageError
from agent_studio.storage.versions import refuse_newer

if TYPE_CHECKING:
    from collections.abc import Sequence

FIXTURES = Path(__file__).parent / "fixtures/upgrade"
EXPECTED: dict[str, dict[str, Any]] = json.loads((FIXTURES / "expected.json").read_text())
STAGES = sorted(EXPECTED)
RELEASED = [stage for stage in STAGES if "release" in EXPECTED[stage]]
STAGING = ("--env", "staging")
OF_STAGING = (
    "status", "doctor", "monitor --hours 24", "monitor --trends", "alerts list", "cost report", "cost verify",
    "cost budget", "kb list", "kb stats", "memory list", "party list", "evolve status", "eval list", "flags list",
    "flags history", "backup list", "log",
)  # fmt: skip
LOOKS = (
    *((*words.split(), *STAGING) for words in OF_STAGING),
    *(tuple(words.split()) for words in ("config check", "release list", "release verify", "gate")),
)
_MAY_END_WITH = {"alerts": {0, 1}, "doctor": {0, 1}, "gate": {0, 3}, "cost budget": {0, 3}}


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every stage, unpacked once."""
    folder = tmp_path_factory.mktemp("upgrade")
    for stage in STAGES:
        with tarfile.open(FIXTURES / f"{stage}.tar.xz") as packed:
            packed.extractall(folder / stage, filter="data")
    return folder


def _project(stage: str, unpacked: Path, tmp_path: Path) -> Studio:
    place = tmp_path.resolve() / "shop"
    shutil.copytree(unpacked / stage / "shop", place)
    return Studio(place)


@pytest.fixture
def earlier(request: pytest.FixtureRequest, unpacked: Path, tmp_path: Path) -> Studio:
    """A project as the version of a stage left it, now somewhere else."""
    return _project(request.param, unpacked, tmp_path)


@pytest.fixture
def released(unpacked: Path, tmp_path: Path) -> Studio:
    """A project of the newest stage with a release."""
    return _project(RELEASED[0], unpacked, tmp_path)


every_stage = pytest.mark.parametrize(("earlier", "stage"), [(one, one) for one in STAGES], indirect=["earlier"])


@every_stage
def test_every_command_that_looks_reads_what_an_earlier_version_wrote(earlier: Studio, stage: str) -> None:
    ledger = earlier.path / ".claude/staging/metrics/llm-usage.log"
    before = ledger.read_bytes()
    wrong = {}
    for words in LOOKS:
        done = earlier.run(*words, "--json")
        allowed = _MAY_END_WITH.get(" ".join(words[:2]), _MAY_END_WITH.get(words[0], {0}))
        if done.code not in allowed:
            wrong[" ".join(words)] = (done.code, done.out[-600:], done.err[-300:])
    assert wrong == {}
    assert ledger.read_bytes() == before
    errors = [one for one in earlier.run("doctor", *STAGING, "--json").data["findings"] if one["severity"] == "error"]
    assert errors == []
    assert stage in EXPECTED


@every_stage
def test_the_figures_are_what_the_earlier_version_said(earlier: Studio, stage: str) -> None:
    expected = EXPECTED[stage]
    totals = earlier.json("cost", "report", *STAGING, "--by", "model")["totals"]
    assert {name: totals[name] for name in expected["cost"]} == expected["cost"]
    verified = earlier.json("cost", "verify", *STAGING)
    assert (verified["verdict"], verified["head"]) == ("PASS", expected["ledger"])
    names = {"hooks.jsonl": "metrics", "errors.jsonl": "metrics", "session-log.jsonl": "sessions"}
    for name, folder in names.items():
        lines = (earlier.path / ".claude/staging" / folder / name).read_bytes().splitlines()
        assert len(lines) == expected["ingested"][name]
    flags = earlier.json("flags", "history", *STAGING)
    assert {(one["flag"], one["who"]) for one in flags["records"]} == {("advancedElicitation", "dana")}
    if "memory" in expected:
        assert len(earlier.json("memory", "list", *STAGING)["notes"]) == expected["memory"]
        assert "oysters" in earlier.json("memory", "search", "oysters", *STAGING)["hits"][0]["text"]
        (party,) = earlier.json("party", "list", *STAGING)["parties"]
        assert earlier.run("party", "verify", party["id"], *STAGING).code == 0
        assert earlier.json("evolve", "status", *STAGING)["evolution"]["name"] == "mooring-plan"
    if "evals" in expected:  # runs were not sealed then: they are named, and neither counted nor deleted
        listed = earlier.run("eval", "list", *STAGING, "--json")
        assert "was not sealed: an earlier version began it" in listed.envelope["problems"][0]["message"]
        assert listed.data["runs"] == []


@every_stage
def test_what_was_begun_goes_on_and_nothing_is_recorded_twice(earlier: Studio, stage: str) -> None:
    expected = EXPECTED[stage]
    assert earlier.run("init", *STAGING, "--no-hooks").code == 0
    first, again = (earlier.json("ingest", *STAGING) for _ in range(2))
    # what waited in the inbox: a session's start and prompt; nothing was heard of it for a day, so it has ended
    assert first["records"] == {**dict.fromkeys(first["records"], 0), "session-log.jsonl": 3}
    assert (first["damaged"], set(again["records"].values())) == (0, {0})
    call = ("cost", "record", "--model", "claude-haiku-4-5", "--input-tokens", "5", "--output-tokens", "5", *STAGING)
    assert earlier.json(*call)["calls"][0]["seq"] == expected["ledger"]["seq"] + 1
    assert earlier.json("cost", "verify", *STAGING)["verdict"] == "PASS"
    assert earlier.json("memory", "add", "learning", "Written after the upgrade", *STAGING)["kind"] == "learning"
    made = earlier.json("backup", "create", *STAGING)
    assert earlier.json("backup", "verify", made["backup"], *STAGING)["verdict"] == "PASS"
    assert earlier.run("smoke", *STAGING).code == 0


@pytest.mark.parametrize("earlier", RELEASED, indirect=True)
def test_releases_and_backups_of_an_earlier_version_verify(earlier: Studio) -> None:
    (live,) = earlier.json("release", "list")["releases"]
    assert live["live"]
    proved = earlier.json("release", "verify")
    assert (proved["damage"], proved["drift"]) == ([], [])
    (backup,) = [one for one in earlier.json("backup", "list", *STAGING)["backups"] if one["by"] == "user"]
    assert earlier.json("backup", "verify", backup["backup"], *STAGING)["verdict"] == "PASS"
    assert earlier.run("backup", "restore", backup["backup"], "--yes", *STAGING).code == 0


# --- newer data -------------------------------------------------------------------------------------------------------


def _refused(studio: Studio, words: Sequence[str], named: str) -> None:
    """The command says which file is newer and what to do, and is no crash."""
    done = studio.run(*words, "--json")
    (problem, *_) = done.envelope["problems"]
    assert (done.code, problem["code"], problem["hint"]) == (1, "storage", "update agent-studio"), problem
    assert "is of a newer version" in problem["message"]
    assert named in problem["message"]


@every_stage
def test_a_newer_state_of_ingest_is_refused_and_left_alone(earlier: Studio, stage: str) -> None:
    place = earlier.path / ".agent-studio/staging/ingest.sqlite3"
    with closing(sqlite3.connect(place)) as state:
        state.execute("PRAGMA user_version = 99")
    _refused(earlier, ("ingest", *STAGING), "ingest.sqlite3")
    with closing(sqlite3.connect(place)) as state:
        assert state.execute("PRAGMA user_version").fetchone() == (99,), stage


def test_derived_tables_of_another_version_are_built_anew(released: Studio) -> None:
    state = released.path / ".agent-studio/staging"
    report = released.json("cost", "report", *STAGING)
    for name in ("ledger.sqlite3", "knowledge.sqlite3"):
        with closing(sqlite3.connect(state / name)) as table:
            table.execute("PRAGMA user_version = 99")
    assert released.json("cost", "report", *STAGING) == report
    assert released.json("kb", "list", *STAGING)["artifacts"]


def _newer(place: Path) -> None:
    value = json.loads(place.read_bytes())
    name, _, number = value["schema"].rpartition("/")
    place.write_text(json.dumps({**value, "schema": f"{name}/{int(number) + 1}"}))


def test_a_newer_candidate_is_refused(released: Studio) -> None:
    candidate = EXPECTED[RELEASED[0]]["release"]["candidate"]
    _newer(released.path / f".agent-studio/candidates/{candidate}.json")
    _refused(released, ("candidate", "show", candidate), f"{candidate}.json")


def test_a_newer_burn_in_is_refused(released: Studio) -> None:
    released.write(
        ".agent-studio/staging/burnin.json",
        '{"schema": "agent-studio/burnin/2", "since": "2026-01-31T09:30:00.000Z", "candidate": "x", "who": "y"}',
    )
    _refused(released, ("burnin", "status"), "burnin.json")


def test_a_newer_switch_is_refused(released: Studio) -> None:
    released.write(".agent-studio/releases/journal.json", '{"schema": "agent-studio/switch/2"}')
    _refused(released, ("promote", "--yes"), "journal.json")


@pytest.mark.parametrize(
    ("said", "refused"),
    [("agent-studio/backup/2", True), ("agent-studio/backup/10", True), ("agent-studio/backup/1", False),
     ("agent-studio/other/2", False), ("agent-studio/backup/x", False), (None, False), (7, False)],
)  # fmt: skip
def test_only_a_later_version_of_the_same_format_is_newer(said: object, *, refused: bool) -> None:
    for value in ({"schema": said}, [said], None):
        if refused and isinstance(value, dict):
            with pytest.raises(StorageError, match="newer version"):
                refuse_newer(value, "agent-studio/backup/1", "backup.json")
        else:
            refuse_newer(value, "agent-studio/backup/1", "backup.json")

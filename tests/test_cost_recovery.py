"""What somebody did to a ledger, or wrote into it, is survived: figures stay right, and nothing stays lost."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agent_studio import clock
from agent_studio.cost import table
from agent_studio.environment.context import open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Finished, Studio

    from agent_studio.storage.folder import Folder

STAGING = ("--env", "staging")
OPUS = "claude-opus-5-5"


def _said(number: int, session: str = "s1", **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": 1_000, "output_tokens": 0}
    return {
        "type": "assistant", "uuid": f"u{number}", "sessionId": session, "requestId": f"req_{number}",
        "timestamp": "2026-11-01T12:00:00.000Z", "message": {"id": f"msg_{number}", "model": OPUS, "usage": usage},
    } | more  # fmt: skip


class Client:
    """A configuration folder of the client, with one session of a few responses."""

    def __init__(self, path: Path, responses: int = 4) -> None:
        self.path = path
        self.write("-p/s1.jsonl", *(_said(number) for number in range(responses)))

    def write(self, name: str, *lines: dict[str, Any]) -> None:
        place = self.path / "projects" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path / "client")


def _import(studio: Studio, client: Client, *arguments: str) -> dict[str, Any]:
    done = studio.run("cost", "import", *STAGING, "--config-dir", str(client.path), "--json", *arguments)
    assert done.code == 0, done.out
    return done.data


def _report(studio: Studio, *arguments: str) -> Finished:
    return studio.run("cost", "report", *STAGING, "--by", "model", "--timezone", "UTC", "--json", *arguments)


def _responses(studio: Studio) -> int:
    return int(_report(studio).data["totals"]["responses"])


def _ledger(studio: Studio) -> Path:
    return studio.path / ".claude/staging/metrics/llm-usage.log"


def _record(studio: Studio, *arguments: str) -> Finished:
    return studio.run("cost", "record", *STAGING, "--model", OPUS, *arguments)


@pytest.mark.parametrize("left", [0, 1, 3])
def test_what_was_cut_from_a_ledger_is_told_and_taken_in_again(staged: Studio, client: Client, left: int) -> None:
    assert _import(staged, client)["written"] == 4
    assert _responses(staged) == 4
    lines = _ledger(staged).read_bytes().splitlines(keepends=True)
    _ledger(staged).write_bytes(b"".join(lines[:left]))
    for _ in range(2):  # whoever looks first does not swallow it
        assert "ledger-rewritten" in [one["code"] for one in _report(staged).envelope["problems"]]
        budget = staged.run("cost", "budget", *STAGING, "--json")
        assert "ledger-rewritten" in [one["code"] for one in budget.envelope["problems"]]
    assert _import(staged, client)["written"] == 4 - left
    assert _responses(staged) == 4
    assert _report(staged).envelope["problems"] == []
    assert _import(staged, client)["written"] == 0


def test_a_session_that_was_left_out_can_be_taken_later(staged: Studio, bare: Studio, tmp_path: Path) -> None:
    home = Client(tmp_path / "home")
    name = "".join(one if one.isascii() and one.isalnum() else "-" for one in str(staged.path))
    home.write(f"{name}/s9.jsonl", _said(9, "s9"))
    variables = {"CLAUDE_CONFIG_DIR": str(home.path)}
    assert bare.run("cost", "import", *STAGING, "--json", variables=variables).data["sessionsElsewhere"] == 1
    taken = bare.run("cost", "import", *STAGING, "--json", "--all-sessions", variables=variables).data
    assert (taken["written"], taken["sessionsElsewhere"]) == (1, 0)


def test_a_project_that_is_called_alike_is_another_one(tmp_path: Path, bare: Studio) -> None:
    home = Client(tmp_path / "home")
    name = "".join(one if one.isascii() and one.isalnum() else "-" for one in str(bare.path))
    home.write(f"{name}/own.jsonl", _said(1, cwd=str(bare.path)))
    home.write(f"{name}-src/inside.jsonl", {"type": "summary"}, _said(2, cwd=str(bare.path / "src")))
    home.write(f"{name}-two/beside.jsonl", _said(3, cwd=f"{bare.path}-two"))
    done = bare.run("cost", "report", "--source", "transcripts", "--json",
                    variables={"CLAUDE_CONFIG_DIR": str(home.path)})  # fmt: skip
    assert done.data["totals"]["responses"] == 2


@pytest.mark.parametrize(
    "arguments", [("--cost-usd", "9300000"), ("--at", "9999-12-31T12:00:00Z"), ("--at", "1960-01-01T00:00:00Z")]
)
def test_a_call_that_cannot_be_is_refused_and_breaks_nothing(staged: Studio, arguments: tuple[str, ...]) -> None:
    assert _record(staged, "--input-tokens", "5").code == 0
    assert _record(staged, *arguments).code == 2
    assert _responses(staged) == 1


@pytest.mark.parametrize(
    ("field", "value"), [("costUsd", '"99999999"'), ("timestamp", '"9999-12-31T12:00:00.000Z"'), ("inputTokens", "-1")]
)
def test_an_absurd_line_of_the_ledger_is_counted_as_damaged(staged: Studio, field: str, value: str) -> None:
    assert _record(staged, "--input-tokens", "5").code == 0
    line = json.loads(_ledger(staged).read_text())
    written = json.dumps(line[field])
    _ledger(staged).write_text(_ledger(staged).read_text().replace(f'"{field}":{written}', f'"{field}":{value}'))
    for _ in range(2):
        told = _report(staged)
        assert told.code == 0
        assert "ledger-damaged" in [one["code"] for one in told.envelope["problems"]]


def test_a_time_that_cannot_be_in_a_transcript_is_none(bare: Studio, tmp_path: Path) -> None:
    client = Client(tmp_path / "client", 1)
    client.write("-p/late.jsonl", _said(8, timestamp="9999-12-31T23:00:00.000Z"))
    done = bare.run("cost", "report", "--source", "transcripts", "--config-dir", str(client.path), "--json",
                    "--timezone", "Pacific/Auckland")  # fmt: skip
    assert (done.code, done.data["totals"]["responses"]) == (0, 2)


def test_of_a_response_recorded_twice_the_largest_figures_count(staged: Studio) -> None:
    ids = ("--message-id", "M", "--request-id", "R")
    _record(staged, "--input-tokens", "100000", "--agent", "a1", "--session-id", "s", *ids)
    _record(staged, "--input-tokens", "5", "--output-tokens", "7", *ids)
    totals = _report(staged).data["totals"]
    assert (totals["responses"], totals["input_tokens"], totals["output_tokens"]) == (1, 100_000, 7)
    agents = staged.run("cost", "report", *STAGING, "--by", "agent", "--json").data["agents"]
    assert [one["agent"] for one in agents] == ["a1"]


def test_a_smaller_repetition_keeps_the_cost(staged: Studio) -> None:
    ids = ("--message-id", "M", "--request-id", "R")
    _record(staged, "--input-tokens", "100000", *ids)
    _record(staged, "--input-tokens", "5", *ids)
    assert _report(staged).data["totals"]["usd"] == pytest.approx(0.4)


def test_a_ledger_that_others_may_read_is_made_private_again(staged: Studio) -> None:
    _record(staged, "--input-tokens", "5")
    _ledger(staged).chmod(0o644)
    assert "others may use" in staged.run("doctor", *STAGING).out
    _record(staged, "--input-tokens", "5")
    assert _ledger(staged).stat().st_mode & 0o777 == 0o600


def test_a_stopped_process_that_holds_the_lock_is_told_of(staged: Studio) -> None:
    _record(staged, "--input-tokens", "5")
    program = (
        "import fcntl, sys, time; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); "
        "time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, str(_ledger(staged))], stdout=subprocess.PIPE)
    try:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        os.kill(holder.pid, signal.SIGSTOP)
        done = _record(staged, "--input-tokens", "5")
    finally:
        holder.kill()
        holder.communicate()
    assert done.code == 5
    assert "has held a lock" in done.err
    assert _record(staged, "--input-tokens", "5").code == 0


def test_a_damaged_table_is_made_anew(staged: Studio) -> None:
    for _ in range(3):
        _record(staged, "--input-tokens", "5")
    assert _responses(staged) == 3
    place = staged.path / ".agent-studio/staging/ledger.sqlite3"
    data = place.read_bytes()
    place.write_bytes(data[:4096] + os.urandom(len(data) - 4096))
    told = _report(staged)
    assert told.code == 0
    assert told.data["totals"]["responses"] == 3


@pytest.mark.parametrize("name", ["usage", "note", "usage_session", "usage_at"])
def test_a_part_of_the_table_that_is_damaged_is_made_anew_within_the_command(staged: Studio, name: str) -> None:
    """A page that is read late, or a table that is gone, is damage like a file that is none."""
    for number in range(3):
        _record(staged, "--input-tokens", "5", "--at", f"2026-01-0{number + 1}T00:00:00Z")
    assert _responses(staged) == 3
    place = staged.path / ".agent-studio/staging/ledger.sqlite3"
    with closing(sqlite3.connect(place)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    data = bytearray(place.read_bytes())
    data[(page - 1) * 4096 : page * 4096] = os.urandom(4096)
    place.write_bytes(data)
    for command in (("ingest",), ("cost", "report"), ("cost", "budget"), ("monitor",)):
        place.write_bytes(data)
        done = staged.run(*command, *STAGING)
        assert (done.code, "malformed" in done.err) == (0, False), (command, done.err)
    assert _responses(staged) == 3


def test_a_table_that_has_lost_one_of_its_parts_is_made_anew_within_the_command(staged: Studio) -> None:
    _record(staged, "--input-tokens", "5")
    assert _responses(staged) == 1
    with closing(sqlite3.connect(staged.path / ".agent-studio/staging/ledger.sqlite3")) as db:
        db.execute("DROP TABLE usage")
        db.commit()
    assert _responses(staged) == 1


def test_a_thread_that_waits_for_the_table_does_not_open_it_to_other_processes(staged: Studio) -> None:
    """A second opening in the process that has the lock would drop it, were it closed again."""
    _record(staged, "--input-tokens", "5")
    folder = open_context(Project(staged.path), Choice(Environment.STAGING, "--env"), {}).root.state
    waiting = threading.Thread(target=_tries, args=(folder,))
    other = (
        "import sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0)\n"
        "try: db.execute('BEGIN IMMEDIATE')\n"
        "except sqlite3.OperationalError: print('locked')"
    )
    with table.opened(folder, "ledger.sqlite3"):
        waiting.start()
        waiting.join()
        done = subprocess.run(
            [sys.executable, "-c", other, str(folder.path / "ledger.sqlite3")], capture_output=True, check=True
        )
    assert done.stdout == b"locked\n"


def _tries(folder: Folder) -> None:
    with pytest.raises(StorageError, match="cannot use"), table.opened(folder, "ledger.sqlite3", wait_s=0.05):
        pass


def test_names_cannot_act_on_a_terminal(staged: Studio) -> None:
    done = staged.run("cost", "record", *STAGING, "--model", "evil\x1b[31mX", "--input-tokens", "5")
    assert done.code == 0
    for form in ((), ("--csv",), ("--json",)):
        assert "\x1b" not in staged.run("cost", "report", *STAGING, "--by", "model", *form).out


def test_the_running_block_is_that_of_the_table_whatever_part_is_shown(
    staged: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now().replace(minute=55, second=0, microsecond=0)
    for hours in range(12, -1, -1):  # usage without a pause: blocks follow each other
        at = clock.timestamp(now - timedelta(hours=hours))
        _record(staged, "--input-tokens", "100", "--at", at)
    monkeypatch.setattr("time.time", lambda: now.timestamp() + 60)
    told = [
        staged.run("cost", "report", *STAGING, "--by", "block", "--json", *more).data
        for more in ((), ("--since", "2h"))
    ]
    assert [one["runningBlock"]["start"] for one in told] == [one["blocks"][-1]["start"] for one in told]
    assert told[0]["runningBlock"]["start"] == told[1]["runningBlock"]["start"]


def test_the_rate_of_a_block_is_from_its_first_response_on(staged: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    now = clock.now().replace(minute=55, second=0, microsecond=0)
    _record(staged, "--input-tokens", "200000", "--at", clock.timestamp(now - timedelta(minutes=1)))
    monkeypatch.setattr("time.time", now.timestamp)
    block = staged.run("cost", "report", *STAGING, "--by", "block", "--json").data["runningBlock"]
    assert block["tokensPerMinute"] == pytest.approx(200_000)
    assert block["remainingMinutes"] == 5 * 60 - 55


def test_own_calls_belong_to_the_project(staged: Studio) -> None:
    _record(staged, "--input-tokens", "5")
    fed = subprocess.run(
        [sys.executable, "-m", "agent_studio", "cost", "record", *STAGING, "--stdin"], cwd=staged.path,
        input='{"model": "claude-opus-5-5", "inputTokens": 7, "project": "-srv-other"}\n', text=True, check=False,
        capture_output=True,
    )  # fmt: skip
    assert fed.returncode == 0, fed.stderr
    projects = staged.run("cost", "report", *STAGING, "--by", "project", "--json").data["projects"]
    named = {one["project"]: one["input_tokens"] for one in projects}
    assert named.pop("-srv-other") == 7
    assert list(named.values()) == [5]
    assert next(iter(named)).startswith("-")

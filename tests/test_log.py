"""Our own log: what is in it, what is never in it, that it is in nobody's way, and how it is read."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agent_studio import clock, log
from agent_studio.cli.commands import status
from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.log.libraries import Exceptions
from agent_studio.log.reader import Log, Wanted
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Finished, Studio

STAGING = ("--env", "staging")
SECRET = "sk-ant-" + "api03-" + "aB3dE5gH7jK9mN2pQ4sT6vW8yZ1bC3eF5hJ7"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
STATE = ".agent-studio/staging"


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """A project whose staging keeps state, and nothing else."""
    from tests.conftest import Studio

    made = Studio(tmp_path)
    made.write(".claude/config.staging.yaml", "environment: staging\n")
    for folder in (".claude/staging/metrics", ".claude/staging/sessions", STATE):
        (tmp_path / folder).mkdir(parents=True)
    return made


def _context(studio: Studio, **variables: str) -> Context:
    return open_context(Project(studio.path), Choice(Environment.STAGING, "--env"), variables)


def _written(studio: Studio) -> str:
    return (studio.path / STATE / log.FILE).read_text()


def _entries(studio: Studio, *more: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = studio.json("log", *STAGING, "--lines", "1000", *more)["entries"]
    return found


def _last(studio: Studio) -> dict[str, Any]:
    return _entries(studio)[-1]


def _reader(studio: Studio, wanted: Wanted | None = None) -> Log:
    return Log(Folder(studio.path, STATE), wanted or Wanted())


def test_a_command_is_logged_when_it_begins_and_when_it_ends(studio: Studio) -> None:
    assert studio.run("flags", "list", *STAGING, "--json").code == 0
    began, ended = _entries(studio)
    told = {"environment": "staging", "pid": os.getpid(), "command": "flags-list", "options": ["--env", "--json"]}
    assert {**began, "timestamp": ""} == {"timestamp": "", "level": "debug", "event": "command.started", **told}
    assert ended["durationMs"] > 0
    assert {**ended, "timestamp": "", "durationMs": 0} == {
        "timestamp": "", "level": "info", "event": "command.finished", **told, "exitCode": 0, "durationMs": 0
    }  # fmt: skip
    assert (studio.path / STATE / log.FILE).stat().st_mode & 0o777 == 0o600


def test_debug_is_written_only_where_logging_is_verbose(studio: Studio) -> None:
    studio.run("flags", "list", *STAGING, "--set", "monitoring.verboseLogging=false")
    assert [entry["level"] for entry in _entries(studio)] == ["info"]
    (studio.path / ".agent-studio/development").mkdir()
    studio.run("flags", "list")
    levels = [entry["level"] for entry in studio.json("log")["entries"]]
    assert levels == ["info"], "development logs in the standard way"


def test_an_environment_without_state_gets_no_folder_for_its_log(studio: Studio) -> None:
    before = studio.snapshot()
    assert studio.run("flags", "list", "--env", "production").code == 0
    assert not (studio.path / ".agent-studio/production").exists()
    assert studio.snapshot() == before


def test_looking_at_the_log_is_not_logged(studio: Studio) -> None:
    assert studio.run("log", *STAGING).out == f"no entries in {STATE}/{log.FILE}\n"
    assert not (studio.path / STATE / log.FILE).exists()


def test_what_a_command_was_told_is_not_in_the_log(studio: Studio) -> None:
    who, why = "Hamlet", "to be or not to be"
    assert studio.run("flags", "kill", "partyMode", *STAGING, f"--reason={why}", "--by", who).code == 0
    assert studio.run("flags", "set", "Ophelia", *STAGING, "--on", "--reason", why).code == 2
    assert studio.run("run", *STAGING, "--", "sh", "-c", ": a question", "--json").code == 2, "it has no folders yet"
    assert studio.run("flags", "set", "partyMode", *STAGING, "--rollout", "-5", "--reason", why).code == 2
    assert _last(studio)["options"] == ["--env", "--rollout", "--reason"]
    assert not any(word in _written(studio) for word in ("Hamlet", "to be", "Ophelia", "question", "--json"))
    killed = next(entry for entry in _entries(studio) if entry["event"] == "flag.changed")
    assert (killed["flag"], killed["action"], killed["after"]) == ("partyMode", "kill", False)


def test_a_dry_run_of_a_change_is_no_change(studio: Studio) -> None:
    studio.run("flags", "kill", "partyMode", *STAGING, "--reason", "x", "--dry-run")
    assert "flag.changed" not in _written(studio)


def test_a_fault_is_logged_with_its_code_and_message(studio: Studio) -> None:
    (studio.path / ".claude/staging/metrics").rmdir()
    assert studio.run("ingest", *STAGING).code == 1
    ended = _last(studio)
    assert (ended["level"], ended["event"], ended["exitCode"], ended["code"]) == (
        "warning", "command.failed", 1, "storage",
    )  # fmt: skip
    assert "metrics is missing" in ended["message"]


def test_a_bug_is_logged_with_its_frames_and_without_its_variables(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(_: object, session: Any) -> None:
        hidden = "a variable's value"
        assert session.context
        assert hidden
        raise RuntimeError(f"no good: {SECRET}")

    monkeypatch.setattr(status, "run", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert studio.run("status", *STAGING).code == 70
    ended = _last(studio)
    (raised,) = ended["exception"]
    assert (ended["level"], ended["event"], raised["exc_type"]) == ("error", "command.crashed", "RuntimeError")
    assert raised["exc_value"] == "no good: [REDACTED:anthropic-key]"
    assert raised["frames"][-1]["name"] == "broken"
    assert "a variable's value" not in _written(studio)
    shown = studio.run("log", *STAGING).out
    assert '\n    RuntimeError: "no good: [REDACTED:anthropic-key]"\n' in shown
    assert " in broken\n" in shown


def test_every_text_is_redacted_and_bounded_wherever_it_stands(studio: Studio) -> None:
    log.info(
        _context(studio), f"event {SECRET}", plain=SECRET, inner={SECRET: [SECRET, {"deep": (SECRET,)}]}, some={SECRET},
        data=SECRET.encode(), long="x" * 7_990 + " " + SECRET, many=list(range(1_000)),
    )  # fmt: skip
    written = _written(studio)
    assert SECRET[:20] not in written
    assert len(written) < 6_000
    entry = _last(studio)
    assert entry["event"] == "event [REDACTED:anthropic-key]"
    assert (len(entry["long"]), len(entry["many"])) == (2_000, 100)
    log.info(_context(studio), "wide", table={f"column {number}": number for number in range(1_000)})
    assert len(_last(studio)["table"]) == 100


def test_a_secret_at_the_end_of_what_is_looked_at_is_not_kept_by_half(studio: Studio) -> None:
    long = ("sk-ant-" + "api03-" + "x1" * 950 + " ") * 4
    before = 8_000 - len(long) - 25
    log.info(_context(studio), "one", text=long + "y" * (before - 1) + " " + SECRET + " more")
    assert _last(studio)["text"].startswith("[REDACTED:anthropic-key] ")
    assert SECRET[:10] not in _written(studio)


class _Speechless:
    def __str__(self) -> str:
        raise ValueError


def test_what_json_cannot_hold_is_written_all_the_same(studio: Studio) -> None:
    knot: dict[str, Any] = {}
    knot["itself"] = knot
    log.info(
        _context(studio), "odd", nan=float("nan"), endless=float("inf"), huge=1 << 20_000, none=None, yes=True,
        knot=knot, speechless=_Speechless(), half="\ud800", pid="mine", level="none", moment=NOON,
    )  # fmt: skip
    entry = _last(studio)
    assert (entry["nan"], entry["endless"], entry["none"], entry["yes"]) == ("nan", "inf", None, True)
    assert (entry["speechless"], entry["level"], entry["pid"]) == ("_Speechless", "info", os.getpid())
    assert entry["moment"] == "2026-01-31 12:00:00+00:00"
    log.info(_context(studio), "wide", **{f"f{number}": "y" * 1_999 for number in range(90)})
    assert _last(studio)["droppedBytes"] > 64_000


def test_nothing_in_the_log_acts_on_a_terminal(studio: Studio) -> None:
    hostile = "\x1b[2J\x9b31m\u202egnp\r\n\x00\x7f"
    log.info(_context(studio), f"event{hostile}", **{f"name{hostile}": hostile, "list": [hostile], "lang": "grün"})
    for text in (_written(studio), studio.run("log", *STAGING).out):
        assert all(line.isprintable() for line in text.split("\n"))
    assert _last(studio)["list"] == [hostile]


def _folder(place: Path) -> None:
    place.mkdir()


def _link(place: Path) -> None:
    place.symlink_to(place.with_name("elsewhere"))


def _hard_link(place: Path) -> None:
    place.with_name("other").write_text("")
    place.hardlink_to(place.with_name("other"))


def _pipe(place: Path) -> None:
    os.mkfifo(place)


@pytest.mark.skipif(sys.platform == "win32", reason="written for POSIX systems")
@pytest.mark.parametrize("obstacle", [_folder, _link, _hard_link, _pipe])
def test_a_log_that_cannot_be_written_stops_nothing(studio: Studio, obstacle: Any) -> None:
    obstacle(studio.path / STATE / log.FILE)
    done = studio.run("flags", "list", *STAGING)
    assert (done.code, done.err) == (0, "")
    assert not (studio.path / STATE / "elsewhere").exists()
    other = studio.path / STATE / "other"
    assert not other.exists() or other.read_text() == ""


@pytest.mark.skipif(sys.platform == "win32", reason="written for POSIX systems")
def test_a_full_disk_stops_nothing_and_what_it_cut_short_is_ended(studio: Studio) -> None:
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100));"
        "from agent_studio.cli.main import main; sys.exit(main(['flags', 'list', '--env', 'staging', '--json']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=studio.path, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(_written(studio)) == 100
    studio.run("flags", "list", *STAGING)
    shown = studio.run("log", *STAGING, "--json")
    assert shown.data["damagedLines"] == 1
    assert [entry["event"] for entry in shown.data["entries"]] == ["command.started", "command.finished"]
    assert shown.envelope["problems"][0]["code"] == "damaged-lines"


def _numbers(studio: Studio, log_read: Log | None = None) -> list[int]:
    return [entry["number"] for entry in (log_read or _reader(studio)).last()]


def test_a_file_that_has_grown_is_put_aside_and_only_a_few_are_kept(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "SIZE_MAX_BYTES", 2_000)
    context = _context(studio)
    for number in range(200):
        log.info(context, "counted", number=number)
    names = sorted(place.name for place in (studio.path / STATE).glob("log*.jsonl"))
    newest = log.put_aside(context.root.state)[-1][0]
    assert newest > log.KEPT_FILES
    assert {"log.jsonl", *(f"log.{newest - back}.jsonl" for back in range(log.KEPT_FILES))} >= set(names)
    assert len(log.put_aside(context.root.state)) == log.KEPT_FILES
    numbers = _numbers(studio)
    assert numbers == list(range(numbers[0], 200))
    assert 30 < len(numbers) < 100
    assert [entry["number"] for entry in _reader(studio).last(25)] == list(range(175, 200))
    for name in names:
        assert (studio.path / STATE / name).stat().st_mode & 0o777 == 0o600


def test_what_somebody_else_has_just_put_aside_is_not_put_aside_again(studio: Studio) -> None:
    context = _context(studio)
    log.info(context, "one")
    log._rotate(context.root.state)
    assert log.put_aside(context.root.state) == []


class _Racing(Folder):
    """A folder in which the log is put aside just before it is opened, or just after, once."""

    before: Callable[[], None] | None = None
    after: Callable[[], None] | None = None

    def open(self, relative: str, flags: int = os.O_RDONLY) -> int:
        if self.before:
            act, self.before = self.before, None
            act()
        descriptor = super().open(relative, flags)
        if self.after:
            act, self.after = self.after, None
            act()
        return descriptor


def test_a_log_that_is_put_aside_at_the_very_moment_is_read_once(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, folder = _context(studio), _Racing(studio.path, STATE)
    log.info(context, "counted", number=1)

    def put_aside_and_go_on() -> None:
        monkeypatch.setattr(log, "SIZE_MAX_BYTES", 1)
        log.info(context, "counted", number=2)
        monkeypatch.undo()
        for number in range(3, 6):
            log.info(context, "counted", number=number)

    reader = Log(folder, Wanted())
    folder.after = put_aside_and_go_on
    seen = [entry["number"] for entry in reader.last()]
    for _ in range(2):
        seen += [entry["number"] for entry in reader.more()]
    assert seen == [1, 2, 3, 4, 5]
    folder.before = put_aside_and_go_on
    seen = [entry["number"] for _ in range(3) for entry in reader.more()]
    assert seen == [2, 3, 4, 5]


def test_many_processes_lose_and_tear_nothing_while_files_are_put_aside(studio: Studio) -> None:
    code = (
        "import sys; from pathlib import Path; from agent_studio import log;"
        "from agent_studio.environment.context import open_context;"
        "from agent_studio.environment.detect import Choice, Environment;"
        "from agent_studio.environment.roots import Project;"
        "log.SIZE_MAX_BYTES, log.KEPT_FILES = 10_000, 10_000;"
        "context = open_context(Project(Path.cwd()), Choice(Environment.STAGING, '--env'), {});"
        "[log.info(context, 'counted', number=int(sys.argv[1]) * 1000 + n) for n in range(400)]"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(worker)], cwd=studio.path) for worker in range(4)]
    assert [one.wait() for one in running] == [0, 0, 0, 0]
    read = _reader(studio)
    assert sorted(_numbers(studio, read)) == [worker * 1000 + n for worker in range(4) for n in range(400)]
    assert read.damaged_lines == 0
    assert len(log.put_aside(Folder(studio.path, STATE))) > 10


@pytest.mark.parametrize("every", [1, 3, 7, 100])
def test_following_misses_and_repeats_nothing_while_files_are_put_aside(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    monkeypatch.setattr(log, "SIZE_MAX_BYTES", 1_500)
    monkeypatch.setattr(log, "KEPT_FILES", 50)
    context, reader = _context(studio), _reader(studio)
    assert reader.last() == []
    seen = []
    for number in range(150):
        log.info(context, "counted", number=number)
        if number % every == 0:
            seen += [entry["number"] for entry in reader.more()]
    seen += [entry["number"] for entry in reader.more()]
    assert seen == list(range(150))
    later = _reader(studio)
    assert later.last(0) == []
    log.info(context, "counted", number=150)
    assert [entry["number"] for entry in later.more()] == [150]
    assert later.more() == []


def test_following_begins_anew_when_the_log_was_emptied_or_removed(studio: Studio) -> None:
    context, reader = _context(studio), _reader(studio)
    log.info(context, "counted", number=1)
    assert len(reader.last()) == 1
    place = studio.path / STATE / log.FILE
    place.write_bytes(b"")
    assert reader.more() == []
    log.info(context, "counted", number=2)
    assert [entry["number"] for entry in reader.more()] == [2]
    place.unlink()
    assert reader.more() == []
    log.info(context, "counted", number=3)
    assert [entry["number"] for entry in reader.more()] == [3]


def test_a_line_that_is_still_being_written_waits_for_its_end(studio: Studio) -> None:
    context, reader = _context(studio), _reader(studio)
    log.info(context, "counted", number=1)
    place = studio.path / STATE / log.FILE
    with place.open("ab") as file:
        file.write(b'{"number":')
        file.flush()
        assert len(reader.last()) == 1
        assert reader.more() == []
        file.write(b" 2}\n")
    assert [entry["number"] for entry in reader.more()] == [2]
    assert reader.damaged_lines == 0


def test_level_time_and_number_choose_entries(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    context = _context(studio)
    for hour, level in enumerate(("debug", "info", "warning", "error")):
        at = NOON + timedelta(hours=hour)
        monkeypatch.setattr(clock, "now", lambda at=at: at)
        log.write(context, level, "one", {"hour": hour})

    def hours(*words: str) -> list[int]:
        found = studio.json("log", *STAGING, *words)["entries"]
        return [entry["hour"] for entry in found]

    assert hours() == [0, 1, 2, 3]
    assert hours("--level", "warning") == [2, 3]
    assert hours("--since", "90m") == [2, 3]
    assert hours("--since", "2026-01-31T14:00+01:00") == [1, 2, 3]
    assert hours("--since", "2026-01-31") == [0, 1, 2, 3]
    assert hours("--lines", "1") == [3]
    assert hours("--lines", "1", "--level", "debug", "--since", "4h") == [3]
    assert hours("--lines", "0") == []
    shown = studio.run("log", *STAGING, "--lines", "1").out
    assert shown == f"2026-01-31T15:00:00.000Z error   one  pid={os.getpid()} hour=3\n"


def test_the_last_twenty_are_shown_unless_a_time_is_asked_for(studio: Studio) -> None:
    context = _context(studio)
    for number in range(30):
        log.info(context, "counted", number=number)
    assert len(studio.json("log", *STAGING)["entries"]) == 20
    assert len(studio.json("log", *STAGING, "--since", "1h")["entries"]) == 30


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--since", "yesterday"), "--since 'yesterday' is no time"),
        (("--since", "999999w"), "is no time"),
        (("--lines", "-1"), "--lines -1 is negative"),
        (("--level", "warn"), 'did you mean "warning"?'),
    ],
)
def test_a_wrong_choice_is_one_clear_error(studio: Studio, words: tuple[str, ...], said: str) -> None:
    done: Finished = studio.run("log", *STAGING, *words)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_lines_that_others_left_in_the_log_are_counted_and_passed_over(studio: Studio) -> None:
    place = studio.path / STATE / log.FILE
    place.write_bytes(
        b'[1]\n\xff\xfe\n{"event": 1, "level": [], "exception": {"exc_type": 2}}\n\n' + b"[" * 5_000 + b"\n"
    )
    done = studio.run("log", *STAGING)
    assert done.code == 0
    assert done.out.startswith("null []      1\n")
    assert "3 lines are no entry" in done.err


@pytest.fixture
def following(studio: Studio) -> Iterator[subprocess.Popen[str]]:
    log.info(_context(studio), "before")
    command = [sys.executable, "-m", "agent_studio", "log", *STAGING, "--follow"]
    with subprocess.Popen(command, cwd=studio.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as one:
        yield one
        one.kill()


def test_follow_shows_what_comes_as_it_comes(studio: Studio, following: subprocess.Popen[str]) -> None:
    assert following.stdout
    assert "info    before" in following.stdout.readline()
    log.info(_context(studio), "after", number=7)
    assert "info    after" in following.stdout.readline()


def test_follow_ends_when_nobody_reads_any_more(studio: Studio, following: subprocess.Popen[str]) -> None:
    assert following.stdout
    following.stdout.readline()
    following.stdout.close()
    until = time.monotonic() + 20
    while following.poll() is None and time.monotonic() < until:
        log.info(_context(studio), "after")
        time.sleep(0.1)
    assert following.returncode == 0
    assert following.stderr
    assert following.stderr.read() == ""


def test_follow_as_json_writes_one_entry_a_line(studio: Studio) -> None:
    log.info(_context(studio), "one", text="grün")
    command = [sys.executable, "-m", "agent_studio", "log", *STAGING, "--follow", "--json"]
    with subprocess.Popen(command, cwd=studio.path, stdout=subprocess.PIPE) as running:
        assert running.stdout
        assert json.loads(running.stdout.readline())["text"] == "grün"
        running.kill()


def test_what_ingest_did_is_logged_once_it_did_something(studio: Studio) -> None:
    studio.run("ingest", *STAGING)
    assert "ingest.finished" not in _written(studio)
    payload = {"session_id": "s1", "hook_event_name": "UserPromptSubmit", "prompt": "a question"}
    event = json.dumps({"ts": time.time_ns(), "pid": 1, "kind": "hook", "payload": payload})
    studio.write(".claude/staging/metrics/events.jsonl", event + "\ndamaged\n")
    studio.run("ingest", *STAGING)
    told = next(entry for entry in _entries(studio) if entry["event"] == "ingest.finished")
    assert (told["level"], told["events"], told["damaged"]) == ("warning", 2, 1)
    assert told["records"] == {"session-log.jsonl": 1}
    assert "a question" not in _written(studio)


def test_an_exception_that_a_library_logs_is_kept(studio: Studio) -> None:
    kept = Exceptions(_context(studio), ("asyncio",))
    logger = logging.getLogger("asyncio")
    kept.listen()
    try:
        logger.warning("without an exception: %s", SECRET)
        logger.error("the request was %s", "a question", exc_info=OSError(SECRET))
    finally:
        kept.close()
    assert kept not in logger.handlers
    (entry,) = _entries(studio)
    assert (entry["event"], entry["logger"]) == ("library.exception", "asyncio")
    assert entry["exception"][0]["exc_value"] == "[REDACTED:anthropic-key]"
    assert "a question" not in _written(studio)


def test_the_daemon_says_in_the_log_where_it_serves(studio: Studio) -> None:
    command = [sys.executable, "-m", "agent_studio", "serve", *STAGING, "--port", "0", "--ingest-interval", "0"]
    with subprocess.Popen(
        command, cwd=studio.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as daemon:
        assert daemon.stdout
        url = daemon.stdout.readline().split()[3]
        daemon.terminate()
        daemon.communicate(timeout=60)
    events = {entry["event"]: entry for entry in _entries(studio)}
    assert events["serve.started"]["url"] == url
    assert events["command.finished"]["command"] == "serve"


def test_setting_an_environment_up_is_logged(staged: Studio) -> None:
    entries = _entries(staged)
    told = next(entry for entry in entries if entry["event"] == "environment.initialised")
    assert told["created"] > 5
    assert told["complete"]
    assert (entries[-1]["event"], entries[-1]["command"]) == ("command.finished", "init")
    staged.run("smoke", *STAGING)
    told = next(entry for entry in _entries(staged) if entry["event"] == "smoke.finished")
    assert told["notPassed"] == [] or told["passed"] > 10


def test_the_log_costs_a_command_no_import_that_it_feels() -> None:
    code = (
        "import sys, agent_studio.cli.dispatch; before = set(sys.modules); import agent_studio.log;"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(["agent_studio.log", "agent_studio.redaction", "agent_studio.redaction.formats"])
    code = (
        "import sys; from agent_studio.cli.main import main; main(['--version']);"
        "print('agent_studio.log' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"

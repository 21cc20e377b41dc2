from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_studio.environment.roots import Project
from agent_studio.errors import UsageError
from agent_studio.isolation import choice, overlay, variables
from agent_studio.isolation.variables import is_secret, joined_attributes, with_attributes, without_secrets
from agent_studio.release.production import sessions
from agent_studio.storage.descriptors import try_lock
from agent_studio.storage.folder import Folder
from agent_studio.storage.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.conftest import Finished, Studio

RUN = ("run", "--env", "staging")
PRINT_VARIABLES = "import json, os; print(json.dumps(dict(os.environ)))"
CLIENT = """\
#!{python}
import json, os, stat, sys
place = sys.argv[sys.argv.index("--settings") + 1]
with open(place, encoding="utf-8") as file:
    settings = json.load(file)
seen = {{"argv": sys.argv[1:], "settings": settings, "place": place, "mode": stat.S_IMODE(os.stat(place).st_mode),
        "env": dict(os.environ), "cwd": os.getcwd()}}
with open(os.environ["SEEN"], "w", encoding="utf-8") as file:
    json.dump(seen, file)
sys.exit(int(os.environ.get("CODE", "0")))
"""


def python(studio: Studio, code: str, *options: str, variables: Mapping[str, str] | None = None) -> Finished:
    return studio.process(*RUN, *options, "--", sys.executable, "-c", code, variables=variables)


@pytest.fixture(params=["advisory", "bubblewrap", "landlock"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every run of the test is confined by it."""
    name: str = request.param
    found = [one.available() for one in choice.BACKENDS if name == one.NAME]
    if found and not found[0].usable:
        pytest.skip(found[0].reason)
    monkeypatch.setenv("AGENT_STUDIO_ISOLATION__BACKEND", name)
    return name


each_backend = pytest.mark.usefixtures("backend")


@pytest.fixture
def claude(staged: Studio, tmp_path: Path) -> Client:
    folder = tmp_path / "my bin ünï"
    folder.mkdir()
    place = folder / "claude"
    place.write_text(CLIENT.format(python=sys.executable), encoding="utf-8")
    place.chmod(0o755)
    return Client(staged, folder, tmp_path / "seen.json")


class Client:
    """A program called `claude` that says how it was started."""

    def __init__(self, studio: Studio, folder: Path, seen: Path) -> None:
        self.studio, self.folder, self.seen = studio, folder, seen

    def run(self, *words: str, variables: Mapping[str, str] | None = None, code: int = 0) -> dict[str, Any]:
        self.seen.unlink(missing_ok=True)
        given = {"PATH": f"{self.folder}{os.pathsep}{os.environ['PATH']}", "SEEN": str(self.seen), "CODE": str(code)}
        self.done = self.studio.process(*RUN, "--", *(words or ("claude",)), variables={**given, **(variables or {})})
        if not self.seen.exists():
            return {}
        found: dict[str, Any] = json.loads(self.seen.read_text("utf-8"))
        return found

    def overlays(self) -> list[str]:
        return sorted(place.name for place in (self.studio.path / ".agent-studio/staging/run").glob("*"))


# Starting, and the exit code


@each_backend
def test_the_exit_code_is_the_commands(staged: Studio) -> None:
    assert [python(staged, f"raise SystemExit({code})").code for code in (0, 1, 3, 255)] == [0, 1, 3, 255]


@each_backend
def test_a_command_that_cannot_be_started_gives_the_codes_of_a_shell(staged: Studio) -> None:
    staged.write("plain.txt", "text\n")
    staged.write("no interpreter.sh", "echo no first line\n").chmod(0o755)
    staged.write("lost.sh", "#!/no/such/interpreter\n").chmod(0o755)
    for words, code, said in (
        (("no-such-program",), 127, "it is not there"),
        (("./no-such-program",), 127, "it is not there"),
        (("./plain.txt",), 126, "it is not executable"),
        (("./.claude",), 126, "it is not executable"),
        (("./no interpreter.sh",), 126, "#!/bin/sh"),
        (("./lost.sh",), 127, "cannot start './lost.sh'"),
        (("",), 2, "no command to run"),
    ):
        done = staged.process(*RUN, "--", *words)
        assert (done.code, done.out) == (code, ""), words
        assert said in done.err


@each_backend
def test_a_command_ended_by_a_signal_gives_128_and_its_number(staged: Studio) -> None:
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV):
        done = staged.process(*RUN, "--", "sh", "-c", f"ulimit -c 0; kill -{int(number)} $$")
        assert done.code == 128 + number


def test_output_belongs_to_the_command_and_input_reaches_it_byte_for_byte(staged: Studio, backend: str) -> None:
    data = bytes(range(256)) * 1_000
    done = subprocess.run(
        [sys.executable, "-m", "agent_studio", *RUN, "--", "sh", "-c", "cat; echo to stderr >&2"],
        input=data, capture_output=True, cwd=staged.path, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout == data
    assert b"to stderr\n" in done.stderr
    assert f"agent-studio: running sh in staging (isolation: {backend})\n".encode() in done.stderr


@each_backend
def test_arguments_arrive_as_they_were_given(staged: Studio) -> None:
    words = ["", " ", "ünï", "a'b\"c", "$HOME", "--", "--env", "production", "\n", "*"]
    done = staged.process(*RUN, "--", sys.executable, "-c", "import json, sys; print(json.dumps(sys.argv[1:]))", *words)
    assert json.loads(done.out) == words


@each_backend
def test_the_command_runs_where_it_was_asked_for(staged: Studio) -> None:
    below = staged.path / "a folder"
    below.mkdir()
    done = staged.process(*RUN, "--", sys.executable, "-c", "import os; print(os.getcwd())", cwd=below)
    assert done.out == f"{below}\n"


@each_backend
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the system does not list open files")
def test_the_command_gets_no_open_files_and_no_handlers_of_ours(staged: Studio) -> None:
    code = (
        "import os, signal; print(len(os.listdir('/proc/self/fd')) - 1,"
        "[signal.getsignal(n) == signal.SIG_DFL for n in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)])"
    )
    assert python(staged, code).out == "3 [True, True, True]\n"


# Signals


def started(studio: Studio, script: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start a shell script inside staging and return once it says that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "agent_studio", *RUN, "--", "sh", "-c", script],
        cwd=studio.path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True, **options,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


@each_backend
@pytest.mark.parametrize("name", ["TERM", "HUP", "INT", "QUIT", "USR1", "USR2"])
def test_a_signal_to_us_reaches_the_command_which_decides_what_it_means(staged: Studio, name: str) -> None:
    process = started(staged, f"trap 'echo caught; exit 9' {name}; echo ready; while :; do sleep 0.02; done")
    process.send_signal(getattr(signal, f"SIG{name}"))
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (9, b"caught\n")


@each_backend
def test_a_command_that_knows_no_better_is_ended_by_the_signal(staged: Studio) -> None:
    process = started(staged, "echo ready; exec sleep 30")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM


@each_backend
def test_a_command_that_ignores_a_signal_is_waited_for(staged: Studio) -> None:
    process = started(staged, "trap '' TERM; echo ready; sleep 0.5; exit 5")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 5


@each_backend
def test_a_signal_that_was_ignored_before_stays_ignored(staged: Studio) -> None:
    code = "import signal; print(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN)"
    done = subprocess.run(
        ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", sys.executable, "-m", "agent_studio", *RUN, "--", sys.executable,
         "-c", code], cwd=staged.path, capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout == b"True\n"


IN_TERMINAL = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


COUNTS_INTERRUPTS = (
    "import signal, sys, time; seen = []; signal.signal(signal.SIGINT, lambda *_: seen.append(1));"
    "print('ready', flush=True); time.sleep(0.5); print('interrupts:', len(seen)); sys.exit(6)"
)


@each_backend
@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ([sys.executable, "-c", COUNTS_INTERRUPTS], 6, "interrupts: 1"),
        (["sh", "-c", "echo ready; exec sleep 30"], 130, "^C"),
    ],
    ids=["taken", "not taken"],
)
def test_the_interrupt_key_of_a_terminal_reaches_the_command_once(
    staged: Studio, command: list[str], code: int, said: str
) -> None:
    import pty

    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", IN_TERMINAL, "-m", "agent_studio", *RUN, "--", *command],
        cwd=staged.path, stdin=slave, stdout=slave, stderr=slave,
    )  # fmt: skip
    os.close(slave)
    seen = b""
    try:
        while b"ready" not in seen:
            seen += os.read(master, 4096)
        os.write(master, b"\x03")
        process.wait(timeout=30)
        with_rest = b""
        try:
            while chunk := os.read(master, 4096):
                with_rest += chunk
        except OSError:
            pass  # its end
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert process.returncode == code
    assert said in (seen + with_rest).decode()


# Variables


@pytest.mark.parametrize(
    "name",
    ["API_KEY", "apikey", "GITHUB_TOKEN", "MY_SECRET", "DB_PASSWORD", "PGPASSWORD", "MYSQL_PWD",
     "NPM_CONFIG__AUTHTOKEN",
     "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "GOOGLE_APPLICATION_CREDENTIALS", "SSH_AUTH_SOCK", "GPG_AGENT_INFO",
     "PRIVATE_PEM", "SESSION_COOKIE", "SENTRY_DSN", "SLACK_WEBHOOK", "npm_config_//registry.example/:_authToken",
     "ANTHROPIC_API_KEY", "SSH_PASSPHRASE", "DEPLOY-KEY", "CI_JWT"],
)  # fmt: skip
def test_a_name_that_looks_like_a_secret_is_one(name: str) -> None:
    assert is_secret(name, "value")


@pytest.mark.parametrize(
    ("name", "value"),
    [("PATH", "/bin"), ("PWD", "/srv"), ("OLDPWD", "/srv"), ("HOME", "/srv"), ("KEYBOARD", "de"), ("MONKEY", "x"),
     ("TOKENIZERS_PARALLELISM", "false"), ("CLAUDE_CODE_MAX_OUTPUT_TOKENS", "32000"), ("MAX_THINKING_TOKENS", "8000"),
     ("DISABLE_AUTH", "1"), ("AUTHOR", "me"), ("COMPASS", "n"), ("AGENT_STUDIO_SECRETS__STAGING", '["X"]'),
     ("GITHUB_TOKEN", ""), ("LANG", "C"), ("PROXY", "http://proxy.example:8080")],
)  # fmt: skip
def test_other_names_are_none(name: str, value: str) -> None:
    assert not is_secret(name, value)


@pytest.mark.parametrize(
    "value",
    ["ghp_" + "A1b2C3d4" * 5, "x sk-ant-api03-" + "aB3" * 10, "postgres://shop:pw@db.example/shop",
     "https://user:word@proxy.example"],
)  # fmt: skip
def test_a_value_that_is_a_secret_is_withheld_under_any_name(value: str) -> None:
    assert is_secret("HARMLESS", value)


def test_what_another_environment_declares_stays_out_whatever_it_is_called() -> None:
    given = {"PLAIN": "x", "API_KEY": "y", "ANTHROPIC_API_KEY": "z", "OWN_TOKEN": "o"}
    found = without_secrets(given, allowed={"OWN_TOKEN"}, foreign={"PLAIN", "ANTHROPIC_API_KEY"},
                            passed=variables.CLIENT_CREDENTIALS)  # fmt: skip
    assert found.kept == {"OWN_TOKEN": "o"}
    assert found.withheld == ("ANTHROPIC_API_KEY", "API_KEY", "PLAIN")


SECRETS = {"SHOP_TOKEN": "one-value", "DB_PASSWORD": "two-value", "SSH_AUTH_SOCK": "three-value", "PLAIN": "four-value"}


def test_secrets_are_withheld_named_and_never_shown(staged: Studio, tmp_path: Path) -> None:
    report = tmp_path / "run.json"
    done = python(staged, PRINT_VARIABLES, "--report", str(report), variables=SECRETS)
    seen = json.loads(done.out)
    assert seen["PLAIN"] == "four-value"
    assert not {"SHOP_TOKEN", "DB_PASSWORD", "SSH_AUTH_SOCK"} & seen.keys()
    assert "withheld 3 variables that look like secrets: DB_PASSWORD, SHOP_TOKEN, SSH_AUTH_SOCK" in done.err
    assert json.loads(report.read_text())["withheld"] == ["DB_PASSWORD", "SHOP_TOKEN", "SSH_AUTH_SOCK"]
    assert not any(value in done.err + report.read_text() for value in ("one-value", "two-value", "three-value"))


def test_a_secret_passes_when_it_is_kept_or_declared_for_this_environment(staged: Studio) -> None:
    assert "SHOP_TOKEN" in json.loads(python(staged, PRINT_VARIABLES, "--keep", "SHOP_TOKEN", variables=SECRETS).out)
    with (staged.path / ".claude/config.yaml").open("a") as file:
        file.write("secrets:\n  staging: [SHOP_TOKEN]\n  production: [DB_PASSWORD, PLAIN]\n")
    seen = json.loads(python(staged, PRINT_VARIABLES, variables=SECRETS).out)
    assert "SHOP_TOKEN" in seen
    assert not {"DB_PASSWORD", "PLAIN"} & seen.keys()


def test_the_environment_is_named_to_the_command_and_to_its_telemetry(staged: Studio) -> None:
    given = {"OTEL_RESOURCE_ATTRIBUTES": "team=shop,deployment.environment=production,odd"}
    seen = json.loads(python(staged, PRINT_VARIABLES, variables=given).out)
    assert seen["AGENT_STUDIO_ENV"] == "staging"
    assert seen["OTEL_RESOURCE_ATTRIBUTES"] == "team=shop,deployment.environment=staging"
    assert "CLAUDE_CODE_ENABLE_TELEMETRY" not in seen


def test_without_a_daemon_the_command_that_starts_one_is_named(staged: Studio) -> None:
    done = python(staged, "")
    assert (
        "telemetry goes nowhere: no daemon runs for staging\n  start one: agent-studio serve --env staging" in done.err
    )
    assert "telemetry" in python(staged, "", "--no-telemetry").err


@pytest.mark.parametrize(
    ("written", "merged"),
    [
        (None, "deployment.environment=staging"),
        ("", "deployment.environment=staging"),
        ("a=b", "a=b,deployment.environment=staging"),
        (" a = b , c=d%2Ce%3D ", "a=b,c=d%2Ce%3D,deployment.environment=staging"),
        ("deployment.environment.name=x,deployment%2Eenvironment=y", "deployment.environment=staging"),
        ("broken,=x,a=", "a=,deployment.environment=staging"),
    ],
)
def test_resource_attributes_are_merged_as_the_specification_writes_them(written: str | None, merged: str) -> None:
    assert with_attributes(written, "staging") == merged


def test_a_value_that_would_end_a_pair_is_percent_encoded() -> None:
    assert with_attributes("", "a,b=c ü%") == "deployment.environment=a%2Cb%3Dc%20%C3%BC%25"


@given(st.text(), st.text(min_size=1))
def test_the_environment_is_there_once_whatever_was_written(written: str, environment: str) -> None:
    pairs = [part.partition("=") for part in with_attributes(written, environment).split(",")]
    own = [unquote(value) for key, _, value in pairs if unquote(key) == "deployment.environment"]
    assert own == [environment.encode("utf-8", "surrogatepass").decode("utf-8", "replace")]
    assert all(equals for _, equals, _ in pairs)


def test_the_last_place_to_name_an_attribute_wins() -> None:
    assert joined_attributes("a=1,b=2", None, "b=3, odd") == "a=1,b=3"


def test_a_users_own_collector_is_respected() -> None:
    collector = variables.Collector("http://127.0.0.1:4382", "word ü")
    assert variables.own_endpoint({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://mine"}, collector) == (
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"
    )
    assert variables.own_endpoint({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4382/"}, collector) is None
    found = variables.telemetry(
        {"OTEL_LOGS_EXPORTER": "console", "CLAUDE_CODE_ENHANCED_TELEMETRY_BETA": "1"}, collector
    )
    assert (found["OTEL_LOGS_EXPORTER"], found["OTEL_TRACES_EXPORTER"]) == ("console", "otlp")
    assert found["OTEL_EXPORTER_OTLP_HEADERS"] == "Authorization=Bearer%20word%20%C3%BC"
    assert "OTEL_TRACES_EXPORTER" not in variables.telemetry({}, collector)


@pytest.fixture
def daemon(staged: Studio) -> Iterator[str]:
    """The address of a daemon that serves staging."""
    process = subprocess.Popen(
        [sys.executable, "-m", "agent_studio", "serve", "--env", "staging", "--port", "0", "--ingest-interval", "0"],
        cwd=staged.path, stdout=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    try:
        yield line.split(" at ")[1].split()[0]
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_telemetry_goes_to_the_daemon_that_serves_the_environment(staged: Studio, daemon: str) -> None:
    done = python(staged, PRINT_VARIABLES)
    seen = json.loads(done.out)
    assert f"telemetry goes to {daemon}\n" in done.err
    assert {name: value for name, value in seen.items() if name.startswith(("OTEL", "CLAUDE_CODE"))} == {
        "CLAUDE_CODE_ENABLE_TELEMETRY": "1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": daemon,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORT_INTERVAL": "5000",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_METRIC_EXPORT_INTERVAL": "5000",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=staging",
    }
    quiet = python(staged, PRINT_VARIABLES, "--no-telemetry")
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in json.loads(quiet.out)


def test_a_users_own_collector_keeps_the_telemetry(staged: Studio, daemon: str, tmp_path: Path) -> None:
    report = tmp_path / "run.json"
    given = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://mine.example:4318"}
    done = python(staged, PRINT_VARIABLES, "--report", str(report), variables=given)
    seen = json.loads(done.out)
    assert seen["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://mine.example:4318"
    assert "CLAUDE_CODE_ENABLE_TELEMETRY" not in seen
    assert f"telemetry goes where OTEL_EXPORTER_OTLP_ENDPOINT says, not to the daemon at {daemon}" in done.err
    assert json.loads(report.read_text())["telemetry"] is None


def test_the_daemons_token_reaches_the_client_as_a_header_only(staged: Studio, daemon: str) -> None:
    assert daemon
    seen = json.loads(python(staged, PRINT_VARIABLES, variables={"AGENT_STUDIO_SERVE_TOKEN": "given"}).out)
    assert seen["OTEL_EXPORTER_OTLP_HEADERS"] == "Authorization=Bearer%20given"
    assert "AGENT_STUDIO_SERVE_TOKEN" not in seen
    staged.write(".agent-studio/staging/serve.token", "made\n").chmod(0o600)
    made = json.loads(python(staged, PRINT_VARIABLES).out)
    assert made["OTEL_EXPORTER_OTLP_HEADERS"] == "Authorization=Bearer%20made"


def test_a_daemon_that_was_killed_is_not_taken_for_one(staged: Studio) -> None:
    dead = {"pid": 2**22 + 1, "port": 9, "host": "127.0.0.1", "url": "http://127.0.0.1:9", "startedAt": "x"}
    staged.write(".agent-studio/staging/serve.json", json.dumps(dead)).chmod(0o600)
    assert "no daemon runs for staging" in python(staged, "").err


# The client's settings


def test_the_client_gets_an_overlay_for_the_time_of_the_run(claude: Client) -> None:
    bare = claude.studio.run("init", "--env", "staging", "--no-hooks", "--set", "testData.artifactsCount=20")
    assert bare.code == 0, bare.err
    before = claude.studio.snapshot(".claude")
    seen = claude.run("claude", "-p", "a prompt", code=3)
    assert claude.done.code == 3, claude.done.err
    assert seen["argv"] == ["--settings", seen["place"], "-p", "a prompt"]
    assert seen["mode"] == 0o600
    assert Path(seen["place"]).parent == claude.studio.path / ".agent-studio/staging/run"
    assert seen["settings"]["env"] == {
        "AGENT_STUDIO_ENV": "staging", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=staging"
    }  # fmt: skip
    assert claude.overlays() == []
    assert claude.studio.snapshot(".claude") == before


def unwired(claude: Client) -> None:
    for name in ("settings.local.json", "settings.json"):
        (claude.studio.path / ".claude" / name).unlink(missing_ok=True)


def test_recording_is_added_only_where_the_project_has_none(claude: Client) -> None:
    unwired(claude)
    hooks = claude.run()["settings"]["hooks"]
    assert {"PreToolUse", "PostToolUse", "SessionStart", "SessionEnd", "SubagentStop", "Stop"} <= hooks.keys()
    assert ".agent-studio/bin/recorder" in json.dumps(hooks)
    done = claude.studio.run("init", "--env", "staging", "--set", "testData.artifactsCount=20")
    assert done.code == 0, done.err
    assert "hooks" not in claude.run()["settings"]


def test_a_hook_of_the_overlay_records_into_the_environment(claude: Client) -> None:
    unwired(claude)
    hooks = claude.run()["settings"]["hooks"]
    entry = hooks["Stop"][0]["hooks"][0]
    words = [entry["command"], *entry["args"]] if "args" in entry else ["sh", "-c", entry["command"]]
    payload = b'{"hook_event_name":"Stop","session_id":"s1"}'
    subprocess.run(words, input=payload, env={**os.environ, "AGENT_STUDIO_ENV": "staging"}, cwd="/", check=True)
    inbox = (claude.studio.path / ".claude/staging/metrics/events.jsonl").read_bytes()
    assert payload in inbox


@pytest.mark.parametrize("form", ["file", "equals", "json"])
def test_settings_of_the_user_win_except_over_the_environment(claude: Client, form: str) -> None:
    unwired(claude)
    users = {
        "model": "opus",
        "env": {"AGENT_STUDIO_ENV": "production", "MINE": "1",
                "OTEL_RESOURCE_ATTRIBUTES": "team=shop,deployment.environment=production"},
        "hooks": {"Stop": [{"hooks": [{"type": "command", "command": "true"}]}]},
    }  # fmt: skip
    claude.studio.write("mine ü.json", json.dumps(users))
    words = {
        "file": ["--settings", "mine ü.json"], "equals": ["--settings=mine ü.json"],
        "json": ["--settings", json.dumps(users)],
    }[form]  # fmt: skip
    seen = claude.run("claude", "-p", "hi", *words, "--model", "haiku")
    assert seen["argv"] == ["--settings", seen["place"], "-p", "hi", "--model", "haiku"]
    settings = seen["settings"]
    assert settings["model"] == "opus"
    assert settings["env"] == {
        "AGENT_STUDIO_ENV": "staging", "MINE": "1",
        "OTEL_RESOURCE_ATTRIBUTES": "team=shop,deployment.environment=staging",
    }  # fmt: skip
    assert settings["hooks"]["Stop"][0] == users["hooks"]["Stop"][0]  # type: ignore[index]
    assert len(settings["hooks"]["Stop"]) == 2
    assert json.loads((claude.studio.path / "mine ü.json").read_text()) == users


def test_attributes_in_the_projects_settings_are_not_lost(claude: Client) -> None:
    unwired(claude)
    claude.studio.write(".claude/settings.json", '{"env": {"OTEL_RESOURCE_ATTRIBUTES": "team=shop"}}')
    seen = claude.run(variables={"OTEL_RESOURCE_ATTRIBUTES": "host=here"})
    assert seen["settings"]["env"]["OTEL_RESOURCE_ATTRIBUTES"] == "host=here,team=shop,deployment.environment=staging"


def test_settings_that_cannot_be_read_start_nothing(claude: Client) -> None:
    claude.studio.write("list.json", "[]")
    for words, said in (
        (["--settings"], "names nothing"),
        (["--settings", "missing.json"], "No such file"),
        (["--settings", ".claude"], "directory"),
        (["--settings", "{broken"], "not JSON"),
        (["--settings=list.json"], "not a JSON object"),
        (["--settings", "[" * 10_000], "ettings"),
    ):
        assert claude.run("claude", *words) == {}
        assert claude.done.code == 2
        assert said in claude.done.err
    assert claude.overlays() == []


def test_words_after_a_double_dash_are_the_clients_own() -> None:
    parted = overlay.split(["claude", "-p", "--", "--settings", "x"], Path())
    assert (parted.argv, parted.settings) == (["claude", "-p", "--", "--settings", "x"], {})


def test_only_the_client_is_taken_for_the_client(claude: Client) -> None:
    assert [overlay.is_client(name) for name in ("claude", "/opt/x y/claude", "claude-wrapper", "notclaude", "")] == [
        True, True, False, False, False,
    ]  # fmt: skip
    other = claude.folder / "helper"
    other.write_text("#!/bin/sh\necho $#\n")
    other.chmod(0o755)
    assert claude.run("helper", "-p") == {}
    assert claude.done.out == "1\n"


def test_the_client_keeps_its_own_credentials_and_no_others(claude: Client) -> None:
    given = {"ANTHROPIC_API_KEY": "k", "CLAUDE_CODE_OAUTH_TOKEN": "t", "AWS_SECRET_ACCESS_KEY": "a", "AWS_REGION": "r"}
    seen = claude.run(variables=given)["env"]
    assert given.keys() & seen.keys() == {"ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "AWS_REGION"}
    other = json.loads(python(claude.studio, PRINT_VARIABLES, variables=given).out)
    assert given.keys() & other.keys() == {"AWS_REGION"}


def test_the_overlay_of_a_killed_run_is_removed_by_the_next(claude: Client) -> None:
    folder = claude.studio.path / ".agent-studio/staging/run"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    old, young, held = (folder / f"settings-{number}-0123abcd.json" for number in (1, 2, 3))
    for place in (old, young, held):
        place.write_text("{}")
        place.chmod(0o600)
    for place in (old, held):
        os.utime(place, (time.time() - 3_600,) * 2)
    descriptor = os.open(held, os.O_RDWR)
    try:
        assert try_lock(descriptor)
        claude.run()
    finally:
        os.close(descriptor)
    assert claude.overlays() == [young.name, held.name]


@pytest.mark.parametrize("backend", ["landlock", "advisory"])
def test_the_temporary_folder_of_a_killed_run_is_removed_by_the_next_of_any_kind(
    staged: Studio, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setenv("AGENT_STUDIO_ISOLATION__BACKEND", backend)
    folder = staged.path / ".agent-studio/staging/run"
    old, held = (folder / f"scratch-{number}-0123abcd" for number in (1, 2))
    for place in (old, held):
        (place / "files").mkdir(mode=0o700, parents=True)
        (place / "held").write_text("")
        (place / "held").chmod(0o600)
        os.utime(place / "held", (time.time() - 3_600,) * 2)
    descriptor = os.open(held / "held", os.O_RDWR)
    try:
        assert try_lock(descriptor)
        code = "import os, tempfile; print(os.path.isdir(tempfile.mkdtemp()), tempfile.gettempdir())"
        done = python(staged, code)
    finally:
        os.close(descriptor)
    assert [place.name for place in folder.iterdir()] == [held.name]
    if backend == "landlock" and str(staged.path).startswith(
        "/tmp/"
    ):  # where nothing may be created beside what is hidden
        assert done.out.startswith(f"True {folder}/scratch-")


def test_the_overlay_is_removed_when_the_run_is_ended_by_a_signal(claude: Client) -> None:
    slow = claude.folder / "claude"
    slow.write_text("#!/bin/sh\necho ready\nexec sleep 30\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "agent_studio", *RUN, "--", str(slow)],
        cwd=claude.studio.path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    assert [name for name in claude.overlays() if name.startswith("settings-")] == claude.overlays()
    assert len(claude.overlays()) == 1
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert (process.returncode, claude.overlays()) == (143, [])


def test_a_link_in_place_of_the_folder_of_overlays_is_refused(claude: Client, tmp_path: Path) -> None:
    (claude.studio.path / ".agent-studio/staging/run").rmdir()
    (claude.studio.path / ".agent-studio/staging/run").symlink_to(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert claude.run() == {}
    assert claude.done.code == 2
    assert sorted(tmp_path.iterdir()) == before


NAMES = st.sampled_from(["env", "hooks", "Stop", "model", "AGENT_STUDIO_ENV"])
LEAVES = st.none() | st.integers() | st.text(max_size=3)


@given(
    st.dictionaries(
        NAMES,
        st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner), max_leaves=8),
    )
)
def test_merging_never_loses_the_environment_nor_the_recording(users: dict[str, Any]) -> None:
    own = {"env": {"AGENT_STUDIO_ENV": "staging"}, "hooks": {"Stop": [{"hooks": []}]}}
    found = overlay.merged(own, users)
    assert found["env"]["AGENT_STUDIO_ENV"] == "staging"
    assert "Stop" in found["hooks"]
    assert own == {"env": {"AGENT_STUDIO_ENV": "staging"}, "hooks": {"Stop": [{"hooks": []}]}}


# Isolation, report, and what is refused


def test_what_starts_code_later_is_told_when_a_run_has_made_it(staged: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_STUDIO_ISOLATION__BACKEND", "advisory")
    staged.write(".vscode/tasks.json", "{}")
    script = "echo x > .envrc; echo x > ~/.zshrc; echo y > .vscode/tasks.json"
    done = staged.process(*RUN, "--", "sh", "-c", script)
    assert f"{staged.path}/.envrc" in done.err
    assert ".zshrc" in done.err
    assert ".vscode" not in done.err
    assert "made" not in staged.process(*RUN, "--", "true").err


def test_the_report_says_how_it_went(staged: Studio, tmp_path: Path, backend: str) -> None:
    place = tmp_path / "run ü.json"
    done = python(staged, "raise SystemExit(7)", "--report", str(place), variables={"X_TOKEN": "v"})
    report = json.loads(place.read_text("utf-8"))
    assert done.code == report["exitCode"] == 7
    assert report["environment"] == "staging"
    assert report["isolation"] == backend
    assert (bool(report["hidden"]), bool(report["readonly"])) == (backend != "advisory",) * 2
    assert (report["source"], report["separation"], report["copy"]) == ("writable", "kept", None)
    assert (report["refused"], report["withheld"]) == ([], ["X_TOKEN"])
    assert report["started"] is True
    assert 0 < report["durationMs"] < 60_000
    assert report["startedAt"].endswith("Z")
    staged.process(*RUN, "--report", str(place), "--", "no-such-program")
    report = json.loads(place.read_text("utf-8"))
    assert (report["started"], report["exitCode"]) == (False, 127)


def test_a_report_that_cannot_be_written_starts_nothing(staged: Studio, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    for place in (tmp_path / "missing" / "run.json", tmp_path, Path(staged.path / ".claude/agents/code-reviewer.md/x")):
        done = staged.process(*RUN, "--report", str(place), "--", "touch", str(touched))
        assert done.code == 1
        assert "cannot write" in done.err
    assert not touched.exists()


def test_a_device_is_written_to_and_not_replaced(staged: Studio) -> None:
    done = staged.process(*RUN, "--report", "/dev/stdout", "--", "true")
    assert json.loads(done.out)["exitCode"] == 0
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    staged.process(*RUN, "--report", "/dev/null", "--", "true")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_secrets_in_the_command_do_not_reach_the_report(staged: Studio, tmp_path: Path) -> None:
    token = "ghp_" + "A1b2C3d4" * 5
    place = tmp_path / "run.json"
    done = staged.process(*RUN, "--report", str(place), "--", "true", token)
    assert token not in place.read_text() + done.err


def test_required_isolation_starts_nothing_where_there_is_none(staged: Studio, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    for options in (["--require-isolation"], ["--set", "isolation.require=true"]):
        done = staged.process(*RUN, *options, "--isolation", "advisory", "--", "touch", str(touched))
        assert done.code == 7
        assert "advisory" in done.err
    assert not touched.exists()


def test_a_wrong_command_line_is_named(staged: Studio) -> None:
    for words, said in (
        ((), "agent-studio run --env staging -- claude"),
        (("--",), "no command to run"),
        (("--json", "--", "true"), "--report FILE"),
        (("true",), "true"),
    ):
        done = staged.run(*RUN, *words)
        assert done.code == 2
        assert said in done.err + done.out
    assert staged.run("run", "--env", "qa", "--", "true").code == 2


def test_an_environment_that_is_not_there_names_what_creates_it(bare: Studio) -> None:
    for environment in ("staging", "production", "development"):
        done = bare.run("run", "--env", environment, "--", "true")
        assert done.code == 2
        assert f"agent-studio init --env {environment}" in done.err
    staged = bare.run("init", "--env", "staging", "--set", "testData.artifactsCount=20")
    assert staged.code == 0, staged.err
    shutil.rmtree(bare.path / ".claude/staging/metrics")
    assert "agent-studio init --env staging" in bare.run(*RUN, "--", "true").err


def test_a_run_inside_a_run_cannot_change_the_environment(staged: Studio) -> None:
    inner = [sys.executable, "-m", "agent_studio", "run", "--env", "production", "--", "true"]
    done = staged.process(*RUN, "--", *inner)
    assert done.code == 2
    assert "--env says production but AGENT_STUDIO_ENV says staging" in done.err
    same = staged.process(*RUN, "--", *inner[:5], "staging", "--", sys.executable, "-c", PRINT_VARIABLES)
    assert json.loads(same.out)["OTEL_RESOURCE_ATTRIBUTES"] == "deployment.environment=staging"


def test_split_reads_a_file_relative_to_the_folder(tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text('\ufeff{"model": "opus"}', encoding="utf-8")
    assert overlay.split(["claude", "--settings", "own.json"], tmp_path).settings == {"model": "opus"}
    with pytest.raises(UsageError):
        overlay.split(["claude", "--settings", "own.json"], tmp_path.parent)


def test_the_overlay_is_private_and_gone_afterwards(tmp_path: Path) -> None:
    project = Project(tmp_path)
    state = Folder(project.path, ".agent-studio/staging")
    with overlay.placed(state, {"env": {"A": "ü\ud800"}}) as place:
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        assert json.loads(place.read_text("utf-8")) == {"env": {"A": "ü?"}}
    assert not place.exists()


def test_a_session_waits_for_the_door_while_another_one_starts(staged: Studio) -> None:
    project = Project(staged.path.resolve())
    folder = Folder(project.path, sessions.FOLDER)
    folder.make()
    with ExitStack() as stack:
        stack.enter_context(exclusive(folder, sessions.DOOR, doing="a test"))
        timer = threading.Timer(0.5, stack.pop_all().close)
        timer.start()
        with sessions.session(project, "true", "staging"):
            assert len(sessions.running(project)) == 1
        timer.join()


def test_sessions_that_start_together_all_run(staged: Studio) -> None:
    command = [sys.executable, "-m", "agent_studio", *RUN, "--isolation", "advisory", "--", "true"]
    started = [
        subprocess.Popen(command, cwd=staged.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(8)
    ]
    ended = [(one.communicate(timeout=120)[1], one.returncode) for one in started]
    assert [code for _, code in ended] == [0] * 8, ended

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_studio import statusline
from agent_studio.clock import timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conftest import Studio

PROGRAM = Path(statusline.__file__)
FIELDS = (
    "cost", "total_cost_usd", "model", "display_name", "workspace", "project_dir", "context_window", "used_percentage",
)  # fmt: skip
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def client(**changes: Any) -> dict[str, Any]:
    """What the client writes in the middle of a session, in short."""
    return {
        "session_id": "d2886157-9c12-4c20-a553-ad4267f61e53",
        "model": {"id": "claude-opus-5-5", "display_name": "Opus 5.5"},
        "workspace": {"current_dir": "/srv/project", "project_dir": "/srv/project"},
        "cost": {"total_cost_usd": 0.11569199999999999},
        "context_window": {"used_percentage": 1, "remaining_percentage": 99},
        **changes,
    }


def shown(found: object, variables: Mapping[str, str] | None = None, *, now: datetime = NOW) -> str:
    return statusline.line(json.dumps(found).encode(), dict(variables or {}), now.timestamp())


def program(data: bytes, **variables: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-I", "-S", str(PROGRAM)],
        input=data, env=variables, capture_output=True, timeout=60, check=False,
    )  # fmt: skip


def project(folder: Path, **changes: Any) -> dict[str, Any]:
    """The client's object for a project whose staging has a state of `changes`."""
    status = {"budgetLeftUsd": "12.30", "openAlerts": 2, "updatedAt": timestamp(NOW), **changes}
    place = folder / ".agent-studio" / "staging" / "status.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(status))
    return client(workspace={"project_dir": str(folder)})


def test_a_session_is_shown_in_one_line() -> None:
    done = program(json.dumps(client()).encode(), AGENT_STUDIO_ENV="staging")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"staging | $0.12 | Opus 5.5 | ctx 1%\n", b"")


def test_before_the_first_call_there_is_no_share_of_the_context() -> None:
    first = client(cost={"total_cost_usd": 0}, context_window={"used_percentage": None, "current_usage": None})
    assert shown(first) == "development | $0.00 | Opus 5.5"


@pytest.mark.parametrize(
    ("variable", "name"),
    [(None, "development"), ("staging", "staging"), (" Staging ", "staging"), ("qa", "?qa"), ("", "?"),
     ("s\x1b[2J\u202etaging", "?s[2Jtaging")],
)  # fmt: skip
def test_the_environment_stands_first_and_an_unknown_one_is_marked(variable: str | None, name: str) -> None:
    variables = {} if variable is None else {"AGENT_STUDIO_ENV": variable}
    assert shown({}, variables) == name


def test_production_is_red_unless_colours_are_unwanted() -> None:
    production = {"AGENT_STUDIO_ENV": "production"}
    assert shown({}, production) == "\x1b[31mproduction\x1b[0m"
    assert shown({}, {**production, "NO_COLOR": "1"}) == "production"
    assert shown({}, {**production, "TERM": "dumb"}) == "production"


def test_budget_and_alerts_are_shown_where_other_parts_have_written_them(tmp_path: Path) -> None:
    found = project(tmp_path / "my ünï project")
    assert shown(found, {"AGENT_STUDIO_ENV": "staging"}).endswith("ctx 1% | budget $12.30 left | 2 alerts")
    assert "budget" not in shown(found, {"AGENT_STUDIO_ENV": "production"})


@pytest.mark.parametrize(
    ("changes", "ending"),
    [
        ({"budgetLeftUsd": None, "openAlerts": 1}, "ctx 1% | 1 alert"),
        ({"openAlerts": 0}, "ctx 1% | budget $12.30 left"),
        ({"budgetLeftUsd": "-3.10", "openAlerts": 0}, "ctx 1% | budget over by $3.10"),
        ({"budgetLeftUsd": "0.4", "openAlerts": 0}, "ctx 1% | budget $0.40 left"),
        ({"budgetLeftUsd": "--5", "openAlerts": 0}, "ctx 1%"),
        ({"budgetLeftUsd": "\x1b[2J", "openAlerts": True}, "ctx 1%"),
        ({"budgetLeftUsd": 5, "openAlerts": "2"}, "ctx 1%"),
        ({"updatedAt": timestamp(NOW - timedelta(minutes=16))}, "ctx 1%"),
        ({"updatedAt": timestamp(NOW - timedelta(minutes=14))}, "ctx 1% | budget $12.30 left | 2 alerts"),
        ({"updatedAt": timestamp(NOW + timedelta(days=1))}, "ctx 1%"),
        ({"updatedAt": None}, "ctx 1%"),
        ({"updatedAt": "soon"}, "ctx 1%"),
    ],
)
def test_what_is_missing_stale_or_of_another_form_is_left_out(
    tmp_path: Path, changes: dict[str, Any], ending: str
) -> None:
    assert shown(project(tmp_path, **changes), {"AGENT_STUDIO_ENV": "staging"}).endswith(ending)


def test_the_project_of_the_variable_is_taken_where_the_client_names_none(tmp_path: Path) -> None:
    project(tmp_path)
    variables = {"AGENT_STUDIO_ENV": "staging", "CLAUDE_PROJECT_DIR": str(tmp_path)}
    assert shown({}, variables) == "staging | budget $12.30 left | 2 alerts"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_link_or_a_pipe_in_place_of_the_state_is_not_read(tmp_path: Path) -> None:
    found = project(tmp_path / "real")
    place = tmp_path / "real" / ".agent-studio" / "staging" / "status.json"
    place.rename(place.with_name("moved.json"))
    place.symlink_to("moved.json")
    assert shown(found, {"AGENT_STUDIO_ENV": "staging"}).endswith("ctx 1%")
    place.unlink()
    os.mkfifo(place)
    descriptor = os.open(place, os.O_RDWR)
    os.write(descriptor, place.with_name("moved.json").read_bytes())
    assert shown(found, {"AGENT_STUDIO_ENV": "staging"}).endswith("ctx 1%")
    os.close(descriptor)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"null", b"[]", b'{"cost":', b"\xff\xfe", b"\x00" * 100, b"[" * 200_000, b'{"a":1} trailing',
        b'{"cost":{"total_cost_usd":NaN},"model":{"display_name":7}}', b'{"cost":{"total_cost_usd":-1}}',
        b'{"cost":{"total_cost_usd":1e400},"context_window":{"used_percentage":true}}', b'{"cost":5,"model":[]}',
        b'{"workspace":{"project_dir":"\\u0000"}}', b'{"model":{"display_name":"' + b"x" * (3 << 20) + b'"}}',
        b'{"workspace":{"project_dir":"\\ud800"},"model":{"display_name":"\\ud800"}}',
    ],
)  # fmt: skip
def test_whatever_stands_on_stdin_the_environment_is_shown_and_nothing_fails(data: bytes) -> None:
    done = program(data, AGENT_STUDIO_ENV="staging")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"staging\n", b"")


def test_without_stdin_and_without_stdout_it_still_ends_with_zero() -> None:
    closed = subprocess.run(
        ["sh", "-c", f"exec {shlex.quote(sys.executable)} -I -S {shlex.quote(str(PROGRAM))} <&- >&-"],
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert (closed.returncode, closed.stderr) == (0, b"")


def test_names_cannot_act_on_the_terminal() -> None:
    name = "Opus\x1b]0;title\x07\r\n\x9b2J\u202e\u200b5.5" + "x" * 100
    line = shown(client(model={"display_name": name}))
    assert line.isprintable()
    assert "Opus]0;title2J5.5xxx" in line
    assert len(line) < 80


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner)
        | st.dictionaries(st.sampled_from(FIELDS), inner),
    ),
    st.text(),
)  # fmt: skip
def test_any_object_gives_one_printable_line(found: Any, environment: str) -> None:
    line = shown(found, {"AGENT_STUDIO_ENV": environment, "NO_COLOR": "1"})
    assert line
    assert line.isprintable()


@given(st.binary())
def test_any_bytes_give_a_line(data: bytes) -> None:
    assert statusline.line(data, {}, NOW.timestamp()).startswith("development")


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="the core of the parser is CPython's")
def test_the_program_imports_next_to_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-X", "importtime", str(PROGRAM)],
        input=json.dumps(client()).encode(), capture_output=True, check=True,
    )  # fmt: skip
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines()}
    assert "_json" in imported
    assert not imported & {"re", "json", "os", "typing", "datetime", "enum", "functools", "contextlib", "__future__"}


def test_the_command_line_for_the_settings_prints_the_same_line(bare: Studio) -> None:
    command = bare.run("statusline", "--command").out.strip()
    data = bare.json("statusline", "--command")
    assert data["settings"]["statusLine"] == {"type": "command", "command": command}
    words = shlex.split(command)
    assert words[0] == os.path.realpath(words[0])
    by_program = subprocess.run(
        command, shell=True, input=json.dumps(client()).encode(), capture_output=True, cwd="/", check=True
    )
    by_verb = subprocess.run(
        [sys.executable, "-m", "agent_studio", "statusline"],
        input=json.dumps(client()).encode(), capture_output=True, cwd=bare.path, check=True,
    )  # fmt: skip
    assert by_program.stdout == by_verb.stdout == b"development | $0.12 | Opus 5.5 | ctx 1%\n"


def test_the_verb_takes_an_environment_and_needs_no_project(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent_studio", "statusline", "--env", "staging", "--json"],
        input=json.dumps(client()), capture_output=True, text=True, cwd=tmp_path, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["data"] == {"line": "staging | $0.12 | Opus 5.5 | ctx 1%"}

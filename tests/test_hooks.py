"""`hooks`: our entries in the client's settings, the project's hooks under the clock, the proof that it works."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Studio
from tests.release_world import git

from agent_studio.capture.recorder import build
from agent_studio.capture.recorder.build import Installed
from agent_studio.capture.wiring import entries, events, json_text, settings, wrap
from agent_studio.cli.output import Screen

LOCAL = ".claude/settings.local.json"
SHARED = ".claude/settings.json"
FOREIGN = """{
    "permissions": {"allow": ["Bash(ls:*)"],   "deny": []},
    "hooks": {
        "PreToolUse": [
            {
                "matcher": "Bash",
                "hooks": [ { "type": "command", "command": "node .claude/hooks/guard.cjs", "timeout": 5 } ]
            }
        ],
        "Stop": []
    },
    "env": { "A": "ü" }
}"""


def hooks_of(studio: Studio, name: str = LOCAL) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((studio.path / name).read_bytes())["hooks"]
    return found


def as_client(studio: Studio, hook: dict[str, Any], payload: bytes, cwd: Path | None = None) -> Any:
    """Run a hook as the client does: in a shell, or without one where it has arguments."""
    words = [hook["command"], *hook.get("args", [])]
    return subprocess.run(
        words if "args" in hook else words[0], shell="args" not in hook, input=payload, capture_output=True,
        env={**os.environ, "AGENT_STUDIO_ENV": "staging", "CLAUDE_PROJECT_DIR": str(studio.path)},
        cwd=cwd or studio.path, check=False, timeout=20,
    )  # fmt: skip


def inbox(studio: Studio) -> list[dict[str, Any]]:
    place = studio.path / ".claude/staging/metrics/events.jsonl"
    return [json.loads(line) for line in place.read_bytes().splitlines() if line] if place.exists() else []


def test_install_records_the_nine_oldest_events_and_a_second_time_changes_nothing(staged: Studio) -> None:
    done = staged.run("hooks", "install")
    assert done.code == 0, done.err
    assert sorted(hooks_of(staged)) == sorted(events.NINE)
    before = staged.snapshot(".claude")
    assert "Nothing to change" in staged.run("hooks", "install").out
    assert staged.snapshot(".claude") == before


@pytest.mark.parametrize("version", ["1.0.128", "2.0.76", "2.1.330"])
def test_what_is_installed_records_from_any_folder(staged: Studio, tmp_path: Path, version: str) -> None:
    assert staged.run("hooks", "install", "--client-version", version).code == 0
    (hook,) = hooks_of(staged)["PostToolUse"][0]["hooks"]
    assert ("args" in hook) == (version == "2.1.330")
    done = as_client(staged, hook, b'{"hook_event_name": "PostToolUse"}', tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert [line["payload"]["hook_event_name"] for line in inbox(staged)] == ["PostToolUse"]


def test_what_was_there_stays_as_it_was_written(staged: Studio) -> None:
    staged.write(LOCAL, FOREIGN)
    diff = staged.json("hooks", "install")["changes"][0]["diff"]
    assert not [line for line in diff.splitlines() if line.startswith("-") and not line.startswith("---")][2:]
    text = (staged.path / LOCAL).read_text()
    for line in FOREIGN.splitlines()[:7]:
        assert line in text
    assert hooks_of(staged)["PreToolUse"][0] == json.loads(FOREIGN)["hooks"]["PreToolUse"][0]
    assert len(hooks_of(staged)["Stop"]) == 1


@pytest.mark.parametrize("before", [None, FOREIGN, "{}", '{"hooks":{}}\n', '\ufeff{\r\n\t"model": "x"\r\n}\r\n'])
@pytest.mark.parametrize("target", ["--shared", "--no-wrap"])
def test_uninstall_restores_the_file_byte_for_byte(staged: Studio, before: str | None, target: str) -> None:
    name = SHARED if target == "--shared" else LOCAL
    (staged.path / LOCAL).unlink(missing_ok=True)
    if before is not None:
        staged.write(name, before)
    was = staged.snapshot(".claude")
    assert staged.run("hooks", "install", target).code == 0
    assert staged.run("hooks", "wrap", "--yes").code == 0
    assert staged.snapshot(".claude") != was
    assert staged.run("hooks", "uninstall", "--yes").code == 0
    assert staged.snapshot(".claude") == was


def test_an_edit_made_since_survives_uninstall(staged: Studio) -> None:
    staged.write(LOCAL, FOREIGN)
    staged.run("hooks", "install", "--wrap")
    place = staged.path / LOCAL
    place.write_text(place.read_text().replace('"A": "ü"', '"A": "ü", "B": "1"'))
    assert staged.run("hooks", "uninstall", "--yes").code == 0
    assert json.loads(place.read_text()) == {
        **json.loads(FOREIGN),
        "env": {"A": "ü", "B": "1"},
        "hooks": {"PreToolUse": json.loads(FOREIGN)["hooks"]["PreToolUse"]},
    }
    assert '[ { "type": "command", "command": "node .claude/hooks/guard.cjs", "timeout": 5 } ]' in place.read_text()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{\n  // note\n  "a": 1}', ":2:3 is not JSON"),
        ('{"a": 1,}', "is not JSON"),
        ("[]", "must hold an object"),
        ('{"hooks": []}', "hooks must be an object"),
        ('{"hooks": {"Stop": {}}}', "hooks.Stop must be a list"),
        ('{"hooks": {"Stop": [{"hooks": "x"}]}}', "hooks.Stop[0] must be"),
        ('{"env": {}, "env": {}}', "'env' stands twice"),
        ("", "is not JSON"),
        (b"\xff{}", "cannot be used"),
    ],
)
def test_settings_that_cannot_be_used_are_named_and_nothing_changes(
    staged: Studio, text: str | bytes, says: str
) -> None:
    staged.write(LOCAL, text)
    before = staged.snapshot()
    for command in (("install",), ("wrap", "--yes"), ("uninstall", "--yes")):
        done = staged.run("hooks", *command)
        assert done.code == 2
        assert says in done.err
    assert staged.snapshot() == before
    assert says in staged.run("hooks", "status").out


def test_a_linked_settings_file_is_refused(staged: Studio, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.json").write_text("{}")
    (staged.path / LOCAL).unlink(missing_ok=True)
    (staged.path / LOCAL).symlink_to(tmp_path / "elsewhere.json")
    assert staged.run("hooks", "install").code == 2
    assert (tmp_path / "elsewhere.json").read_text() == "{}"


@pytest.mark.parametrize(("version", "kind"), [("2.0.76", "failure"), ("1.0.128", "all"), ("2.1.100", "all")])
def test_events_that_a_version_would_drop_the_file_for_are_refused(staged: Studio, version: str, kind: str) -> None:
    before = staged.snapshot(".claude")
    done = staged.run("hooks", "install", "--events", kind, "--client-version", version)
    assert done.code == 2
    assert "could drop the whole file" in done.err
    assert staged.snapshot(".claude") == before


def test_no_choice_of_events_ever_holds_the_ones_that_break_things() -> None:
    for names in events.SETS.values():
        assert not set(names) & set(events.NEVER)
        assert len(set(names)) == len(names)


def test_http_entries_name_the_environment_and_the_events_that_refuse_http_stay_commands(staged: Studio) -> None:
    done = staged.run(
        "hooks", "install", "--transport", "http", "--client-version", "2.1.330", "--env", "staging", "--no-wrap"
    )
    assert done.code == 0
    assert "lost" in done.err
    found = {event: groups[0]["hooks"][0] for event, groups in hooks_of(staged).items()}
    assert found["SessionStart"]["type"] == "command"
    assert found["Stop"]["url"] == "http://127.0.0.1:4382/hooks"
    assert found["Stop"]["headers"] == {"X-Agent-Studio-Env": "$AGENT_STUDIO_ENV"}
    assert staged.run("hooks", "install", "--transport", "http", "--client-version", "2.0.76").code == 2


def test_the_shared_form_does_nothing_in_a_clone_without_a_recorder(staged: Studio, tmp_path: Path) -> None:
    staged.run("hooks", "install", "--shared")
    text = (staged.path / SHARED).read_text()
    assert str(staged.path) not in text
    (hook,) = hooks_of(staged, SHARED)["Stop"][0]["hooks"]
    assert as_client(staged, hook, b'{"hook_event_name": "Stop"}').returncode == 0
    assert len(inbox(staged)) == 1
    variables = {**os.environ, "CLAUDE_PROJECT_DIR": str(tmp_path)}
    done = subprocess.run(hook["command"], shell=True, input=b"{}", capture_output=True, env=variables, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_guards_in_the_shared_form_are_asked_here_and_stop_nobody_elsewhere(staged: Studio, tmp_path: Path) -> None:
    assert guarded(staged).run("hooks", "install", "--shared", *ASKING).code == 0
    assert str(staged.path) not in (staged.path / SHARED).read_text()
    hook = hooks_of(staged, SHARED)["PreToolUse"][0]["hooks"][1]
    forbidden = {"file_path": str(staged.path / ".agent-studio/staging/x.json"), "content": ""}
    call = {"hook_event_name": "PreToolUse", "cwd": str(staged.path), "tool_name": "Write", "tool_input": forbidden}
    assert as_client(staged, hook, json.dumps(call).encode()).returncode == 2
    clone = Studio(tmp_path)
    assert as_client(clone, hook, json.dumps(call).encode()).returncode == 0


def test_the_shared_form_cannot_ask_by_a_command_of_this_machine(
    staged: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "COMPILERS", ("no-such-compiler",))
    (staged.path / ".agent-studio/bin/decide").unlink()
    before = staged.snapshot(".claude")
    done = guarded(staged).run("hooks", "install", "--shared", *ASKING)
    assert done.code == 2
    assert "install a C compiler" in done.err
    assert staged.snapshot(".claude") == {**before, ".claude/config.staging.yaml": GUARDED.encode()}


GUARD = "cat; echo out; echo 'it''s \"no\"' >&2; exit $CODE"


@pytest.mark.parametrize("code", [0, 1, 2, 7])
@pytest.mark.parametrize("name", [LOCAL, SHARED])
@pytest.mark.parametrize("missing", [False, True])
def test_a_wrapped_hook_is_the_same_to_the_client(staged: Studio, code: int, name: str, *, missing: bool) -> None:
    (staged.path / LOCAL).unlink(missing_ok=True)
    plain = {"type": "command", "command": f"CODE={code}; {GUARD}"}
    staged.write(name, json.dumps({"hooks": {"PreToolUse": [{"matcher": "*", "hooks": [plain]}]}}))
    assert staged.run("hooks", "wrap", "--yes").code == 0
    (hook,) = hooks_of(staged, name)["PreToolUse"][0]["hooks"]
    assert hook["command"] != plain["command"]
    if missing:
        (staged.path / ".agent-studio/bin/recorder").unlink(missing_ok=True)
        (staged.path / ".agent-studio/bin/recorder.py").unlink(missing_ok=True)
    payload = bytes(range(256)) * 40
    was, now = as_client(staged, plain, payload), as_client(staged, hook, payload)
    assert (now.returncode, now.stdout, now.stderr) == (was.returncode, was.stdout, was.stderr)
    assert was.returncode == code
    assert [line["payload"]["exit"] for line in inbox(staged)] == ([] if missing else [code])


def test_a_hook_without_a_shell_is_wrapped_with_its_words_whole(staged: Studio) -> None:
    plain = {"type": "command", "command": "/bin/echo", "args": ["a b", "", "$HOME", "'\""]}
    before = json.dumps({"hooks": {"Stop": [{"hooks": [plain]}]}})
    staged.write(SHARED, before)
    staged.run("hooks", "wrap", "--yes")
    (hook,) = hooks_of(staged, SHARED)["Stop"][0]["hooks"]
    assert as_client(staged, hook, b"").stdout == as_client(staged, plain, b"").stdout == b"a b  $HOME '\"\n"
    assert inbox(staged)[0]["payload"]["hook"] == "Stop:echo"
    staged.run("hooks", "unwrap", "--yes")
    assert (staged.path / SHARED).read_text() == before


def test_hooks_that_cannot_be_wrapped_are_named_and_left_alone(staged: Studio) -> None:
    found = [{"type": "prompt", "prompt": "ok?"}, {"type": "command", "command": "x", "shell": "powershell"}]
    before = json.dumps({"hooks": {"Stop": [{"hooks": found}]}})
    staged.write(SHARED, before)
    done = staged.run("hooks", "wrap", "--yes")
    assert done.code == 0
    assert "of type prompt" in done.err
    assert "powershell" in done.err
    assert (staged.path / SHARED).read_text() == before
    assert "did you mean" in staged.run("hooks", "wrap", "Stop:prompr", "--yes").err


def test_labels_are_what_people_call_a_hook() -> None:
    commands = {
        'node "$CLAUDE_PROJECT_DIR/.claude/hooks/x/routing-guard.cjs"': "routing-guard.cjs",
        "python3 -I hooks/log.py --all": "log.py",
        "npx prettier --check .": "prettier",
        "FOO=1 make lint": "make",
        "'unclosed": "unclosed",
    }
    groups = [{"hooks": [{"type": "command", "command": command} for command in (*commands, *commands)]}]
    found = wrap.hooks([settings.Settings(name, "", {"hooks": {"Stop": groups}}) for name in settings.FILES])
    assert [hook.label for hook in found] == [*commands.values()] * 4


def test_one_command_has_one_text_and_two_of_one_name_are_told_apart(staged: Studio) -> None:
    one, other = ({"type": "command", "command": f"node guard.cjs{more}"} for more in ("", " --all"))
    staged.write(SHARED, json.dumps({"hooks": {"Stop": [{"hooks": [one, other]}, {"hooks": [one]}]}}))
    staged.write(LOCAL, json.dumps({"hooks": {"Stop": [{"hooks": [other]}]}}))
    staged.run("hooks", "wrap", "--yes")
    first, second, again = (hook["command"] for group in hooks_of(staged, SHARED)["Stop"] for hook in group["hooks"])
    assert first == again  # the client runs what is spelled alike only once
    assert first != second
    assert hooks_of(staged)["Stop"][0]["hooks"][0]["command"] == second
    names = {hook["name"] for hook in staged.json("hooks", "status")["hooks"]}
    assert len(names) == 2
    assert "Stop:guard.cjs" in names


def test_changing_verbs_ask_and_dry_runs_change_nothing(staged: Studio) -> None:
    staged.write(SHARED, FOREIGN)
    before = staged.snapshot()
    for command in (("install", "--wrap"), ("wrap",), ("uninstall",), ("install", "--plugin", "p")):
        assert staged.run("hooks", *command, "--dry-run").code == 0
    assert staged.snapshot() == before
    staged.run("hooks", "install")
    assert staged.run("hooks", "uninstall").code == 2
    assert staged.run("hooks", "wrap").code == 2
    assert hooks_of(staged)


def test_status_tries_what_is_installed_and_leaves_no_trace(staged: Studio) -> None:
    staged.run("hooks", "uninstall", "--yes")
    assert staged.run("hooks", "status").code == 1
    staged.write(SHARED, FOREIGN)
    staged.run("hooks", "install", "--wrap")
    before = staged.snapshot()
    done = staged.run("hooks", "status")
    assert done.code == 0, done.out
    for said in ("the payload is in the inbox", "exit code 2 and the reason came through", "read from the transcript"):
        assert said in done.out
    assert "PreToolUse:guard.cjs" in done.out
    assert staged.snapshot() == before


GUARDED = "isolation: {guard: true}\nknowledge: {suggest: true}\n"
ASKING = ("--env", "staging", "--no-wrap", "--client-version", "2.1.330")


def guarded(studio: Studio) -> Studio:
    """The same project, wanting a say at two events."""
    studio.write(".claude/config.staging.yaml", GUARDED)
    return studio


def test_status_is_content_where_guards_are_asked(staged: Studio) -> None:
    guarded(staged).run("hooks", "install", *ASKING)
    found = {event: len(groups[0]["hooks"]) for event, groups in hooks_of(staged).items()}
    assert (found["PreToolUse"], found["UserPromptSubmit"], found["Stop"]) == (2, 2, 1)
    done = staged.run("hooks", "status", "--env", "staging")
    assert done.code == 0, done.out


def test_a_dry_run_shows_what_would_be_written(bare: Studio) -> None:
    guarded(bare)
    would = bare.json("hooks", "install", *ASKING, "--dry-run")["changes"]
    assert bare.json("hooks", "install", *ASKING)["changes"] == would


def test_status_fits_a_terminal_of_80_columns(staged: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    staged.write(SHARED, FOREIGN)
    staged.run("hooks", "install", "--no-wrap")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(Screen, "is_terminal", True)
    lines = staged.run("hooks", "status").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "Time them too: agent-studio hooks wrap" in lines
    assert any(line.startswith("PreToolUse:guard.cjs ") for line in lines), "no word of a hook's name is broken"


@pytest.mark.parametrize("name", ['it\'s "mine" $HOME', "plain", "ünï b"])
@pytest.mark.parametrize("version", ["2.0.76", "2.1.330"])
def test_status_tries_a_copy_wherever_the_project_lies(tmp_path: Path, name: str, version: str) -> None:
    studio = Studio(tmp_path / name)
    (studio.path / ".claude").mkdir(parents=True)
    studio.run("init", "--env", "staging", "--set", "testData.artifactsCount=0")
    studio.run("hooks", "install", "--client-version", version)
    done = studio.run("hooks", "status")
    assert done.code == 0, done.out
    assert inbox(studio) == []
    (hook,) = hooks_of(studio)["Stop"][0]["hooks"]
    assert as_client(studio, hook, b"{}", tmp_path).returncode == 0
    assert len(inbox(studio)) == 1


def test_status_finds_a_recorder_that_does_not_record(staged: Studio) -> None:
    staged.run("hooks", "install", "--client-version", "2.0.76")
    place = staged.path / LOCAL
    place.write_text(place.read_text().replace("/bin/recorder", "/bin/recorder-gone"))
    done = staged.run("hooks", "status")
    assert done.code == 1
    assert "exit code 127" in done.out
    place.write_text('{"disableAllHooks": true}')
    assert "no hook runs at all" in staged.run("hooks", "status").out


def test_the_plugin_folder_records_and_a_strangers_folder_is_refused(staged: Studio, tmp_path: Path) -> None:
    folder = tmp_path / "plug in"
    assert staged.run("hooks", "install", "--plugin", str(folder)).code == 0
    assert json.loads((folder / ".claude-plugin/plugin.json").read_text())["name"] == "agent-studio"
    found = json.loads((folder / "hooks/hooks.json").read_text())["hooks"]
    staged.run("hooks", "uninstall", "--yes")
    assert as_client(staged, found["Stop"][0]["hooks"][0], b'{"x": 1}').returncode == 0
    assert inbox(staged)[0]["payload"] == {"x": 1}
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").write_text("x")
    for place in ("other", "other/file"):
        assert staged.run("hooks", "install", "--plugin", str(tmp_path / place)).code == 2
    assert staged.run("hooks", "install", "--plugin", str(folder), "--shared").code == 2


def test_a_settings_file_that_chooses_the_environment_is_named(staged: Studio) -> None:
    staged.write(SHARED, '{"env": {"AGENT_STUDIO_ENV": "production"}}')
    said = "sets AGENT_STUDIO_ENV=production, which wins over the shell's"
    assert said in staged.run("hooks", "install").err
    assert said in staged.run("hooks", "status").out
    assert said in staged.run("doctor", "--env", "staging").out


def test_wiring_a_project_without_data_folders_says_where_its_events_go(bare: Studio) -> None:
    done = bare.run("hooks", "install")
    assert "development has no data folders" in done.err
    assert bare.run("hooks", "status").code == 1


def test_status_fails_when_nobody_takes_what_is_posted(staged: Studio) -> None:
    staged.run("hooks", "install", "--transport", "http", "--client-version", "2.1.330", "--env", "staging")
    done = staged.run("hooks", "status")
    assert done.code == 1
    assert "what happens now is lost" in done.out


def test_a_copy_of_a_project_is_led_away_from_the_original(staged: Studio, tmp_path: Path) -> None:
    staged.run("hooks", "install", "--client-version", "2.0.76")
    copy = type(staged)(tmp_path / "copy")
    shutil.copytree(staged.path, copy.path)
    assert "into another checkout" in copy.run("hooks", "status").out
    assert "hooks-elsewhere" in copy.run("doctor", "--env", "staging").out
    done = copy.run("init", "--env", "staging", "--set", "testData.artifactsCount=20")
    assert done.code == 0, done.err
    (hook,) = hooks_of(copy)["Stop"][0]["hooks"]
    assert as_client(copy, hook, b'{"x": 1}').returncode == 0
    assert (len(inbox(copy)), len(inbox(staged))) == (1, 0)
    assert copy.run("hooks", "status").code == 0


def test_settings_of_this_machine_that_git_tracks_are_told_until_it_no_longer_does(bare: Studio) -> None:
    bare.write(LOCAL, "{}")
    git(bare.path, "init", "-q")
    git(bare.path, "add", ".")
    git(bare.path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first")
    few = ("--env", "staging", "--set", "testData.artifactsCount=20")
    done = bare.run("init", *few)
    assert (done.code, done.err.count("git tracks .claude/settings.local.json")) == (0, 1)
    assert "hooks-committed" in bare.run("doctor", *few).out
    git(bare.path, "rm", "-q", "--cached", LOCAL)
    assert "hooks-committed" not in bare.run("doctor", *few).out
    git(bare.path, "add", "-f", LOCAL)
    bare.run("hooks", "install", "--shared")
    assert "hooks-committed" not in bare.run("doctor", *few).out


def test_the_recorder_of_a_copy_that_writes_into_the_original_is_told(staged: Studio, tmp_path: Path) -> None:
    staged.run("hooks", "install", "--shared", "--env", "staging")
    copy = type(staged)(tmp_path / "copy")
    shutil.copytree(staged.path, copy.path)
    (hook,) = hooks_of(copy, SHARED)["Stop"][0]["hooks"]
    as_client(copy, hook, b'{"x": 1}')
    assert (len(inbox(copy)), len(inbox(staged))) == (0, 1)
    assert f"into another checkout: {staged.path}" in copy.run("hooks", "status").out
    assert "hooks-elsewhere" in copy.run("doctor", "--env", "staging").out
    assert copy.run("hooks", "install", "--shared", "--env", "staging").code == 0
    as_client(copy, hook, b'{"x": 1}')
    assert (len(inbox(copy)), len(inbox(staged))) == (1, 1)
    assert copy.run("hooks", "status").code == 0


def test_guards_of_a_copy_are_its_own(staged: Studio, tmp_path: Path) -> None:
    guarded(staged).run("hooks", "install", *ASKING)
    copy = type(staged)(tmp_path / "copy")
    shutil.copytree(staged.path, copy.path)
    assert copy.run("init", "--env", "staging").code == 0
    assert str(staged.path) not in (copy.path / LOCAL).read_text()
    for event, of_original in hooks_of(staged).items():
        assert [set(hook) for hook in hooks_of(copy)[event][0]["hooks"]] == [
            set(hook) for hook in of_original[0]["hooks"]
        ]
    assert "guards: asked before PreToolUse, UserPromptSubmit" in copy.run("doctor", "--env", "staging").out


def test_init_wires_once_and_leaves_the_settings_alone_when_asked(bare: Studio) -> None:
    few = ("--env", "staging", "--set", "testData.artifactsCount=20")
    assert bare.run("init", *few, "--no-hooks").code == 0
    assert not (bare.path / LOCAL).exists()
    assert bare.run("hooks", "install", "--shared").code == 0
    assert bare.run("init", *few).code == 0
    assert not (bare.path / LOCAL).exists()
    bare.run("hooks", "uninstall", "--yes")
    done = bare.run("init", *few)
    assert f"{LOCAL} is new" in done.out
    assert "Wired: .claude/settings.local.json" in done.out
    before = bare.snapshot(".claude")
    assert bare.run("init", *few).code == 0
    assert bare.snapshot(".claude") == before
    bare.write(LOCAL, "{")
    done = bare.run("init", *few)
    assert done.code == 2
    assert "is not JSON" in done.err


def test_recording_is_wired_in_one_file_only(staged: Studio) -> None:
    staged.run("hooks", "install")
    staged.run("hooks", "install", "--shared")
    assert not (staged.path / LOCAL).exists() or not json.loads((staged.path / LOCAL).read_text()).get("hooks")
    assert staged.run("hooks", "status").code == 0


def test_the_status_line_is_added_only_where_there_is_none(staged: Studio) -> None:
    staged.run("hooks", "install", "--statusline")
    line = json.loads((staged.path / LOCAL).read_text())["statusLine"]["command"]
    done = subprocess.run(line, shell=True, input=b"{}", capture_output=True, check=True)
    assert done.stdout == b"development\n"
    staged.run("hooks", "uninstall", "--yes")
    staged.write(LOCAL, '{"statusLine": {"type": "command", "command": "mine"}}')
    staged.run("hooks", "install", "--statusline")
    assert json.loads((staged.path / LOCAL).read_text())["statusLine"]["command"] == "mine"


def test_bench_measures_on_this_machine(staged: Studio) -> None:
    found = staged.json("hooks", "bench", "--rounds", "3")
    assert [one["name"][:6] for one in found["figures"]] == ["record", "the sa", "exec a"]
    assert all(one["value"] > 0 for one in found["figures"])
    assert inbox(staged) == []
    assert " x the CPU of sh -c :; " in staged.run("hooks", "bench", "--rounds", "1").out


COMMANDS = st.text(min_size=1, max_size=40).filter(lambda text: text.strip() and "\x00" not in text)
HOOKS = st.one_of(
    st.fixed_dictionaries({"type": st.just("command"), "command": COMMANDS}, optional={"timeout": st.integers(1, 9)}),
    st.fixed_dictionaries({"type": st.just("command"), "command": COMMANDS, "args": st.lists(COMMANDS, max_size=3)}),
    st.fixed_dictionaries({"type": st.just("prompt"), "prompt": COMMANDS}),
)
GROUPS = st.lists(
    st.fixed_dictionaries({"hooks": st.lists(HOOKS, max_size=3)}, optional={"matcher": st.text(max_size=5)}), max_size=3
)
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "hooks": st.dictionaries(st.sampled_from([*events.NINE, "Other"]), GROUPS, max_size=4),
        "env": st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=2),
        'a"b': st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists, max_leaves=4),
    },
)
DUMPS = st.sampled_from([{}, {"indent": 2}, {"indent": "\t"}, {"separators": (",", ":")}, {"ensure_ascii": False}])
FORMS = st.builds(
    lambda version, shared, words: entries.Form(Installed("native", Path(words[-1]), words, ""), version, shared),
    st.sampled_from([events.OLDEST, (2, 1, 330)]),
    st.booleans(),
    st.sampled_from([("/a b/.agent-studio/bin/recorder",), ("/p y", "-I", "/it's/.agent-studio/bin/recorder.py")]),
)


def as_read(text: str) -> settings.Settings:
    return settings.Settings("settings.json", text, json_text.parse(text))


@given(VALUES, DUMPS, FORMS, st.sampled_from(["\n", "\r\n"]))
def test_whatever_the_settings_ours_can_be_added_and_taken_out_again(
    value: dict[str, Any], dump: dict[str, Any], form: entries.Form, newline: str
) -> None:
    text = json.dumps(value, **dump).replace("\n", newline)
    wired = wrap.wrapped(as_read(text), wrap.hooks([as_read(text)]))
    for event, groups in entries.groups(form, events.NINE).items():
        for group in groups:
            wired = json_text.added(wired, ("hooks", event), group)
    parsed = json_text.parse(wired)
    assert set(as_read(wired).ours()) == set(events.NINE)
    assert {key: item for key, item in parsed.items() if key != "hooks"} == {
        key: item for key, item in value.items() if key != "hooks"
    }
    assert [hook.bare for hook in wrap.hooks([as_read(wired)])] == [hook.bare for hook in wrap.hooks([as_read(text)])]
    left = json_text.parse(settings.cleaned(as_read(wired)))
    emptied = {event for event in events.NINE if not value.get("hooks", {}).get(event)}
    expected = {event: groups for event, groups in value.get("hooks", {}).items() if event not in emptied}
    assert left.get("hooks", {}) == expected
    assert wrap.without_us(parsed).get("hooks", {}) == expected


@given(COMMANDS)
def test_a_wrapped_line_is_one_shell_command_that_holds_the_original_whole(line: str) -> None:
    hook = entries.timed("Stop:x", {"type": "command", "command": line})
    assert entries.bare(hook) == {"type": "command", "command": line}
    assert shlex.split(hook["command"])[:3] == ["set", "--", line]
    assert not entries.is_ours(hook)


def test_init_shows_what_it_adds_to_settings_and_only_names_a_file_that_is_ours_alone(bare: Studio) -> None:
    first = bare.run("init", "--env", "staging", "--set", "testData.artifactsCount=5").out
    assert "  .claude/settings.local.json is new, " in first
    assert "@@" not in first
    bare.write(".claude/settings.local.json", '{\n  "model": "opus"\n}\n')
    again = bare.run("init", "--env", "staging").out
    assert "@@" in again
    assert '+  "hooks"' in again

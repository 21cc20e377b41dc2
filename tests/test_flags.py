"""Feature flags: buckets, reasons, kills that fail closed, changes that leave a record."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_studio.environment import flags
from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.errors import BusyError, ConfigurationError, UsageError
from agent_studio.storage import locks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conftest import Studio

BASE = """\
# ours
features:
  partyMode:
    enabled: true # as agreed
    rolloutPercentage: 30
  slowMode:
    enabled: false
"""
NOTHING = flags.History([], 0, {})
ME: dict[str, Any] = {"who": "Ada <ada@example.org>", "why": "it costs too much"}


@pytest.fixture
def project(bare: Studio) -> Studio:
    bare.write(".claude/config.yaml", BASE)
    return bare


def opened(studio: Studio, environment: str = "development", variables: Mapping[str, str] | None = None) -> Context:
    return open_context(Project(studio.path), Choice(Environment(environment), "test"), variables or {})


def value(studio: Studio, flag: str, unit: str | None = None) -> flags.Evaluation:
    context = opened(studio)
    return flags.evaluate(context.config, flags.history(context.root), flag, unit)


def journal_lines(studio: Studio) -> list[str]:
    text: str = (studio.path / ".agent-studio/development/flags.jsonl").read_text()
    return text.splitlines()


@given(flag=st.text(max_size=20), unit=st.text(max_size=40))
def test_a_bucket_is_the_sha256_of_flag_and_unit(flag: str, unit: str) -> None:
    digest = hashlib.sha256(flag.encode() + b"\0" + unit.encode()).hexdigest()
    assert flags.bucket_of(flag, unit) == int(digest, 16) % 10_000


def test_known_buckets_never_move() -> None:
    assert [flags.bucket_of("partyMode", unit) for unit in ("abc", "session-1", "ünï")] == [4743, 5263, 9461]


def test_units_spread_evenly_and_each_flag_draws_anew() -> None:
    units = [f"session-{number}" for number in range(10_000)]
    inside = {flag: {unit for unit in units if flags.bucket_of(flag, unit) < 3_000} for flag in ("one", "two")}
    assert all(2_800 < len(members) < 3_200 for members in inside.values())
    assert 800 < len(inside["one"] & inside["two"]) < 1_000


def test_a_rollout_admits_exactly_its_share_of_buckets(project: Studio) -> None:
    by_bucket = {flags.bucket_of("partyMode", str(number)): str(number) for number in range(120_000)}
    for percent in (0.01, 0.07, 0.29, 1, 33.33, 57.5, 99.99):
        project.write(".claude/config.yaml", BASE.replace("30", str(percent)))
        config = opened(project).config
        last = round(percent * 100) - 1
        assert flags.evaluate(config, NOTHING, "partyMode", by_bucket[last]).value
        assert not flags.evaluate(config, NOTHING, "partyMode", by_bucket[last + 1]).value


def test_whoever_is_in_a_rollout_stays_in_when_it_grows(project: Studio) -> None:
    small = opened(project).config
    project.write(".claude/config.yaml", BASE.replace("30", "60"))
    large = opened(project).config
    units = [str(number) for number in range(500)]
    inside = [unit for unit in units if flags.evaluate(small, NOTHING, "partyMode", unit).value]
    assert inside
    assert all(flags.evaluate(large, NOTHING, "partyMode", unit).value for unit in inside)


@pytest.mark.parametrize(
    ("config", "unit", "expected", "reason", "said"),
    [
        ("{enabled: true}", None, True, "STATIC", ".claude/config.yaml:2"),
        ("{enabled: false}", "u", False, "DISABLED", ".claude/config.yaml:2"),
        ("{enabled: true, rolloutPercentage: 0}", "u", False, "STATIC", "a rollout of 0 %"),
        ("{enabled: true, rolloutPercentage: 50}", None, False, "NO_UNIT", "without a unit"),
        ("{enabled: true, rolloutPercentage: 50}", "", False, "NO_UNIT", "without a unit"),
        ("{enabled: true, rolloutPercentage: 50}", "abc", True, "SPLIT", "bucket 4743 of 10000 is inside"),
        ("{enabled: true, rolloutPercentage: 40}", "abc", False, "SPLIT", "bucket 4743 of 10000 is outside"),
    ],
)
def test_every_evaluation_says_why(
    bare: Studio, config: str, unit: str | None, expected: Any, reason: str, said: str
) -> None:
    bare.write(".claude/config.yaml", f"features:\n  partyMode: {config}\n")
    found = value(bare, "partyMode", unit)
    assert (found.value, found.reason) == (expected, reason)
    assert said in found.detail


def test_an_unknown_flag_is_an_error_with_the_nearest_name(project: Studio) -> None:
    with pytest.raises(UsageError) as caught:
        value(project, "partMode")
    assert caught.value.hint == 'did you mean "partyMode"?'
    for act in (flags.kill, flags.lift, flags.set_flag):
        with pytest.raises(UsageError):
            act(opened(project), "partMode", **ME)


def test_a_kill_wins_over_every_layer_until_it_is_lifted(project: Studio) -> None:
    project.write(".claude/config.yaml", BASE.replace("30", "100"))
    flags.kill(opened(project), "partyMode", **ME)
    context = opened(project, variables={"PARTY_MODE_ENABLED": "true"})
    past = flags.history(context.root)
    found = flags.evaluate(context.config, past, "partyMode", "abc")
    assert (found.value, found.reason) == (False, "KILLED")
    assert ME["who"] in found.detail
    assert ME["why"] in found.detail
    assert flags.evaluate(context.config, past, "slowMode").reason != "KILLED"
    flags.lift(opened(project), "partyMode", **ME)
    assert value(project, "partyMode").value


def test_a_kill_in_one_environment_leaves_the_others_alone(project: Studio) -> None:
    flags.kill(opened(project), "partyMode", **ME)
    assert not flags.history(opened(project, "production").root).kills


def test_every_change_is_one_record_with_who_when_and_why(project: Studio) -> None:
    context = opened(project)
    flags.kill(context, "partyMode", **ME)
    flags.lift(context, "partyMode", **ME)
    flags.set_flag(context, "slowMode", enabled=True, rollout=12.5, **ME)
    records = [json.loads(line) for line in journal_lines(project)]
    fields = ["timestamp", "environment", "flag", "action", "key", "before", "after", "who", "why"]
    assert all(list(record) == fields for record in records)
    assert [(r["flag"], r["action"], r["key"], r["before"], r["after"]) for r in records] == [
        ("partyMode", "kill", None, True, False),
        ("partyMode", "lift", None, False, True),
        ("slowMode", "set", "features.slowMode.enabled", False, True),
        ("slowMode", "set", "features.slowMode.rolloutPercentage", 100, 12.5),
    ]
    assert [record["action"] for record in flags.history(context.root, "slowMode").records] == ["set", "set"]


def test_what_is_already_so_changes_nothing(project: Studio) -> None:
    flags.kill(opened(project), "partyMode", **ME)
    before = project.snapshot()
    again = flags.kill(opened(project), "partyMode", **ME)
    lifted = flags.lift(opened(project), "slowMode", **ME)
    written = flags.set_flag(opened(project), "slowMode", enabled=False, rollout=100, **ME)
    assert [again.records, lifted.records, written.records] == [[], [], []]
    assert "already killed by Ada" in again.notes[0]
    assert ".claude/config.yaml:7" in written.notes[0]
    assert project.snapshot() == before


def test_a_dry_run_shows_the_change_and_leaves_no_trace(project: Studio) -> None:
    before = project.snapshot()
    for change in (
        flags.kill(opened(project), "partyMode", dry_run=True, **ME),
        flags.set_flag(opened(project), "partyMode", rollout=70, dry_run=True, **ME),
    ):
        assert change.records
    assert project.snapshot() == before


def test_setting_writes_only_the_environments_own_file(project: Studio) -> None:
    own = "# staging is mine\r\nfeatures:\r\n    partyMode: # P\r\n        enabled: false  # for now\r\n"
    project.write(".claude/config.staging.yaml", own)
    flags.set_flag(opened(project, "staging"), "partyMode", enabled=True, rollout=40, **ME)
    assert (project.path / ".claude/config.staging.yaml").read_bytes().decode() == own.replace("false", "true") + (
        "        rolloutPercentage: 40\r\n"
    )
    assert (project.path / ".claude/config.yaml").read_text() == BASE
    config = opened(project, "staging").config
    assert config["features.partyMode.enabled"] is True
    assert config["features.partyMode.rolloutPercentage"] == 40


@pytest.mark.parametrize("environment", ["development", "production"])
def test_a_missing_own_file_is_created_with_a_comment(project: Studio, environment: str) -> None:
    flags.set_flag(opened(project, environment), "partyMode", enabled=False, **ME)
    text = (project.path / f".claude/config.{environment}.yaml").read_text()
    first, *rest = text.splitlines()
    assert first.startswith("# ")
    assert rest == ["features:", "  partyMode:", "    enabled: false"]


@pytest.mark.parametrize("rollout", [-1, 100.5, float("nan"), float("inf")])
def test_a_rollout_outside_0_to_100_changes_nothing(project: Studio, rollout: float) -> None:
    before = project.snapshot(".claude")
    with pytest.raises(ConfigurationError):
        flags.set_flag(opened(project), "partyMode", rollout=rollout, **ME)
    assert project.snapshot(".claude") == before
    assert not flags.history(opened(project).root).records


def test_a_killed_flag_cannot_be_switched_on(project: Studio) -> None:
    flags.kill(opened(project), "slowMode", **ME)
    with pytest.raises(flags.FlagKilledError) as caught:
        flags.set_flag(opened(project), "slowMode", enabled=True, **ME)
    assert "killed by Ada <ada@example.org> at 20" in caught.value.message
    assert caught.value.hint.endswith("agent-studio flags kill slowMode --lift --reason TEXT --env development")
    assert flags.set_flag(opened(project), "slowMode", rollout=5, **ME).records


def test_a_value_that_a_variable_overrides_is_written_and_said(project: Studio) -> None:
    context = opened(project, variables={"PARTY_MODE_ENABLED": "true"})
    change = flags.set_flag(context, "partyMode", enabled=False, **ME)
    assert change.records
    assert any("PARTY_MODE_ENABLED" in note for note in change.notes)


def test_when_the_journal_cannot_be_written_the_file_is_as_before(project: Studio) -> None:
    project.write(".claude/config.development.yaml", "features: {partyMode: {enabled: true}}\n")
    (project.path / ".agent-studio/development/flags.jsonl").mkdir(parents=True)
    context = opened(project)
    with pytest.raises(Exception, match=r"flags\.jsonl"):
        flags.set_flag(context, "partyMode", enabled=False, **ME)
    assert (project.path / ".claude/config.development.yaml").read_text() == "features: {partyMode: {enabled: true}}\n"


def test_two_changes_at_once_are_refused(project: Studio) -> None:
    context = opened(project)
    context.root.state.make()
    with locks.exclusive(context.root.state, "flags.lock", doing="testing"), pytest.raises(BusyError):
        flags.kill(context, "partyMode", **ME)
    assert not flags.history(context.root).kills


@pytest.mark.parametrize(("who", "why"), [("", "x"), ("me", ""), ("me", " \n\t ")])
def test_a_change_without_who_or_why_is_refused(project: Studio, who: str, why: str) -> None:
    with pytest.raises(UsageError):
        flags.kill(opened(project), "partyMode", who=who, why=why)
    assert not (project.path / ".agent-studio").exists()


def test_secrets_and_control_characters_stay_out_of_the_journal(project: Studio) -> None:
    token = "ghp_" + "a1B2" * 9
    flags.kill(opened(project), "partyMode", who="me\x1b[31m", why=f"leaks {token}\nagain")
    record = json.loads(journal_lines(project)[0])
    assert record["who"] == "me[31m"
    assert record["why"] == "leaks [REDACTED:github-token] again"


def kill_lift_kill_slow(studio: Studio) -> None:
    for act, flag in ((flags.kill, "partyMode"), (flags.lift, "partyMode"), (flags.kill, "slowMode")):
        act(opened(studio), flag, **ME)


@pytest.mark.parametrize(
    ("line", "killed"),
    [
        pytest.param("{torn", {"partyMode", "slowMode"}, id="names no flag: whatever was ever killed"),
        pytest.param('{"flag":"knowledgeBase","act', {"knowledgeBase", "slowMode"}, id="names a flag"),
        pytest.param('{"flag":"slowMode","action":"lift","wh', {"slowMode"}, id="a torn lift lifts nothing"),
        pytest.param('{"flag":"partyMode","action":"set","wh', {"slowMode"}, id="a torn set kills nothing"),
        pytest.param('{"flag":"partyMode","action":"unkill"}', {"partyMode", "slowMode"}, id="an unknown action"),
        pytest.param("[1]", {"partyMode", "slowMode"}, id="not an object"),
    ],
)
def test_a_damaged_line_never_lifts_and_counts_as_a_kill_where_it_may_be_one(
    project: Studio, line: str, killed: set[str]
) -> None:
    kill_lift_kill_slow(project)
    place = project.path / ".agent-studio/development/flags.jsonl"
    place.write_bytes(place.read_bytes() + line.encode())
    past = flags.history(opened(project).root)
    assert past.damaged_lines == 1
    assert set(past.kills) == killed
    for flag in killed:
        assert not value(project, flag, "abc").value
        assert flags.lift(opened(project), flag, **ME).records
    after = flags.history(opened(project).root)
    assert not after.kills
    assert after.damaged_lines == 1


@given(cut=st.integers(0, 2_000))
def test_wherever_the_last_record_is_torn_a_kill_holds(project: Studio, cut: int) -> None:
    context = opened(project)
    place = project.path / ".agent-studio/development/flags.jsonl"
    place.unlink(missing_ok=True)
    flags.kill(context, "partyMode", **ME)
    flags.lift(context, "partyMode", **ME)
    first, second = place.read_bytes().splitlines(keepends=True)
    place.write_bytes(first + second[: cut % (len(second) - 1)])
    assert set(flags.history(context.root).kills) == {"partyMode"}


def test_who_is_git_user_of_the_project_else_the_system_user(project: Studio) -> None:
    import getpass
    import subprocess

    folder = Project(project.path)
    assert flags.default_who(folder) == getpass.getuser()
    for command in (["init", "-q"], ["config", "user.name", "Grace"], ["config", "user.email", "g@example.org"]):
        subprocess.run(["git", *command], cwd=project.path, check=True)
    assert flags.default_who(folder) == "Grace <g@example.org>"


def test_a_link_in_place_of_the_own_file_is_not_written_through(project: Studio) -> None:
    outside = project.write("outside.yaml", "features: {partyMode: {enabled: true}}\n")
    (project.path / ".claude/config.development.yaml").symlink_to(outside)
    with pytest.raises(Exception, match=r"config\.development\.yaml"):
        flags.set_flag(opened(project), "partyMode", enabled=False, **ME)
    assert outside.read_text() == "features: {partyMode: {enabled: true}}\n"


def test_list_shows_every_flag_with_its_reason(project: Studio) -> None:
    flags.kill(opened(project), "knowledgeBase", **ME)
    rows = {row["name"]: row for row in project.json("flags", "list")["flags"]}
    assert set(rows) == {
        "partyMode", "advancedElicitation", "knowledgeBase", "costTracking", "sidecarMemory", "slowMode",
    }  # fmt: skip
    assert rows["partyMode"] == {
        "name": "partyMode", "value": False, "reason": "NO_UNIT", "enabled": True, "rolloutPercentage": 30,
        "killed": False, "stage": None,
        "detail": "off without a unit, for it has a rollout of 30 % in .claude/config.yaml:5",
    }  # fmt: skip
    assert (rows["knowledgeBase"]["killed"], rows["knowledgeBase"]["value"]) == (True, False)
    assert "killed: it costs too much" in project.run("flags", "list").out


def test_all_flags_are_on_in_staging(project: Studio) -> None:
    project.write(".claude/config.staging.yaml", "environment: staging\n")
    rows = project.json("flags", "list", "--env", "staging")["flags"]
    assert len(rows) == 6
    assert all(row["value"] for row in rows)


def test_the_command_kills_lifts_and_tells_the_story(project: Studio) -> None:
    told = project.run("flags", "kill", "partyMode", "--reason", "too dear", "--by", "Ada")
    assert told.code == 0
    assert "partyMode is off for everyone" in told.out
    refused = project.run("flags", "set", "partyMode", "--on", "--reason", "again")
    assert refused.code == 1
    assert "killed by Ada" in refused.err
    assert "--lift" in refused.err
    assert project.json("flags", "kill", "partyMode", "--lift", "--reason", "cheap now")["changed"] is True
    story = project.run("flags", "history", "partyMode").out
    assert "by Ada: too dear" in story
    assert len(project.json("flags", "history")["records"]) == 2


def test_the_command_explains_a_flag_for_a_unit(project: Studio) -> None:
    found = project.json("flags", "explain", "partyMode", "--unit", "abc")
    assert (found["bucket"], found["value"], found["reason"]) == (4743, False, "SPLIT")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["set", "partyMode", "--reason", "x"], "nothing to set"),
        (["set", "partyMode", "--on"], "--reason"),
        (["set", "partyMode", "--on", "--off", "--reason", "x"], "--off"),
        (["set", "partyMode", "--rollout", "101", "--reason", "x"], "over its limit of 100"),
        (["kill", "partMode", "--reason", "x"], 'did you mean "partyMode"?'),
        (["kill", "partyMode", "--reason", " "], "--reason is empty"),
        (["history", "partMode"], 'did you mean "partyMode"?'),
        (["explain", "nothing"], "unknown flag"),
    ],
)
def test_a_wrong_flags_command_exits_2_and_changes_nothing(project: Studio, arguments: list[str], said: str) -> None:
    before = project.snapshot()
    done = project.run("flags", *arguments)
    assert done.code == 2
    assert said in done.err
    assert project.snapshot() == before


def test_damaged_lines_are_said(project: Studio) -> None:
    project.write(".agent-studio/development/flags.jsonl", "{torn\n")
    done = project.run("flags", "list")
    assert done.code == 0
    assert "1 damaged line in the flag journal" in done.err
    assert project.run("flags", "list", "--json").envelope["problems"][0]["code"] == "damaged-lines"

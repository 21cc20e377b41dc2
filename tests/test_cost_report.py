"""`cost report --source transcripts`: what transcripts tell, in whatever layout and state they are."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Studio

OPUS, HAIKU = "claude-opus-5-5", "claude-haiku-5-5"


class Folder:
    """A configuration folder of the client, and the report on it."""

    def __init__(self, studio: Studio, path: Path) -> None:
        self.studio, self.path = studio, path

    def write(self, name: str, *lines: dict[str, Any] | str | bytes, end: str = "\n") -> Path:
        place = self.path / "projects" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        texts = [line if isinstance(line, bytes) else _text(line).encode() for line in lines]
        place.write_bytes(end.encode().join(texts) + end.encode())
        return place

    def report(self, *arguments: str, by: str = "model", code: int = 0) -> dict[str, Any]:
        done = self.studio.run(
            "cost", "report", "--source", "transcripts", "--config-dir", str(self.path), "--by", by, "--timezone",
            "UTC", "--json", *arguments,
        )  # fmt: skip
        assert done.code == code, done.out + done.err
        return done.envelope

    def tokens(self) -> dict[str, tuple[int, ...]]:
        """Return input, output, cache write and cache read tokens by model."""
        names = ("input_tokens", "output_tokens", "cache_write_tokens", "cache_read_tokens")
        return {group["model"]: tuple(group[name] for name in names) for group in self.report()["data"]["models"]}


def _text(line: dict[str, Any] | str) -> str:
    return line if isinstance(line, str) else json.dumps(line, separators=(",", ":"))


def said(number: int = 1, /, **more: Any) -> dict[str, Any]:
    """Return a line of a response."""
    usage = {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    message = {
        "id": f"msg_{number}", "type": "message", "role": "assistant", "model": OPUS, "content": [],
        "usage": usage | more.pop("usage", {}),
    }  # fmt: skip
    line = {
        "type": "assistant", "uuid": f"u{number}", "sessionId": "s1", "requestId": f"req_{number}",
        "timestamp": "2026-11-01T12:00:00.000Z", "message": message | more.pop("message", {}),
    }  # fmt: skip
    return {name: value for name, value in (line | more).items() if value != "absent"}


@pytest.fixture
def folder(bare: Studio, tmp_path: Path) -> Folder:
    return Folder(bare, tmp_path / "client")


def test_a_response_told_by_many_lines_and_files_counts_once(folder: Folder) -> None:
    folder.write("-p/s1.jsonl", said(usage={"output_tokens": 1}), said(), said(), said(2))
    folder.write("-p/s2.jsonl", said(sessionId="s2"), said(3, sessionId="s2"))
    assert folder.tokens() == {OPUS: (30, 15, 0, 0)}


def test_the_largest_of_each_figure_counts_whatever_the_order(folder: Folder) -> None:
    folder.write("-p/s1.jsonl", said(usage={"output_tokens": 90}), said(usage={"input_tokens": 70}))
    assert folder.tokens() == {OPUS: (70, 90, 0, 0)}


def test_an_echo_with_another_figure_is_not_taken_for_the_same(folder: Folder) -> None:
    lines = [said(), said(), said(usage={"output_tokens": 6}), said(2), said(usage={"output_tokens": 7})]
    folder.write("-p/s1.jsonl", *lines)
    assert folder.tokens() == {OPUS: (20, 12, 0, 0)}


def test_equal_figures_of_another_response_count(folder: Folder) -> None:
    folder.write("-p/s1.jsonl", said(1), said(2), said(3, message={"id": "msg_2"}), said(4, requestId="req_2"))
    assert folder.tokens() == {OPUS: (40, 20, 0, 0)}


def test_the_response_belongs_to_the_day_of_its_earliest_line(folder: Folder) -> None:
    folder.write(
        "-p/s1.jsonl",
        said(timestamp="2026-11-02T00:00:00.100Z"),
        said(timestamp="2026-11-01T23:59:59.900Z"),
        said(timestamp="2026-11-02T00:00:00.300Z"),
    )
    assert [day["date"] for day in folder.report(by="day")["data"]["days"]] == ["2026-11-01"]


def _closing(responses: int) -> dict[str, Any]:
    count = {"inputTokens": 10 * responses, "outputTokens": 5 * responses, "costUSD": 0.00014 * responses}
    return {"type": "cost-state", "sessionId": "s1", "modelUsage": {OPUS: count}}


def test_a_session_that_went_on_since_the_client_counted_is_compared_once_it_is_closed_again(folder: Folder) -> None:
    def compared(*lines: dict[str, Any]) -> tuple[int, int]:
        folder.write("-p/s1.jsonl", *lines)
        told = folder.report(by="session")["data"]["reconciliation"]
        return told["sessions"], told["agreed"]

    closed = [said(1), said(1), _closing(1), {"type": "last-prompt"}]
    assert compared(*closed) == (1, 1)
    assert compared(*closed, said(2)) == (0, 0)
    assert compared(*closed, said(2), _closing(2)) == (1, 1)
    assert compared(*closed, said(2), _closing(3)) == (1, 0)


@pytest.mark.parametrize(
    "line",
    [
        said(message={"model": "<synthetic>"}),
        said(isApiErrorMessage=True),
        said(type="user"),
        said(type="api-request-blob"),
        {"type": "user", "toolUseResult": {"usage": {"input_tokens": 9}, "message": {"usage": {"input_tokens": 9}}}},
        {"type": "attachment", "usage": {"input_tokens": 9}},
        said(message={"usage": None}),
    ],
)
def test_what_is_no_response_does_not_count(folder: Folder, line: dict[str, Any]) -> None:
    folder.write("-p/s1.jsonl", line)
    assert folder.tokens() == {}


@pytest.mark.parametrize("count", [-1, 1.5, True, "10", 10**9 + 1, 10**30, [], {}])
def test_figures_that_cannot_be_are_refused_and_reported(folder: Folder, count: Any) -> None:
    folder.write("-p/s1.jsonl", said(1, usage={"input_tokens": count}), said(2), said(1, usage={"output_tokens": 7}))
    envelope = folder.report()
    assert folder.tokens() == {OPUS: (20, 12, 0, 0)}
    assert envelope["data"]["transcripts"]["refusedLines"] == 1
    assert [problem["code"] for problem in envelope["problems"]] == ["refused"]


@pytest.mark.parametrize(
    "spelled",
    [
        lambda line: json.dumps(line, indent=None, separators=(" , ", " : ")),
        lambda line: json.dumps(dict(reversed(line.items()))),
        lambda line: "\ufeff" + json.dumps(line),
        lambda line: json.dumps(line) + "\r",
        lambda line: json.dumps(line).encode().replace(b'"content": []', b'"content": "\xff\xfe"'),
        lambda line: json.dumps(line | {"more": None, "message": line["message"] | {"content": None}}),
        lambda line: json.dumps(line | {"text": "x" * 12_000_000}),
        lambda line: json.dumps(
            line | {"version": 9, "sessionId": None, "timestamp": "2026-11-01T14:00:00.000001+02:00"}
        ),
        lambda line: json.dumps(line | {"isSidechain": True, "attributionSkill": 7}),
    ],
    ids=["spaced", "reordered", "bom", "crlf", "not-utf-8", "nulls", "12-MB", "odd", "side-chain"],
)
def test_a_line_counts_however_it_is_spelled(folder: Folder, spelled: Callable[[dict[str, Any]], str | bytes]) -> None:
    folder.write("-p/s1.jsonl", spelled(said(1)), spelled(said(2)))
    assert folder.tokens() == {OPUS: (20, 10, 0, 0)}
    assert [day["date"] for day in folder.report(by="day")["data"]["days"]] == ["2026-11-01"]


def test_missing_ids_are_made_up_for(folder: Folder) -> None:
    folder.write(
        "-p/s1.jsonl",
        said(1, requestId="absent"), said(1, requestId=None), said(1, requestId=""),
        said(2, message={"id": None}), said(2, message={"id": ""}),
        said(3, message={"id": None}, requestId=None), said(4, message={"id": None}, requestId=None),
        said(4, message={"id": None}, requestId=None),
    )  # fmt: skip
    assert folder.tokens() == {OPUS: (40, 20, 0, 0)}


def test_a_torn_last_line_is_told_of_and_counts_once_it_is_whole(folder: Folder) -> None:
    place = folder.write("-p/s1.jsonl", said(1))
    whole = _text(said(2)).encode()
    with place.open("ab") as file:
        file.write(whole[:-30])
    envelope = folder.report()
    assert envelope["data"]["transcripts"]["tornFiles"] == 1
    assert folder.tokens() == {OPUS: (10, 5, 0, 0)}
    with place.open("ab") as file:
        file.write(whole[-30:])
    assert folder.tokens() == {OPUS: (20, 10, 0, 0)}
    with place.open("ab") as file:
        file.write(b"\n" + whole + b"\n")
    assert folder.tokens() == {OPUS: (20, 10, 0, 0)}


def test_what_was_read_is_not_read_again(folder: Folder) -> None:
    place = folder.write("-p/s1.jsonl", said(1))
    assert folder.report()["data"]["transcripts"]["changed"] == 1
    assert folder.report()["data"]["transcripts"]["changed"] == 0
    with place.open("a") as file:
        file.write(_text(said(2)) + "\n")
    assert folder.report()["data"]["transcripts"]["changed"] == 1
    assert folder.tokens() == {OPUS: (20, 10, 0, 0)}


def test_a_file_that_was_rewritten_or_removed_is_counted_anew(folder: Folder) -> None:
    place = folder.write("-p/s1.jsonl", said(1), said(2))
    copied = folder.write("-p/s2.jsonl", said(2), said(3))
    assert folder.tokens() == {OPUS: (30, 15, 0, 0)}
    folder.write("-p/s1.jsonl", said(7), said(8), said(9))
    assert folder.tokens() == {OPUS: (50, 25, 0, 0)}
    place.unlink()
    assert folder.tokens() == {OPUS: (20, 10, 0, 0)}
    copied.unlink()
    assert folder.tokens() == {}


def test_a_copy_stays_when_the_file_that_was_read_first_goes_away(folder: Folder) -> None:
    first = folder.write("-p/s1.jsonl", said(1))
    os.utime(first, (1, 1))
    second = folder.write("-p/s2.jsonl", said(1))
    assert folder.tokens() == {OPUS: (10, 5, 0, 0)}
    first.unlink()
    assert folder.tokens() == {OPUS: (10, 5, 0, 0)}
    second.unlink()
    assert folder.tokens() == {}


def test_agents_are_named_by_the_file_beside_theirs_or_by_the_call_that_started_them(folder: Folder) -> None:
    folder.write("-p/s1.jsonl", said(1))
    folder.write("-p/s1/subagents/agent-a1.jsonl", said(2, isSidechain=True))
    (folder.path / "projects/-p/s1/subagents/agent-a1.meta.json").write_text('{"agentType": "reviewer"}')
    call = {"type": "tool_use", "id": "toolu_1", "name": "Task", "input": {"subagent_type": "planner"}}
    result = {"type": "user", "toolUseResult": {"agentId": "b2"}, "message": {"content": [{"tool_use_id": "toolu_1"}]}}
    folder.write("-p/s2.jsonl", said(3, sessionId="s2", message={"content": [call]}), result)
    folder.write("-p/agent-b2.jsonl", said(4, sessionId="s2"))
    agents = {group["agent"]: group["responses"] for group in folder.report(by="agent")["data"]["agents"]}
    assert agents == {None: 2, "reviewer": 1, "planner": 1}


def test_skills_projects_and_sessions_are_told_apart(folder: Folder) -> None:
    folder.write("-p/s1.jsonl", said(1), said(2, attributionSkill="tidy"))
    folder.write("-q/s2.jsonl", said(3, sessionId="s2"))
    data = folder.report(by="project,session,skill")["data"]
    found = {
        (project["project"], session["session"], skill["skill"]): skill["responses"]
        for project in data["projects"] for session in project["sessions"] for skill in session["skills"]
    }  # fmt: skip
    assert found == {("-p", "s1", None): 1, ("-p", "s1", "tidy"): 1, ("-q", "s2", None): 1}


def test_a_model_without_a_price_is_counted_and_costs_null(folder: Folder) -> None:
    folder.write("-p/s1.jsonl", said(1), said(2, message={"model": "house-model-1"}))
    data = folder.report()["data"]
    prices = {group["model"]: group["usd"] for group in data["models"]}
    assert prices == {OPUS: 0.00014, "house-model-1": None}
    assert data["unpricedTokens"] == 15
    assert data["totals"]["usd"] == 0.00014


def test_days_are_those_of_the_named_zone_also_when_the_clock_is_changed(folder: Folder) -> None:
    times = [
        "2026-10-24T21:59:59.999Z",
        "2026-10-24T22:00:00.000Z",
        "2026-10-25T22:59:59.999Z",
        "2026-10-25T23:00:00.000Z",
    ]
    folder.write("-p/s1.jsonl", *(said(number, timestamp=at) for number, at in enumerate(times)))
    days = folder.report("--timezone", "Europe/Berlin", by="day")["data"]["days"]
    assert [(day["date"], day["responses"]) for day in days] == [
        ("2026-10-24", 1), ("2026-10-25", 2), ("2026-10-26", 1),
    ]  # fmt: skip
    assert (
        folder.report("--timezone", "Europe/Berlin", "--since", "2026-10-25", "--until", "2026-10-25")["data"][
            "totals"
        ]["responses"]
        == 2
    )


def test_weeks_months_hours_and_blocks_have_their_names(folder: Folder) -> None:
    folder.write(
        "-p/s1.jsonl",
        said(1, timestamp="2026-12-31T22:40:00.000Z"),
        said(2, timestamp="2027-01-01T02:59:00.000Z"),
        said(3, timestamp="2027-01-01T03:00:00.000Z"),
    )
    assert [week["week"] for week in folder.report(by="week")["data"]["weeks"]] == ["2026-W53"]
    assert [month["month"] for month in folder.report(by="month")["data"]["months"]] == ["2026-12", "2027-01"]
    hours = [hour["hour"] for hour in folder.report(by="hour")["data"]["hours"]]
    assert hours == ["2026-12-31T22:00+0000", "2027-01-01T02:00+0000", "2027-01-01T03:00+0000"]
    blocks = [(block["start"], block["responses"]) for block in folder.report(by="block")["data"]["blocks"]]
    assert blocks == [("2026-12-31T22:00:00Z", 2), ("2027-01-01T03:00:00Z", 1)]


def test_what_cannot_be_read_is_told_and_the_rest_counts(folder: Folder) -> None:
    folder.write("-p/s1.jsonl", said(1), '{"type": "assistant", "message": {"usage": {"input_tokens": 7,')
    (folder.path / "projects/-p/folder.jsonl").mkdir()
    folder.write("-p/empty.jsonl")
    (folder.path / "projects/-p/zero.jsonl").write_bytes(b"\0" * 4096)
    os.mkfifo(folder.path / "projects/-p/pipe.jsonl")
    (folder.path / "projects/-p/lost.jsonl").symlink_to("nowhere")
    envelope = folder.report()
    assert folder.tokens() == {OPUS: (10, 5, 0, 0)}
    assert [problem["code"] for problem in envelope["problems"]] == ["damaged"]


def test_the_same_folder_by_two_names_counts_once(folder: Folder, tmp_path: Path) -> None:
    folder.write("-p/s1.jsonl", said(1))
    (tmp_path / "link").symlink_to(folder.path)
    shutil.copytree(folder.path, tmp_path / "copy")
    data = folder.report("--config-dir", str(tmp_path / "link"), "--config-dir", str(tmp_path / "copy"))["data"]
    assert data["totals"]["responses"] == 1
    assert data["transcripts"]["files"] == 2


@pytest.mark.parametrize(
    ("arguments", "said_"),
    [
        (("--by", "colour"), "cannot sum by 'colour'"),
        (("--by", "day,day"), "names something twice"),
        (("--timezone", "Europe/Berlln"), "unknown time zone"),
        (("--since", "yesterdy"), "is no moment"),
        (("--today", "--days", "3"), "both say where to start"),
        (("--days", "0"), "is no number of days"),
        (("--since", "2026-02-02", "--until", "2026-02-01"), "lies before the start"),
        (("--config-dir", "/nowhere"), "is no folder"),
        (("--session", "zzz"), "no session's id starts with"),
    ],
)  # fmt: skip
def test_wrong_input_is_named(folder: Folder, arguments: tuple[str, ...], said_: str) -> None:
    folder.write("-p/s1.jsonl", said(1))
    done = folder.studio.run("cost", "report", "--source", "transcripts", "--config-dir", str(folder.path), *arguments)
    assert done.code == 2
    assert said_ in done.err

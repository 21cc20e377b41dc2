"""The soak, for some seconds; and that it would see what it looks for."""

from __future__ import annotations

import sys
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

if sys.platform != "linux":
    pytest.skip("what is left of processes is read in /proc", allow_module_level=True)

from bench.soak import faults, plays, records, truth
from bench.soak.faults import Sample
from bench.soak.trial import Soak
from bench.soak.truth import Truth

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SESSION = "5e551011-0000-4000-8000-000000000000"
_USAGE = {"msg_1": dict.fromkeys(plays.TOKENS, 7)}


def test_everything_at_once_while_much_goes_wrong_ends_with_every_total_exact(tmp_path: Path) -> None:
    report = Soak(0.2, with_client=False, keep=tmp_path / "soak").run()
    assert report.faults == []
    done = report.figures["facts"]
    assert min(done[kind]["done"] for kind in ("event", "call", "note", "decision", "party", "backup", "page")) > 0
    assert report.figures["kills"]["writers"] > 0
    assert report.figures["fullDisks"] > 0 or "full disk" in report.not_run[0]


def _facts(folder: Path) -> records.Facts:
    """A session that timed two hooks, and two calls of a program, one of them refused."""
    own = Truth(folder, "own")
    events = {"start": 1, "prompt": 1, "stop": 1, "end": 1}
    own.note("session", SESSION, "done", play="2.1.330/resume", events=events, usage=_USAGE)
    for number, status in enumerate(("success", "failure")):
        own.note("event", f"{SESSION}.{number}", "meant")
        own.note("event", f"{SESSION}.{number}", "done")
        own.note("hook", f"{SESSION}.{number}", "done", session=SESSION, status=status)
    own.note("call", "own-1", "done", inputTokens=3, outputTokens=4)
    own.note("call", "own-2", "refused", inputTokens=3, outputTokens=4)
    return truth.read(folder)


def _used(message: str, request: str, **tokens: int) -> dict[str, Any]:
    return {"messageId": message, "requestId": request, **tokens}


def _found() -> records.Found:
    """What a sound product makes of it."""
    here = records.Found()
    here.hooks[SESSION] = [{"hook": records.SOAK_HOOK, "status": status} for status in ("success", "failure")]
    here.errors[SESSION] = [{"errorType": "SystemError"}]
    here.sessions[SESSION] = [{"event": event} for event in ("start", "prompt", "stop", "end")]
    names = ("inputTokens", "outputTokens", "cacheReadTokens", "cacheWrite5mTokens", "cacheWrite1hTokens")
    here.usage = [
        _used("msg_1", "req_1", **dict.fromkeys(names, 7)), _used("", "own-1", inputTokens=3, outputTokens=4)
    ]  # fmt: skip
    return here


def test_what_is_as_it_was_meant_has_no_faults(tmp_path: Path) -> None:
    assert list(records.faults(_facts(tmp_path), _found())) == []


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda here: here.hooks[SESSION].pop(), "timed hooks"),
        (lambda here: here.hooks[SESSION].append(here.hooks[SESSION][0]), "timed hooks"),
        (lambda here: here.errors[SESSION].clear(), "errors"),
        (lambda here: here.sessions[SESSION].pop(), "events"),
        (lambda here: here.usage.pop(), "1 of 2 responses are not in the ledger"),
        (lambda here: here.usage.append(here.usage[0]), "is in the ledger 2 times"),
        (lambda here: here.usage.append(_used("", "own-2", inputTokens=3, outputTokens=4)), "1 refused calls"),
        (lambda here: here.usage.append(_used("msg_9", "")), "nobody used this"),
        (lambda here: here.usage[0].update(inputTokens=8), "recorded"),
        (lambda here: here.twice.append("e"), "event ids are there twice"),
    ],
)
def test_what_is_lost_doubled_or_wrong_is_seen(
    tmp_path: Path, harm: Callable[[records.Found], object], said: str
) -> None:
    here = _found()
    harm(here)
    (fault,) = records.faults(_facts(tmp_path), here)
    assert said in fault


def test_what_was_in_the_middle_of_something_when_it_was_killed_may_be_there_or_not(tmp_path: Path) -> None:
    facts = _facts(tmp_path)
    own = Truth(tmp_path, "later")
    own.note("hook", f"{SESSION}.2", "meant", session=SESSION, status="success")
    own.note("call", "own-3", "meant", inputTokens=1, outputTokens=1)
    facts, here = truth.read(tmp_path), _found()
    assert list(records.faults(facts, here)) == []
    here.hooks[SESSION].append({"hook": records.SOAK_HOOK, "status": "success"})
    here.usage.append(_used("", "own-3", inputTokens=1, outputTokens=1))
    assert list(records.faults(facts, here)) == []
    here.hooks[SESSION].append({"hook": records.SOAK_HOOK, "status": "success"})
    assert len(list(records.faults(facts, here))) == 1


def test_a_line_of_the_truth_that_was_cut_off_says_nothing(tmp_path: Path) -> None:
    Truth(tmp_path, "one").note("call", "a", "done")
    (tmp_path / "two.jsonl").write_text('{"kind": "call", "id": "b", "sta')
    assert set(truth.read(tmp_path)["call"]) == {"a"}


def test_what_grows_in_the_daemon_is_told_per_hour() -> None:
    samples = [Sample(1, float(second), 100_000 + 10 * second, 14, 5) for second in range(0, 3_600, 30)]
    grown = faults.report_of([*samples, Sample(2, 9.0, 1, 1, 1)])
    assert (grown["descriptors"], grown["descriptorsPerHour"]) == (14, 0)
    assert grown["rssMbPerHour"] == pytest.approx(36_000 / 1024, rel=1e-3)


@pytest.mark.parametrize("name", list(plays.RECORDED))
def test_a_recorded_session_is_played_with_ids_of_its_own(name: str, tmp_path: Path) -> None:

    moment = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
    one, other = (plays.play(name, tmp_path, moment) for _ in range(2))
    assert one.session != other.session
    assert not one.usage.keys() & other.usage.keys()
    whole = b"".join(line for step in one.steps for _, line in step.lines) + b"".join(line for _, line in one.rest)
    assert all(message.encode() in whole for message in one.usage)
    assert Counter(one.events) == Counter(other.events)
    assert all(str(tmp_path).encode() in step.payload for step in one.steps)

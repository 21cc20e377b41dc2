"""Transcripts made from a list of calls: every report agrees with the list, to the token and to the cent."""

from __future__ import annotations

import shutil
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from bench.npm import ProgramMissingError
from bench.transcripts import calls, ccusage, differential, generate, truth
from bench.transcripts.traps import TRAPS, Trap

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Studio

ZONES = ("Europe/Berlin", "America/New_York", "UTC", "Asia/Kathmandu")
NAMES = ("input_tokens", "output_tokens", "cache_write_tokens", "cache_read_tokens")


@pytest.fixture(params=range(4))
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[calls.Call], int]:
    listed = calls.calls(request.param, 400)
    generate.write(listed, tmp_path / "client", request.param)
    return tmp_path / "client", listed, request.param


def _told(studio: Studio, zone: str, *source: str) -> dict[tuple[str, str], tuple[tuple[int, ...], Decimal | None]]:
    data = studio.run(
        "cost", "report", *source, "--by", "day,model", "--timezone", zone, "--json", "--all-environments"
    ).data
    return {
        (day["date"], group["model"]): (
            tuple(group[name] for name in NAMES), None if group["usd"] is None else Decimal(str(group["usd"])),
        )
        for day in data["days"] for group in day["models"]
    }  # fmt: skip


def _true(listed: list[calls.Call], zone: str) -> dict[tuple[str, str], tuple[tuple[int, ...], Decimal | None]]:
    return {key: (used.as_row(), used.usd) for key, used in truth.by_day_and_model(listed, zone).items()}


def test_every_day_and_model_is_the_truth(bare: Studio, made: tuple[Path, list[calls.Call], int]) -> None:
    folder, listed, seed = made
    zone = ZONES[seed]
    assert _told(bare, zone, "--source", "transcripts", "--config-dir", str(folder)) == _true(listed, zone)


def test_the_ledger_tells_the_same_after_the_transcripts_are_gone(
    bare: Studio, made: tuple[Path, list[calls.Call], int]
) -> None:
    folder, listed, seed = made
    bare.run("init", "--env", "production", "--no-hooks")
    first = bare.run("cost", "import", "--env", "production", "--config-dir", str(folder), "--json").data
    assert first["written"] == len(listed)
    again = bare.run("cost", "import", "--env", "production", "--config-dir", str(folder), "--json").data
    assert (again["written"], again["transcripts"]["changed"]) == (0, 0)
    shutil.rmtree(folder)
    assert _told(bare, ZONES[seed], "--env", "production") == _true(listed, ZONES[seed])
    assert bare.run("cost", "verify", "--env", "production").code == 0


def test_agents_skills_sessions_and_projects_add_up(bare: Studio, made: tuple[Path, list[calls.Call], int]) -> None:
    folder, listed, _ = made
    for name in ("agent", "skill", "project"):
        data = bare.run(
            "cost", "report", "--source", "transcripts", "--config-dir", str(folder), "--by", name, "--json"
        ).data
        told = {group[name]: group["output_tokens"] for group in data[f"{name}s"]}
        expected: dict[str | None, int] = {}
        for call in listed:
            key = getattr(call, name)
            if name == "agent" and key and _layout(call, listed) == "1.0.128":
                key = "sidechain"  # the oldest layout has agents' lines in the main file, and names no agent
            expected[key] = expected.get(key, 0) + call.output
        assert told == expected, name


def _layout(call: calls.Call, listed: list[calls.Call]) -> str:
    order = sorted({(one.project, one.session) for one in listed})
    return generate.LAYOUTS[order.index((call.project, call.session)) % len(generate.LAYOUTS)]


def test_the_clients_own_count_of_each_session_agrees(bare: Studio, made: tuple[Path, list[calls.Call], int]) -> None:
    folder, _, _ = made
    done = bare.run(
        "cost", "report", "--source", "transcripts", "--config-dir", str(folder), "--by", "session", "--json"
    )
    compared = done.data["reconciliation"]
    assert compared["sessions"] > 3
    assert {(one["model"], one["ours"]) for one in compared["differences"]} == {("house-model-7", "no price")}


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.name)
def test_every_trap_is_counted_rightly(bare: Studio, tmp_path: Path, trap: Trap) -> None:
    folder = tmp_path / "client/projects/-p"
    folder.mkdir(parents=True)
    trap.write(folder)
    told = _told(bare, ZONES[0], "--source", "transcripts", "--config-dir", str(tmp_path / "client"))
    assert told == _true(list(trap.true), ZONES[0])


def test_the_peer_differs_only_as_foreseen() -> None:
    try:
        program = ccusage.install()
    except ProgramMissingError as reason:
        pytest.skip(f"ccusage cannot be had here: {reason}")
    assert [fault for row in differential.rows(program) for fault in row.faults] == []

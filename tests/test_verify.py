"""Verifying a ledger: every kind of damage is found, at the right line, and called by its name."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_studio.cost import checkpoints, ledger
from agent_studio.cost.ledger import Writer
from agent_studio.cost.segments import segments
from agent_studio.cost.verify import FirstBad, verify, verify_file
from agent_studio.environment.detect import Environment
from agent_studio.environment.roots import EnvironmentRoot, Project, environment_root
from agent_studio.errors import UsageError
from agent_studio.storage import chain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Studio

RECORDS = 12


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EnvironmentRoot:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    return _filled(tmp_path / "project")


def _filled(folder: Path, *, file_limit_bytes: int = 900) -> EnvironmentRoot:
    """Make a ledger of twelve records in several files."""
    (folder / ".claude/staging/metrics").mkdir(parents=True)
    root = environment_root(Project(folder), Environment.STAGING, {})
    with Writer(root, file_limit_bytes=file_limit_bytes) as writer:
        for number in range(RECORDS):
            writer.append_lines([{"number": number, "text": "x" * 40}])
    (folder / ".agent-studio/staging/checkpoints.jsonl").unlink(missing_ok=True)  # rotation has written some
    return root


def _metrics(root: EnvironmentRoot) -> Path:
    return root.folder("metrics").path


def _lines(root: EnvironmentRoot) -> list[bytes]:
    return [
        line for one in segments(root) for line in (_metrics(root) / one.name).read_bytes().splitlines(keepends=True)
    ]


def _one_file(root: EnvironmentRoot, lines: list[bytes]) -> Path:
    """Put lines into one file, as a ledger that was never renamed has them."""
    for one in segments(root):
        (_metrics(root) / one.name).unlink()
    place = _metrics(root) / "llm-usage.log"
    place.write_bytes(b"".join(lines))
    return place


def _rehashed(lines: list[bytes], start: int) -> list[bytes]:
    """Write every line from an index on anew, so that the chain is consistent again."""
    made = lines[:start]
    found = chain.read_link(made[-1].rstrip(b"\n")) if made else None
    head = chain.Head(found.seq, found.hash) if found else chain.Head()
    for line in lines[start:]:
        body = line.rpartition(b',"_seq":')[0] + b"}"
        sealed, head = chain.link(head, chain.Body(body, hashlib.sha256(body).hexdigest()))
        made.append(sealed)
    return made


def _changed(lines: list[bytes], at: int) -> list[bytes]:
    return [*lines[:at], lines[at].replace(b"xx", b"xy", 1), *lines[at + 1 :]]


DAMAGE: dict[str, tuple[Callable[[list[bytes]], list[bytes]], int, str]] = {
    "a changed byte": (lambda ls: _changed(ls, 4), 5, "changed"),
    "the first line changed": (lambda ls: _changed(ls, 0), 1, "changed"),
    "the last line changed": (lambda ls: _changed(ls, RECORDS - 1), RECORDS, "changed"),
    "a line made anew, the rest as it was": (
        lambda ls: [*_rehashed(_changed(ls, 4)[:5], 4), *ls[5:]],
        5,
        "changed",
    ),
    "a hash changed": (
        lambda ls: [
            *ls[:4],
            ls[4].replace(b'"_prevHash":"', b'"_prevHash":"0', 1).replace(b'0","_h', b'","_h'),
            *ls[5:],
        ],
        5,
        "changed",
    ),
    "a number changed": (lambda ls: [ls[0].replace(b'"_seq":1,', b'"_seq":3,'), *ls[1:]], 1, "changed"),
    "a line taken out": (lambda ls: ls[:4] + ls[5:], 5, "deleted"),
    "the first line taken out": (lambda ls: ls[1:], 1, "deleted"),
    "lines taken out": (lambda ls: ls[:4] + ls[8:], 5, "deleted"),
    "a foreign line put in": (lambda ls: [*ls[:4], b'{"number":99}\n', *ls[4:]], 5, "inserted"),
    "a copy put in": (lambda ls: [*ls[:6], ls[2], *ls[6:]], 7, "inserted"),
    "a copy of a later line put in": (lambda ls: [*ls[:6], ls[9], *ls[6:]], 7, "inserted"),
    "lines put in": (lambda ls: [*ls[:4], b"one\n", b"two\n", *ls[4:]], 5, "inserted"),
    "a blank line at the end": (lambda ls: [*ls, b"\n"], RECORDS + 1, "inserted"),
    "two lines swapped": (lambda ls: [*ls[:4], ls[5], ls[4], *ls[6:]], 5, "reordered"),
    "a line moved to the front": (lambda ls: [ls[7], *ls[:7], *ls[8:]], 1, "reordered"),
    "a block moved": (lambda ls: ls[:2] + ls[6:9] + ls[2:6] + ls[9:], 3, "reordered"),
    "CR LF line ends": (lambda ls: [line[:-1] + b"\r\n" for line in ls], 1, "changed"),
    "a byte order mark": (lambda ls: [b"\xef\xbb\xbf" + ls[0], *ls[1:]], 1, "changed"),
    "NUL bytes": (lambda ls: [*ls[:3], b"\0" * 5_000 + b"\n", *ls[4:]], 4, "changed"),
    "a line that is too long to be one": (lambda ls: [*ls[:3], b"x" * (17 << 20) + b"\n", *ls[4:]], 4, "changed"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_and_named(root: EnvironmentRoot, damage: str) -> None:
    make, line, kind = DAMAGE[damage]
    place = _one_file(root, make(_lines(root)))
    found = verify([root])
    assert found.first_bad is not None, found
    assert (found.first_bad.line, found.first_bad.kind, found.first_bad.file) == (line, kind, "llm-usage.log")
    assert not found.passed
    assert verify_file(place).first_bad is not None or damage == "the first line taken out"


def test_a_sound_ledger_passes_over_all_its_files(root: EnvironmentRoot) -> None:
    found = verify([root])
    assert len(segments(root)) >= 3
    assert (found.passed, found.records, found.head.seq) == (True, RECORDS, RECORDS)
    assert found.size == sum(one.size for one in segments(root))


def test_damage_in_a_renamed_file_names_that_file(root: EnvironmentRoot) -> None:
    second = segments(root)[1]
    place = _metrics(root) / second.name
    place.write_bytes(place.read_bytes().replace(b"xx", b"xy", 1))
    assert verify([root]).first_bad == FirstBad(second.name, 1, "changed", "what it says is not what its hash is of")


@pytest.mark.parametrize("which", [0, 1])
def test_a_file_that_is_gone_is_found(root: EnvironmentRoot, which: int) -> None:
    gone, after = segments(root)[which : which + 2]
    (_metrics(root) / gone.name).unlink()
    found = verify([root]).first_bad
    assert found is not None
    assert found[:3] == (after.name, 1, "deleted")
    assert f"records {gone.first_seq} to {after.first_seq - 1}" in found.detail


def _noted(root: EnvironmentRoot) -> checkpoints.Checkpoint:
    return checkpoints.write(root, ledger.head(root))


@pytest.mark.parametrize("left", [0, 1, RECORDS - 1])
def test_a_cut_end_is_found_by_a_checkpoint_alone(root: EnvironmentRoot, left: int) -> None:
    lines = _lines(root)
    _one_file(root, lines[:left])
    assert verify([root]).passed
    _one_file(root, lines)
    _noted(root)
    assert verify([root]).checkpoints == 1
    _one_file(root, lines[:left])
    found = verify([root]).first_bad
    assert found is not None
    assert found[:3] == ("llm-usage.log", left + 1, "truncated")


def test_a_ledger_that_was_removed_is_found(root: EnvironmentRoot) -> None:
    _noted(root)
    shutil.rmtree(_metrics(root))
    found = verify([root]).first_bad
    assert found is not None
    assert found[:3] == ("llm-usage.log", 1, "truncated")


def test_a_chain_made_anew_is_found_behind_the_last_checkpoint_that_agrees(root: EnvironmentRoot) -> None:
    lines = _lines(root)
    _one_file(root, lines[:3])
    _noted(root)
    _one_file(root, lines)
    _noted(root)
    _one_file(root, _rehashed(_changed(lines, 6), 6))
    found = verify([root])
    assert found.first_bad is not None
    assert found.first_bad[:3] == ("llm-usage.log", 4, "changed")
    assert found.checkpoints == 1


def test_a_ledger_cut_and_then_written_on_is_found(root: EnvironmentRoot) -> None:
    _noted(root)
    _one_file(root, _lines(root)[:5])
    ledger.append_lines(root, [{"number": number} for number in range(20)])
    assert verify([root]).first_bad is not None


def test_a_torn_end_is_no_damage_and_is_noted_next(root: EnvironmentRoot) -> None:
    with (_metrics(root) / "llm-usage.log").open("ab") as file:
        file.write(b'{"number":99,"te')
    found = verify([root])
    assert (found.passed, found.torn_tail_bytes, found.torn_notes) == (True, 16, 0)
    ledger.append_lines(root, [{"number": 13}])
    found = verify([root])
    assert (found.passed, found.torn_tail_bytes, found.torn_notes) == (True, 0, 1)


def test_a_checkpoint_is_signed_and_a_changed_one_is_told(root: EnvironmentRoot) -> None:
    done = _noted(root)
    place = root.project.path / ".agent-studio/staging/checkpoints.jsonl"
    assert done.sig is not None
    assert verify([root]).passed
    line = json.loads(place.read_text())
    place.write_text(json.dumps({**line, "time": "2020-01-01T00:00:00.000Z"}) + "\n")
    found = verify([root])
    assert found.first_bad is None
    assert not found.passed
    assert "not of these figures" in found.faults[0]
    place.write_text('{"seq":"x"}\n')
    assert verify([root]).faults != []


def test_a_checkpoint_that_somebody_adds_does_not_cancel_one_that_is_there(root: EnvironmentRoot) -> None:
    done = _noted(root)
    folder = root.folder("metrics").path
    for place in folder.glob("llm-usage*.log"):
        place.unlink()
    ledger.append_lines(root, [{"number": -number} for number in range(done.seq)])
    own = ledger.head(root)
    place = root.project.path / ".agent-studio/staging/checkpoints.jsonl"
    added = {**json.loads(place.read_text()), "hash": own.hash, "sig": None}
    with place.open("a") as file:
        file.write(json.dumps(added) + "\n")
    assert not verify([root]).passed


def test_a_checkpoint_kept_elsewhere_tells_what_those_beside_the_ledger_do_not(
    root: EnvironmentRoot, tmp_path: Path
) -> None:
    _noted(root)
    beside = root.project.path / ".agent-studio/staging/checkpoints.jsonl"
    away = tmp_path / "kept.jsonl"
    away.write_bytes(beside.read_bytes())
    beside.unlink()
    for place in root.folder("metrics").path.glob("llm-usage*.log"):
        place.unlink()
    ledger.append_lines(root, [{"number": 1}])
    assert verify([root]).passed
    found = verify([root], checkpoints.kept(away)).first_bad
    assert found is not None
    assert found.kind == "truncated"
    away.write_text("{}\n")
    with pytest.raises(UsageError, match="something else"):
        checkpoints.kept(away)


def test_a_stranger_s_signature_does_not_count(root: EnvironmentRoot) -> None:
    _noted(root)
    signers = root.project.path / ".agent-studio/checkpoint_signers"
    signers.write_text("")
    assert not verify([root]).passed


def test_without_a_tool_that_signs_a_checkpoint_is_written_without(
    root: EnvironmentRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert _noted(root).sig is None
    found = verify([root])
    assert (found.passed, found.unsigned, found.checkpoints) == (True, 1, 1)


def test_a_checkpoint_is_not_written_twice(root: EnvironmentRoot) -> None:
    assert _noted(root) == _noted(root)
    assert len(checkpoints.read(root).found) == 1


def test_a_file_put_aside_leaves_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    root = environment_root(Project(tmp_path), Environment.STAGING, {})
    (tmp_path / ".claude/staging/metrics").mkdir(parents=True)
    with Writer(root, file_limit_bytes=300) as writer:
        for number in range(6):
            writer.append_lines([{"number": number}])
    noted = checkpoints.read(root).found
    assert [one.seq + 1 for one in noted] == [one.first_seq for one in segments(root)][1:]
    assert verify([root]).checkpoints == len(noted) > 0


@given(st.data())
def test_any_edit_of_a_ledger_is_found_at_its_line(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    root = _filled(tmp_path_factory.mktemp("edited"))
    lines = _lines(root)
    at = data.draw(st.integers(0, RECORDS - 1))
    edit = data.draw(st.sampled_from(("flip", "delete", "insert", "swap")))
    if edit == "flip":
        where = data.draw(st.integers(0, len(lines[at]) - 2))
        byte = bytes([lines[at][where] ^ data.draw(st.integers(1, 255))])
        if byte == b"\n":
            return
        lines[at] = lines[at][:where] + byte + lines[at][where + 1 :]
    elif edit == "delete":
        if at == RECORDS - 1:
            return  # a cut end: no chain can tell
        del lines[at]
    elif edit == "insert":
        lines.insert(at, data.draw(st.binary(max_size=200)).replace(b"\n", b"") + b"\n")
    else:
        other = data.draw(st.integers(0, RECORDS - 1))
        if other == at:
            return
        at, other = sorted((at, other))
        lines[at], lines[other] = lines[other], lines[at]
    _one_file(root, lines)
    found = verify([root]).first_bad
    assert found is not None
    assert found.line == at + 1
    kinds = {"flip": "changed", "delete": "deleted", "insert": "inserted", "swap": "reordered"}
    assert found.kind == kinds[edit]


ORIGINAL = [
    {
        "timestamp": "2026-01-31T09:30:00.000Z",
        "tier": "opus",
        "inputTokens": 100,
        "outputTokens": 20,
        "cost": "0.003000",
        "taskId": None,
        "agent": "architect",
    },
    {
        "timestamp": "2026-01-31T09:31:00.000Z",
        "tier": "haiku",
        "inputTokens": 1.5,
        "outputTokens": None,
        "cost": "0.000001",
        "taskId": "t\u00fc\u2028\ud800",
        "agent": None,
    },
    {
        "timestamp": "2026-01-31T09:32:00.000Z",
        "tier": "sonnet",
        "inputTokens": 7,
        "outputTokens": 8,
        "cost": "0.000141",
        "taskId": "t-2",
        "agent": None,
    },
]


def _original(folder: Path) -> Path:
    """Write a log as the original does; the hashes of the second line are what node made of it."""
    lines, previous = [], "0"
    for entry in ORIGINAL:
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).replace("\ud800", "\\ud800")
        own = hashlib.sha256((previous + text).encode()).hexdigest()[:32]
        whole = json.dumps(entry, separators=(",", ":"), ensure_ascii=False).replace("\ud800", "\\ud800")
        lines.append(f'{whole[:-1]},"_hash":"{own}","_prevHash":"{previous}"}}\n')
        previous = own
    place = folder / "cost-log.jsonl"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("".join(lines), encoding="utf-8")
    return place


def test_a_log_of_the_original_verifies_and_is_left_as_it_was(tmp_path: Path) -> None:
    place = _original(tmp_path)
    before = (place.read_bytes(), place.stat().st_mtime_ns)
    found = verify_file(place)
    assert (found.format, found.passed, found.records) == ("original", True, 3)
    assert (place.read_bytes(), place.stat().st_mtime_ns) == before


@pytest.mark.parametrize(
    ("edit", "line", "kind"),
    [
        (lambda ls: [ls[0].replace(b"100", b"101"), *ls[1:]], 1, "changed"),
        (lambda ls: [ls[0], ls[2]], 2, "deleted"),
        (lambda ls: [ls[0], b"half a li\n", ls[2]], 2, "changed"),
    ],
)
def test_damage_in_a_log_of_the_original_is_found(tmp_path: Path, edit: Any, line: int, kind: str) -> None:
    place = _original(tmp_path)
    place.write_bytes(b"".join(edit(place.read_bytes().splitlines(keepends=True))))
    found = verify_file(place).first_bad
    assert found is not None
    assert (found.line, found.kind) == (line, kind)


def test_import_leaves_out_what_was_altered_in_the_original_s_ledger_and_says_so(bare: Studio) -> None:
    bare.run("init", "--env", "production")
    place = _original(bare.path / ".claude/context/metrics")
    place.write_bytes(place.read_bytes().replace(b'"inputTokens":100', b'"inputTokens":1'))
    done = bare.run("cost", "import", "--env", "production", "--config-dir", str(bare.path), "--json")
    assert (done.data["written"], done.data["refusedLines"]) == (1, 2)  # another of its lines has no count of tokens
    assert "original" in [one["code"] for one in done.envelope["problems"]]


def test_import_takes_what_the_original_recorded_once(bare: Studio) -> None:
    bare.run("init", "--env", "production")
    _original(bare.path / ".claude/context/metrics")
    for written in (2, 0):
        done = bare.run("cost", "import", "--env", "production", "--config-dir", str(bare.path), "--json")
        assert done.data["written"] == written
    told = bare.run("cost", "report", "--env", "production", "--by", "model", "--json").data
    assert [(one["model"], one["usd"]) for one in told["models"]] == [("opus", 0.003), ("sonnet", 0.000141)]


def test_the_command_says_what_is_wrong_and_exits_with_8(staged: Studio) -> None:
    for number in range(3):
        staged.run("cost", "record", "--env", "staging", "--model", "claude-haiku-5-5", "--input-tokens", str(number))
    good = staged.run("cost", "verify", "--env", "staging", "--json")
    assert (good.code, good.data["verdict"], good.data["records"], good.data["firstBad"]) == (0, "PASS", 3, None)
    assert staged.run("cost", "verify", "--env", "staging", "--json").data["checkpoints"]["checked"] == 1
    place = staged.path / ".claude/staging/metrics/llm-usage.log"
    lines = place.read_bytes().splitlines(keepends=True)
    place.write_bytes(b"".join([lines[0], lines[2]]))
    bad = staged.run("cost", "verify", "--env", "staging", "--json")
    assert (bad.code, bad.data["verdict"], bad.data["firstBad"]["kind"]) == (8, "FAIL", "deleted")
    assert bad.data["firstBad"]["line"] == 2
    assert "deleted" in staged.run("cost", "verify", "--env", "staging").err
    assert staged.run("cost", "report", "--env", "staging", "--verify").code == 8
    refused = staged.run("cost", "record", "--env", "staging", "--model", "m", "--input-tokens", "1")
    assert refused.code == 0, "the end is sound: recording goes on"
    assert place.stat().st_mode & 0o777 == 0o600

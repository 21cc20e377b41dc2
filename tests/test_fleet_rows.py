"""A shipped row says what the lake's own engine says of the same line; what need not leave the machine stays there."""

from __future__ import annotations

import json
import math
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.fleet.cursor import Cursor
from agent_studio.fleet.identity import Identity
from agent_studio.fleet.journals import look
from agent_studio.fleet.personal import own_names
from agent_studio.fleet.rows import Rows, message
from agent_studio.fleet.stretches import stretches
from agent_studio.fleet.tables import OWN, TABLES
from agent_studio.monitor import lake
from agent_studio.monitor.segments import JOURNALS

SENDER = Identity("shop", "m1", "0" * 32)
FIELDS = {kind: sorted({field for field, _ in columns.values()}) for kind, columns in lake.COLUMNS.items()}
AT = "2026-03-30T10:00:00.000Z"
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
figures = st.one_of(
    st.integers(-(10**9), 10**16), st.floats(-1e6, 1e6).map(lambda one: round(one, 3)), st.just(1e15), st.just(1e16),
    st.just(-(10**15)), st.sampled_from([True, False, 0, -0.0, 0.1]),
)  # fmt: skip
words = st.sampled_from(["", "12", " 5 ", "1e5", "0x10", "inf", "nan", "-7.25", "true", "null", "٣", "'; DROP TABLE x"])
plain = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
"""What JSON writes in one way only."""
inner = st.one_of(st.none(), st.booleans(), st.integers(-99, 99), plain)
nested = st.one_of(st.lists(inner, max_size=3), st.dictionaries(plain, inner, max_size=3))
values = st.one_of(st.none(), texts, words, st.integers(-(10**12), 10**12), st.booleans(), nested)
numbers = st.one_of(st.none(), figures, words, nested)
stamps = st.one_of(
    st.just(AT), st.just(AT), st.just("1969-12-31T23:59:59.999Z"), st.just("2026-02-30T00:00:00.000Z"),
    st.just("2126-01-01T00:00:00.000Z"), st.just("2026-03-30T10:00:00Z"), st.just(AT + "\n"), st.none(), st.just(5),
)  # fmt: skip
damage = st.sampled_from([
    b"{}", b"[]", b"17", b"null", b'"text"', b"nonsense", b"\xff\xfe{}", b"\x00" * 9, b'{"environment":"staging"',
    b'{"timestamp":"' + AT.encode() + b'","environment":"staging","hook":"\\ud800"}', b"", b"  \t", b"{" * 40,
])  # fmt: skip


@st.composite
def records(draw: st.DrawFn, kind: str) -> bytes:
    record: dict[str, Any] = {}
    for field in FIELDS[kind]:
        if draw(st.integers(0, 4)):
            is_number = any(form in {"figure", "whole"} and name == field for name, form in lake.COLUMNS[kind].values())
            record[field] = draw(numbers if is_number else values)
    record |= {
        "timestamp": draw(stamps),
        "environment": draw(st.sampled_from(["staging", "staging", "production", None])),
    }
    if draw(st.booleans()):
        record |= {"release": draw(values), "metadata": draw(nested), "eventId": draw(st.one_of(st.none(), words))}
    return json.dumps(record, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


def journal(kind: str) -> st.SearchStrategy[list[bytes]]:
    return st.lists(st.one_of(records(kind), records(kind), damage), min_size=4, max_size=30)


def context_of(path: Path) -> Context:
    for folder in ("metrics", "sessions"):
        (path / ".claude/staging" / folder).mkdir(parents=True, exist_ok=True)
    (path / ".claude/config.staging.yaml").write_text("environment: staging\n")
    return open_context(Project(path), Choice(Environment.STAGING, "--env"), {})


def shipped(context: Context, kind: str) -> dict[str, list[dict[str, Any]]]:
    """Return what the shipper makes of a journal, by table."""
    found: dict[str, list[dict[str, Any]]] = {kind: [], "damage": []}
    rows = Rows(kind, SENDER, ("staging",), "full")
    for piece in look(context.root, context.root.state, kind, Cursor().entries, 90).pieces:
        for stretch in stretches(piece, rows, 5):
            for table, some in stretch.rows.items():
                found[table] += [dict(zip(TABLES[table], row, strict=True)) for row in some]
    return found


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=1e-12)
    return bool(one == other)


@pytest.mark.parametrize("kind", sorted(JOURNALS))
def test_rows_say_what_the_lake_says_of_the_same_lines(kind: str, tmp_path: Path) -> None:
    context = context_of(tmp_path)
    folder, live = JOURNALS[kind]
    place = tmp_path / ".claude/staging" / folder / live.replace(".jsonl", ".2026-03-30.1.jsonl")

    @settings(max_examples=settings().max_examples // 8)
    @given(journal(kind))
    @example([b'{"timestamp":"' + AT.encode() + b'","environment":"staging"}', b"nonsense"])
    def check(lines: list[bytes]) -> None:
        place.write_bytes(b"".join(line + b"\n" for line in lines))
        found = shipped(context, kind)
        names = [name for name in TABLES[kind] if name in {*lake.schema(kind), "at_ms"} - {"environment"}]
        with lake.opened(context, [kind]) as db:
            told = db.execute(f"SELECT {', '.join(names)} FROM {kind}").fetchall()
            near = db.execute("SELECT near_ms FROM lines WHERE at_ms IS NULL").fetchall()
        own = [row for row in found[kind] if row["environment"] == "staging"]
        mine = [tuple(row[name] for name in names) for row in own]
        clean = [tuple(v.replace("\0", "\ufffd") if isinstance(v, str) else v for v in row) for row in told]
        assert len(mine) == len(clean)
        for one, other in zip(sorted(mine, key=repr), sorted(clean, key=repr), strict=True):
            assert all(map(same, one, other)), (one, other)
        assert sorted(row["at_ms"] for row in found["damage"]) == sorted(at_ms or 0 for (at_ms,) in near)

    check()


def line(**fields: Any) -> bytes:
    return json.dumps({"timestamp": AT, "environment": "staging", "eventId": "e1", **fields}).encode()


def row(
    kind: str, data: bytes, texts: str = "shapes", sender: Identity = SENDER, place: bytes = b"f:0"
) -> dict[str, Any]:
    found = Rows(kind, sender, ("staging",), texts).row(data, place)
    assert found is not None
    return dict(zip(TABLES[kind], found[0], strict=True))


def test_columns_that_every_table_has_come_first() -> None:
    assert all(list(columns)[: len(OWN)] == list(OWN) for columns in TABLES.values())


def test_messages_go_without_what_varies_in_them_unless_told_otherwise() -> None:
    text = "cannot read /home/somebody/plan.md: 17 of 20 bytes in 0f8fad5b-d9cb-469f-a165-70867728950e"
    data = line(errorType="SystemError", message=text, metadata={"path": "/home/somebody"})
    assert row("errors", data)["message"] == "cannot read #: # of # bytes in #"
    assert (row("errors", data, "none")["message"], row("errors", data, "none")["metadata"]) == (None, None)
    assert row("errors", data, "full")["message"] == text
    assert row("errors", data)["metadata"] is None
    assert row("errors", data, "full")["metadata"] == '{"path":"/home/somebody"}'
    assert row("agents", line(errorMessage=text))["error_message"] == "cannot read #: # of # bytes in #"
    assert message("x" * 500, "shapes") == "x" * 200


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (r"cannot open C:\Users\alice\secret\prompt.txt", "cannot open #"),
        (r"cannot open C:\Users\alice smith\My Documents\a.txt: gone", "cannot open # # #: gone"),
        (r"no share \\server\share\alice (D:/shared/alice)", "no share # (#)"),
        ('cannot open "C:\\Users\\alice smith", it\'s gone', 'cannot open "#", it\'s gone'),
        ("can't read '/home/alice smith' or `~/alice smith/x`", "can't read '#' or `#`"),
        ("/home/alice smith/My Documents/x.py: no such file", "# # #: no such file"),
        ("mail from Alice.Smith+x@corp.example, ssh git@build-box: failed", "mail from #, ssh #: failed"),
        ("no ~alice/repo and no ~alice in file:///home/alice", "no # and no # in file:#"),
        ("x" * 390 + " 'alice smith/of the long tail'", "x" * 200),
        ("took ~5 s of 60%: retry", "took ~# s of #%: retry"),
    ],
)
def test_messages_go_without_paths_accounts_and_addresses(text: str, left: str) -> None:
    data = line(errorType="SystemError", message=text, errorMessage=text)
    assert row("errors", data)["message"] == row("agents", data)["error_message"] == left
    assert row("errors", data, "full")["message"] == text


def test_messages_go_without_the_names_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path("/home/Alice Smith")
    for name in ("LOGNAME", "USER"):
        monkeypatch.setenv(name, "asmith")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(socket, "gethostname", lambda: "build-box.corp.example")
    text = f"failed on build-box.corp.example and BUILD-BOX as user asmith in {home}: asmithy, {home.name}"
    assert row("errors", line(message=text))["message"] == "failed on # and # as user # in #: asmithy, #"
    assert row("errors", line(message=text), "full")["message"] == text
    monkeypatch.setenv("LOGNAME", "root")
    monkeypatch.setenv("HOME", "/root")
    assert own_names() == {"build-box.corp.example", "build-box", "/root"}


def test_secrets_and_what_an_engine_cannot_keep_do_not_leave() -> None:
    secret = "ghp_" + "a8Kd03jf72Hs91Lq64Zx" + "5Rt8Yu2Wv7Qn3Bm0"
    found = row("errors", line(message=f"push with {secret} failed", source=f"git\0{secret}"), "full")
    assert secret not in repr(found)
    assert found["source"].startswith("git\ufffd[REDACTED")


def test_an_id_is_the_same_for_the_same_record_and_no_other() -> None:
    data = line(hook="lint")
    first = row("hooks", data)["id"]
    assert first == row("hooks", data, place=b"g:700")["id"] == row("hooks", data, "full")["id"]
    other = Identity("shop", "m1", "1" * 32)
    nameless = json.dumps({"timestamp": AT, "environment": "staging", "hook": "lint"}).encode()
    ids = {
        first, row("hooks", data, sender=other)["id"], row("agents", data)["id"], row("hooks", line(hook="fmt"))["id"],
        row("hooks", nameless, place=b"f:0")["id"], row("hooks", nameless, place=b"f:90")["id"],
    }  # fmt: skip
    assert len(ids) == 6


def test_damage_is_told_to_every_environment_that_writes_to_the_journal() -> None:
    rows = Rows("hooks", SENDER, ("production", "development"), "shapes").damage(b"digest", b"f:0", 5)
    found = [dict(zip(TABLES["damage"], one, strict=True)) for one in rows]
    assert [(one["environment"], one["at_ms"], one["kind"]) for one in found] == [
        ("production", 5, "hooks"), ("development", 5, "hooks"),
    ]  # fmt: skip
    assert len({one["id"] for one in found}) == 2


def test_what_a_replay_made_is_marked() -> None:
    assert row("hooks", line(metadata={"synthetic": True}))["synthetic"] is True
    assert [row("hooks", line(metadata=one))["synthetic"] for one in ({"synthetic": 1}, "x", None)] == [False] * 3

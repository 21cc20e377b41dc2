"""What `scan` finds, where, how bad it is, and who answers for it; no value is ever said."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
import stat
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.planted import HEADER, HEADER_VALUE, KEY, PASSWORD, TEXTS, TOKENS, URL

from agent_studio.isolation.secrets import baseline, rules
from agent_studio.isolation.secrets import scan as scanning
from agent_studio.isolation.secrets.scan import OVERLAP_CHARACTERS, PIECE_CHARACTERS, Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Studio

TOKEN = TOKENS[9]
OPAQUE = "Zx81kLm29QwErTy7UiOp4AsD"
BASELINE = ".claude/secrets-baseline.json"
NONE = baseline.Baseline("", {})


@pytest.fixture
def leaky(bare: Studio) -> Studio:
    bare.write(".claude/agents/leaky.md", f"---\nname: leaky\n---\n\nlog in with {TOKEN}\nor at {URL}\n")
    bare.write(".claude/hooks/run.sh", f"curl -H '{HEADER}' x\nAPI_TOKEN={OPAQUE}\n")
    return bare


def found(studio: Studio, *words: str) -> list[tuple[str, str, int, str, str]]:
    done = studio.run("scan", *words, "--json")
    return [
        (one["source"], one["path"], one["line"], one["kind"], one["severity"]) for one in done.data["findings"]
        if one["accepted"] is None or one["accepted"]["expired"]
    ]  # fmt: skip


def test_findings_have_their_place_their_kind_and_how_bad_they_are(leaky: Studio) -> None:
    done = leaky.run("scan")
    assert done.code == 1
    assert found(leaky) == [
        (
            "seeds",
            ".claude/agents/leaky.md",
            5,
            rules.find(TOKEN)[0].kind,
            "block",
        ),
        ("seeds", ".claude/agents/leaky.md", 6, "url-password", "warn"),
        ("seeds", ".claude/hooks/run.sh", 1, "authorization-header", "warn"),
        ("seeds", ".claude/hooks/run.sh", 2, "assigned-secret", "warn"),
    ]
    for text in (done.out + done.err, json.dumps(leaky.run("scan", "--json").envelope)):
        assert not any(value in text for value in (TOKEN, PASSWORD, HEADER_VALUE, OPAQUE))
    assert ".claude/agents/leaky.md:5: " in done.out
    assert "FAIL: 1 to take out, 3 to look at, 0 accepted" in done.out


def test_what_only_deserves_a_look_blocks_nothing(bare: Studio) -> None:
    bare.write(".claude/agents/leaky.md", f"at {URL}\n")
    assert (bare.run("scan").code, len(found(bare))) == (0, 1)


def test_each_part_is_looked_at_alone_or_all_together(staged: Studio) -> None:
    staged.write(".claude/settings.json", json.dumps({"env": {"X": TOKEN}}))
    staged.write(".claude/staging/memory/learnings.md", f"learnt {TOKEN}\n")
    staged.write(".agent-studio/staging/tests/x.log", f"said {TOKEN}\n")
    staged.write(".claude/staging/metrics/events.jsonl", f'{{"payload": "{TOKEN}"}}\n')
    staged.write(".claude/agents/leaky.md", f"log in with {TOKEN}\n")
    env = ("--env", "staging")
    assert [one[1] for one in found(staged, *env, "--only", "seeds")] == [".claude/agents/leaky.md"]
    assert [one[1] for one in found(staged, *env, "--only", "candidate")] == [
        ".claude/agents/leaky.md", ".claude/settings.json",
    ]  # fmt: skip
    records = [".claude/staging/memory/learnings.md", ".agent-studio/staging/tests/x.log"]
    assert [one[1] for one in found(staged, *env, "--only", "records")] == records
    everything = found(staged, *env)
    assert [one[1] for one in everything] == [".claude/agents/leaky.md", ".claude/settings.json", *records]
    assert {one[0] for one in everything} == {"seeds", "candidate", "records"}


def test_files_of_every_making_are_looked_at(bare: Studio) -> None:
    place = bare.path / "odd"
    place.mkdir()
    (place / "packed.gz").write_bytes(gzip.compress(f"x\n{TOKEN}\n".encode()))
    (place / "wide.txt").write_bytes(f"x\n\n{TOKEN}\n".encode("utf-16"))
    (place / "latin.txt").write_bytes(b"\xfc\xe4\n" + TOKEN.encode())
    (place / "binary").write_bytes(b"\0\1\2" * 5_000 + TOKEN.encode() + b"\0")
    with sqlite3.connect(place / "table.sqlite3") as table:
        table.execute("CREATE TABLE t (a)")
        table.execute("INSERT INTO t VALUES (?)", (f"at {TOKEN}",))
    table.close()
    (place / "escaped.json").write_text(json.dumps({"a": TOKEN}).replace("-", "\\u002d").replace("_", "\\u005f"))
    (place / f"{TOKEN}.txt").write_text("nothing")
    lines = {path.removeprefix("odd/"): line for _, path, line, _, _ in found(bare, "odd")}
    kind = rules.find(TOKEN)[0].kind
    assert lines == {
        "packed.gz": 2, "wide.txt": 3, "latin.txt": 2, "binary": 1, "table.sqlite3": lines["table.sqlite3"],
        "escaped.json": 1, f"[REDACTED:{kind}].txt": 0,
    }  # fmt: skip


def test_what_cannot_be_looked_at_is_named_and_never_a_pass(bare: Studio) -> None:
    place = bare.path / "odd"
    place.mkdir()
    (place / "plain.txt").write_text("nothing")
    (place / "link").symlink_to("plain.txt")
    (place / "loop").symlink_to(".")
    (place / "gone").symlink_to("nowhere")
    os.mkfifo(place / "pipe")
    done = bare.run("scan", "odd", "--json")
    assert (done.code, done.data["files"]) == (0, 1)
    assert {one["path"] for one in done.data["skipped"]} == {"odd/link", "odd/loop", "odd/gone", "odd/pipe"}
    (place / "torn.gz").write_bytes(gzip.compress(b"x" * 10_000)[:25])
    done = bare.run("scan", "odd", "--json")
    assert done.code == 3
    assert "odd/torn.gz" in {one["path"] for one in done.data["skipped"]}
    (place / "torn.gz").unlink()
    (place / "closed.txt").write_text("x")
    (place / "closed.txt").chmod(0)
    if os.geteuid():
        assert bare.run("scan", "odd").code == 3
    assert bare.run("scan", "odd/link", "--json").data["files"] == 1, "a link that is named is followed"


def test_a_scan_without_findings_is_its_verdict_in_one_line(bare: Studio) -> None:
    bare.write("plain.md", "nothing to hide\n")
    (line,) = bare.run("scan", "plain.md").out.splitlines()
    assert "PASS: 0 to take out, 0 to look at, 0 accepted (1 files" in line


def test_nothing_to_look_at_is_no_pass(bare: Studio) -> None:
    (bare.path / "empty").mkdir()
    assert bare.run("scan", "empty").code == 3


@pytest.mark.parametrize(("words", "said"), [
    (("missing",), "missing is not there"), (("--only", "seeds", "src"), "exclude each other"),
    (("--only", "qa"), "invalid choice"), (("--accept", "missing:1", "--reason", "x"), "missing is not there"),
    (("--accept", ".claude/agents/leaky.md"), "for a reason"),
    (("--accept", ".claude/agents/leaky.md:1", "--reason", "x"), "nothing is found at .claude/agents/leaky.md:1"),
    (("--accept", ".claude/agents/leaky.md", "--reason", "x", "--until", "soon"), "write it like 2027-01-31"),
    (("--accept", ".claude/agents/leaky.md", "--reason", "x", "--until", "2001-01-01"), "within a year"),
    (("--accept", ".claude/agents/leaky.md", "--reason", "x", "--until", "2999-01-01"), "within a year"),
    (("--accepted", "--prune"), "not allowed with"), (("--prune", "src"), "looks everywhere"),
])  # fmt: skip
def test_wrong_words_are_one_clear_error_and_change_nothing(leaky: Studio, words: tuple[str, ...], said: str) -> None:
    leaky.write("src/app.py", "")
    done = leaky.run("scan", *words)
    assert (done.code, said in done.err) == (2, True), done.err
    assert not (leaky.path / BASELINE).exists()


def accept(studio: Studio, place: str, *words: str) -> Any:
    return studio.run("scan", "--accept", place, "--reason", f"a sample of {TOKEN}", "--by", "Me", *words)


def test_somebody_answers_for_a_finding_until_a_day(leaky: Studio) -> None:
    assert leaky.run("scan", "--json").data["findings"][0]["fingerprint"] is None
    assert accept(leaky, ".claude/agents/leaky.md:5").code == 0
    assert leaky.run("scan").code == 0
    data = leaky.run("scan", "--json").data
    assert (data["blocking"], len(data["findings"])) == (0, 4)
    told = data["findings"][0]
    assert (told["accepted"]["by"], told["accepted"]["expired"]) == ("Me", False)
    assert len(told["fingerprint"]) == 32
    text = (leaky.path / BASELINE).read_text()
    assert not any(value in text for value in (TOKEN, PASSWORD))
    assert "a sample of [REDACTED:" in text
    listed = leaky.run("scan", "--accepted", "--json").data["accepted"]
    assert [(one["path"], one["expired"]) for one in listed] == [(".claude/agents/leaky.md", False)]
    # the same value in another place is another finding, and so is another value in the same place
    leaky.write(".claude/agents/copy.md", f"{TOKEN}\n")
    assert leaky.run("scan").code == 1
    (leaky.path / ".claude/agents/copy.md").unlink()
    place = leaky.path / ".claude/agents/leaky.md"
    place.write_text(f"moved down\n\n{place.read_text()}")
    assert leaky.run("scan").code == 0
    place.write_text(place.read_text().replace(TOKEN, TOKENS[0]))
    assert leaky.run("scan").code == 1


def test_from_its_day_on_an_accepted_finding_counts_again(leaky: Studio) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date()
    assert accept(leaky, ".claude/agents/leaky.md", "--until", str(tomorrow)).code == 0
    assert leaky.run("scan").code == 0
    place = leaky.path / BASELINE
    place.write_text(place.read_text().replace(str(tomorrow), str(tomorrow - timedelta(days=1))))
    done = leaky.run("scan")
    assert done.code == 1
    assert f"(accepted, expired {tomorrow - timedelta(days=1)})" in done.out
    assert leaky.run("scan", "--json").data["findings"][0]["accepted"]["expired"] is True
    dropped = leaky.run("scan", "--prune", "--json").data["accepted"]
    assert len(dropped) == 2
    assert json.loads(place.read_text())["accepted"] == []


def test_pruning_keeps_what_is_still_found(leaky: Studio) -> None:
    leaky.write("docs/setup.md", f"at {URL}\n")
    for place in (".claude/agents/leaky.md:5", ".claude/agents/leaky.md:6", "docs/setup.md"):
        assert accept(leaky, place).code == 0
    assert leaky.run("scan", "--prune", "--json").data["accepted"] == []
    leaky.write(".claude/agents/leaky.md", f"at {URL}\n")
    dropped = leaky.run("scan", "--prune", "--json").data["accepted"]
    assert [one["kind"] for one in dropped] == [rules.find(TOKEN)[0].kind]
    leaky.write("docs/setup.md", "at home\n")
    assert len(leaky.run("scan", "--prune", "--json").data["accepted"]) == 1
    assert len(json.loads((leaky.path / BASELINE).read_text())["accepted"]) == 1


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"salt": "zz", "accepted": []}', '{"salt": "", "accepted": [{"path": 1}]}']
)
def test_a_damaged_baseline_accepts_nothing(leaky: Studio, text: str) -> None:
    leaky.write(BASELINE, text)
    done = leaky.run("scan")
    assert (done.code, f"{BASELINE} is damaged" in done.err) == (2, True)


def test_the_baseline_belongs_to_the_repository(leaky: Studio) -> None:
    accept(leaky, ".claude/agents/leaky.md")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((leaky.path / BASELINE).stat().st_mode) == 0o666 & ~mask


def test_init_keeps_credentials_out_of_the_index_and_tells_of_those_that_block(bare: Studio) -> None:
    bare.write(".claude/agents/leaky.md", f"---\nname: leaky\ndescription: at {URL} or {TOKEN}\n---\n")
    done = bare.run("init", "--env", "staging", "--set", "testData.artifactsCount=5")
    assert done.code == 0
    kind = rules.find(TOKEN)[0].kind
    told = f".claude/agents/leaky.md holds a credential ({kind}); it was kept out of the index"
    assert told in done.err
    assert "url-password" not in done.err
    assert accept(bare, ".claude/agents/leaky.md:3").code == 0
    assert told not in bare.run("kb", "build", "--env", "staging").err
    assert not any(PASSWORD.encode() in data for data in bare.snapshot(".claude/staging").values())


@pytest.mark.parametrize(
    "text",
    [
        "token: ${SHOP_TOKEN}", 'token = os.environ["SHOP_TOKEN"]', "tokens: 1234567890123456", "password: changeme",
        "the token is a-very-long-name-of-a-thing", 'secretName: "my-deployment-secret-for-staging"', f"id: {OPAQUE}",
        "keyboard: qwertyuiopasdfghjkl", f"token: example-{OPAQUE}",
    ],
)  # fmt: skip
def test_names_and_words_are_no_assigned_secrets(text: str) -> None:
    assert rules.find(text) == []


@pytest.mark.parametrize(
    "text",
    [f"API_TOKEN={OPAQUE}", f'"clientSecret": "{OPAQUE}"', f"password := '{OPAQUE}'", f"auth_token => {OPAQUE}",
     f"İ password: {OPAQUE}", f"  api-key: {OPAQUE}"],
)  # fmt: skip
def test_an_opaque_value_of_a_telling_name_is_one(text: str) -> None:
    (span,) = rules.find(text)
    assert (span.kind, text[span.start : span.end]) == (rules.ASSIGNED, OPAQUE)


def counted(place: Path) -> list[tuple[int, str]]:
    report = scanning.scan([Source("paths", "x", str(place))], NONE)
    return [(hit.line, hit.kind) for hit in report.hits]


@pytest.mark.parametrize("secret", [TOKEN, KEY, URL])
def test_where_a_piece_ends_hides_nothing_and_doubles_nothing(tmp_path: Path, secret: str) -> None:
    place = tmp_path / "large"
    kind = rules.find(secret)[0].kind
    edge = PIECE_CHARACTERS - OVERLAP_CHARACTERS
    for at in (*range(edge - 40, edge + 8, 7), PIECE_CHARACTERS - 10, PIECE_CHARACTERS + 3):
        lead = ("x" * 99 + "\n") * (at // 100) + "y" * (at % 100)
        place.write_text(f"{lead} {secret} \n" + "z\n" * 100_000)
        assert counted(place) == [(at // 100 + 1, kind)], at


def pieces() -> Iterator[str]:
    yield from (f"{secret}\n" for secret in TEXTS)


@given(st.lists(st.sampled_from([*pieces(), "words\n", "\n"]), max_size=12))
def test_every_finding_has_the_line_on_which_it_begins(parts: list[str]) -> None:
    starts, line = [], 1
    for part in parts:
        starts.append(line)
        line += part.count("\n")
    hits = scanning.in_text(Source("paths", "x", "x"), "".join(parts), NONE)
    assert {hit.line for hit in hits} == {starts[number] for number, part in enumerate(parts) if rules.find(part)}

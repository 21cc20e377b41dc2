"""Sign-offs travel between people: who signs reads what is signed, and knows what it is worth."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import Studio
from tests.release_world import NEEDS_KEYS, ROLES, World, git

from agent_studio import clock
from agent_studio.release import evidence
from agent_studio.release.production import history
from agent_studio.release.signing import signoff

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = NEEDS_KEYS


def request(world: World, role: str = "qa", *more: str) -> Path:
    place = world.folder / f"{role}.json"
    world.must("signoff", "request", "--role", role, "--out", str(place), *more)
    return place


def sign(world: World, place: Path, by: str = "quinn", *more: str, code: int = 0) -> Any:
    return world.must("signoff", "sign", str(place), "--key", str(world.folder / by), "--yes", *more, code=code)


def clone(world: World) -> Studio:
    """The project as somebody else has it: the commit, and nothing of what git ignores."""
    place = world.folder / "clone" / world.project.path.name
    place.parent.mkdir()
    git(world.folder, "clone", "-q", str(world.project.path), str(place))
    assert not (place / ".agent-studio").exists()
    return Studio(place)


def test_a_request_says_in_words_all_that_is_signed(world: World) -> None:
    world.edit("the new words")
    candidate = world.gather(but="comparison")
    done = world.must("signoff", "request", "--role", "qa", "--diff")
    shown = done.out
    for words in (
        "A sign-off, as qa: exactly this may go to production, once",
        candidate, "by dana@example.org", "replaces    nothing: the first release", "separation: target",
        "changed  agents/code-reviewer.md",
        "Feature flags of production, as in staging", "flag     advancedElicitation on",
        "PASS          burnin: recorded by a test",
        "NOTHING       comparison: staging's figures beside production's",
        "of the candidate itself: it is the first release", "burnin.hours: 24", "evidenceDays: 30", "onePerson: no",
        "quinn@example.org may sign as qa", "expires", "+the new words", "the ledger of staging ends with",
    ):  # fmt: skip
        assert words in shown, words
    assert git(world.project.path, "rev-parse", "HEAD").strip() in shown
    assert "still open: comparison" in done.err
    told = world.data("signoff", "request", "--role", "qa")
    stated = told["statement"]
    for text in (stated["evidence"], stated["policy"], stated["candidate"]):
        assert text in "\n".join(told["words"])


def test_a_request_names_one_role_that_the_policy_asks_for(world: World) -> None:
    world.gather()
    refused = world.must("signoff", "request", "--out", str(world.folder / "x"), code=2)
    assert "one file a role" in refused.err
    assert "qa, security, uat" in refused.err
    assert "no sign-off as 'boss'" in world.must("signoff", "request", "--role", "boss", code=2).err
    for days in ("0", "367"):
        world.must("signoff", "request", "--role", "qa", "--days", days, code=2)
    assert not (world.folder / "x").exists()
    world.must("signoff", "request", "--role", "qa", "--out", str(world.folder / "no/such/folder"), code=1)
    assert "development" in world.must("signoff", "list", "--env", "development", code=2).err


def test_without_signers_one_error_says_how_to_name_them(world: World) -> None:
    (world.project.path / ".claude/allowed_signers").unlink()
    world.commit("Nobody")
    world.gather()
    refused = world.must("signoff", "request", "--role", "qa", code=4).err
    assert "no allowed_signers are live" in refused
    assert 'namespaces="qa@agent-studio"' in refused
    assert "ssh-keygen" in refused
    assert "sign-off.qa: no allowed_signers are live" in world.must("gate", code=4).out
    world.studio.write(".claude/allowed_signers", "# nobody yet\n")
    world.commit("A comment")
    world.gather()
    assert "nobody in allowed_signers may sign as qa" in world.must("signoff", "request", "--role", "qa").err


def test_the_whole_way_with_a_signer_on_another_clone(world: World) -> None:
    world.edit("the new words")
    candidate = world.gather()
    place, other = request(world), clone(world)
    read = other.run("signoff", "sign", str(place), "--key", str(world.folder / "quinn"), "--dry-run")
    assert read.code == 0
    assert "changed  agents/code-reviewer.md" in read.out
    assert "The definitions in this checkout are exactly the candidate's." in read.out
    assert read.out.endswith("nothing was signed (--dry-run)\n")
    assert "signature" not in json.loads(place.read_text())
    nobody = other.run("signoff", "sign", str(place), "--key", str(world.folder / "quinn"))
    assert nobody.code == 2
    done = other.run("signoff", "sign", str(place), "--key", str(world.folder / "quinn"), "--yes")
    assert (done.code, "A sign-off, as qa" in done.err) == (0, True)
    assert "where the evidence is" in done.out
    told = other.run("signoff", "verify", str(place))
    assert (told.code, "- Whether it counts cannot be told here" in told.out) == (4, True)
    assert "hand the file back to who asked" in told.err
    assert signoff.kept(world.project, candidate) == {}
    kept = world.must("signoff", "verify", str(place))
    assert "It counts: signed by quinn@example.org as qa" in kept.out
    assert "kept in .agent-studio/signoffs/" in kept.out
    for role, name in ROLES.items():
        if role != "qa":
            sign(world, request(world, role), name)
    listed = world.data("signoff", "list")["signOffs"]
    assert {(one["role"], one["who"], one["counts"]) for one in listed} == {
        (role, f"{name}@example.org", True) for role, name in ROLES.items()
    }
    world.must("gate")
    world.must("promote", "--yes")
    assert world.reads() == "the new words"
    signed = history.read(world.project).releases[-1].record["signed"]
    assert {(one["role"], one["who"]) for one in signed} == {
        (role, f"{name}@example.org") for role, name in ROLES.items()
    }


def test_a_signer_is_told_that_their_checkout_is_another(world: World) -> None:
    world.gather()
    place, other = request(world), clone(world)
    other.write(".claude/agents/code-reviewer.md", "not what is asked for")
    read = other.run("signoff", "sign", str(place), "--key", "none", "--dry-run").out
    assert "are NOT the candidate's" in read
    assert git(world.project.path, "rev-parse", "HEAD").strip() in read
    other.run("candidate", "create")  # a candidate of one's own, and no evidence on it, is no reason to refuse
    git(other.path, "checkout", "-q", ".")
    assert other.run("candidate", "create").code == 0
    assert other.run("signoff", "sign", str(place), "--key", str(world.folder / "quinn"), "--yes").code == 0


def test_what_would_not_count_is_not_signed(world: World) -> None:
    candidate = world.gather()
    place = request(world)
    before = place.read_bytes()
    for by, code in (("mallory", 2), ("sam", 4)):
        sign(world, place, by, code=code)
    assert "not signed, as qa" in sign(world, place, "sam", code=4).err
    evidence.record(world.staging, "smoke", candidate, evidence.FAIL, {})
    assert "another evidence" in sign(world, place, code=4).err
    assert place.read_bytes() == before
    assert signoff.kept(world.project, candidate) == {}
    place = request(world)
    sign(world, place)
    assert "signed already" in sign(world, place, code=2).err


UNTOLD: tuple[tuple[Any, str], ...] = (
    (lambda stated: stated.pop("evidence"), "does not say evidence"),
    (lambda stated: stated["details"].pop("changes"), "does not say changes"),
    (lambda stated: stated.update(note="also"), "says what nobody would be shown: note"),
    (lambda stated: stated["details"].update(note="also"), "says what nobody would be shown: note"),
    (lambda stated: stated["details"]["policy"].update(note="also"), "says what nobody would be shown: note"),
    (lambda stated: stated["details"].update(changes=7), "does not say details"),
    (lambda stated: stated["details"]["evidence"][0].append("more"), "does not say details"),
    (lambda stated: stated.update(details="all is well"), "does not say details"),
)


def test_a_request_whose_words_would_not_tell_all_is_refused(world: World) -> None:
    world.gather()
    place = request(world)
    whole = place.read_text()
    for change, reason in UNTOLD:
        value = json.loads(whole)
        change(value["statement"])
        place.write_text(json.dumps(value))
        assert reason in sign(world, place, code=2).err


def test_a_request_cannot_draw_on_the_signers_terminal(world: World) -> None:
    world.gather()
    place, other = request(world), clone(world)
    value = json.loads(place.read_text())
    value["statement"]["details"]["evidence"][0][2] = "bad\x1b[1A\x1b[2K\rgood\n  PASS all"
    place.write_text(json.dumps(value))
    shown = other.run("signoff", "sign", str(place), "--key", "none", "--dry-run").out
    assert "\x1b" not in shown
    assert "\r" not in shown
    assert "\n  PASS all" not in shown


def test_a_key_that_an_agent_holds_signs_by_its_public_half(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    if not shutil.which("ssh-agent"):
        pytest.skip("ssh-agent is not here")
    world.gather()
    place = request(world)
    with _agent(world.folder / "quinn", monkeypatch):
        (world.folder / "quinn").rename(world.folder / "elsewhere")
        sign(world, place, "quinn.pub")
    assert world.data("signoff", "list")["signOffs"][0]["counts"]
    place = request(world)
    assert "did not sign" in sign(world, place, "quinn.pub", code=1).err


@contextmanager
def _agent(key: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    started = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    said = dict(re.findall(r"(SSH_\w+)=([^;]+);", started))
    monkeypatch.setenv("SSH_AUTH_SOCK", said["SSH_AUTH_SOCK"])
    try:
        subprocess.run(["ssh-add", "-q", key], check=True, capture_output=True)
        yield
    finally:
        os.kill(int(said["SSH_AGENT_PID"]), 15)


def test_on_a_terminal_the_words_come_before_the_question(world: World) -> None:
    pty = pytest.importorskip("pty")
    world.gather()
    place = request(world)
    for answer, code in ((b"n\n", 2), (b"y\n", 0)):
        parent, child = pty.openpty()
        command = [
            sys.executable,
            "-m",
            "agent_studio",
            "signoff",
            "sign",
            str(place),
            "--key",
            f"{world.folder}/quinn",
        ]
        running = subprocess.Popen(command, cwd=world.project.path, stdin=child, stdout=child, stderr=child)
        os.close(child)
        os.write(parent, answer)
        assert running.wait(60) == code
        text = _read(parent)
        assert text.index("A sign-off, as qa") < text.index("sign exactly this? [y/N]")
    assert "signature" in json.loads(place.read_text())


def _read(descriptor: int) -> str:
    parts = []
    try:
        while part := os.read(descriptor, 65_536):
            parts.append(part)
    except OSError:  # its other end is closed
        pass
    os.close(descriptor)
    return b"".join(parts).decode()


def test_who_signed_withdraws_and_nobody_else_does(world: World) -> None:
    candidate = world.ready()
    world.must("gate")
    folder = world.project.path / ".agent-studio/signoffs"
    place = next((folder / candidate).glob("qa-*.json"))
    command = ("signoff", "withdraw", str(place), "--reason", "I looked at the wrong figures", "--key")
    world.must(*command, str(world.folder / "quinn"), code=2)  # nobody is there to agree
    world.must(*command, str(world.folder / "quinn"), "--dry-run")
    assert "not the key that signed" in world.must(*command, str(world.folder / "sam"), "--yes", code=2).err
    world.must("gate")
    world.must(*command, str(world.folder / "quinn"), "--yes")
    shown = world.must("gate", code=4).out
    assert re.search(r"sign-off.qa: .*quinn@example.org withdrew it at \S+: I looked at the wrong figures", shown)
    world.must("promote", "--yes", code=4)
    assert "withdrew it" in world.must("signoff", "verify", str(place), code=4).err
    world.sign(candidate, "qa")  # who changes their mind signs anew
    world.must("gate")
    journal = folder / "withdrawn.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b"wrong figures", b"right figures"))
    assert "withdrawn.jsonl:1 does not follow" in world.must("gate", code=8).out


def test_what_a_promotion_has_used_cannot_be_withdrawn(world: World) -> None:
    candidate = world.ready()
    place = next((world.project.path / ".agent-studio/signoffs" / candidate).glob("qa-*.json"))
    world.must("promote", "--yes")
    command = ("signoff", "withdraw", str(place), "--reason", "no", "--yes", "--key", str(world.folder / "quinn"))
    refused = world.must(*command, code=2)
    assert re.search(r"release [0-9a-f]{12} was promoted with it at \S+: it cannot be withdrawn", refused.err)
    assert not (place.parent.parent / "withdrawn.jsonl").exists()
    told = world.must("gate", code=4).out
    assert "it is live already, since " in told
    assert re.search(r"it replaces another than what is live: nothing, not release [0-9a-f]{12}", told)


def test_a_clock_that_is_set_back_revives_no_sign_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    candidate = world.ready()
    world.must("gate")
    now = datetime.now(UTC)
    with monkeypatch.context() as later:
        later.setattr(clock, "now", lambda: now + timedelta(days=8))
        history.append(world.project, {"step": "kept", "id": "x", "files": []})
    refused = world.must("gate", code=4).out
    assert re.search(r"sign-off.qa: .*it expired at \S+: this clock is behind what was recorded at", refused)
    assert "kept" not in world.data("signoff", "list")["signOffs"][0]["reason"]
    with monkeypatch.context() as later:
        later.setattr(clock, "now", lambda: now + timedelta(days=8))
        world.sign(candidate)
    world.must("gate", code=4)
    assert any("issued in the future" in one["reason"] for one in world.data("signoff", "list")["signOffs"])


def test_what_is_no_file_among_sign_offs_is_passed_over(world: World) -> None:
    candidate = world.ready()
    folder = world.project.path / ".agent-studio/signoffs" / candidate
    (folder / "folder.json").mkdir()
    (folder / "link.json").symlink_to(folder / "nowhere.json")
    world.must("gate")
    world.must("signoff", "request", "--role", "qa")
    listed = {one["file"]: one["reason"] for one in world.data("signoff", "list")["signOffs"]}
    assert listed["folder.json"] == "folder.json is no sign-off"
    assert listed["link.json"] == "link.json is no sign-off"


def test_a_withdrawal_travels_and_one_that_no_signer_signed_is_refused(world: World) -> None:
    candidate = world.ready()
    place = next((world.project.path / ".agent-studio/signoffs" / candidate).glob("qa-*.json"))
    own, out, other = world.folder / "own.json", world.folder / "withdrawal.json", clone(world)
    shutil.copy(place, own)
    command = ("signoff", "withdraw", str(own), "--reason", "no", "--yes", "--key", str(world.folder / "quinn"))
    assert other.run(*command).code == 2
    assert other.run(*command, "--out", str(out)).code == 0
    world.must("gate")
    value = json.loads(out.read_text())
    for name, altered in (("why", "yes"), ("nonce", "0" * 32), ("role", "security")):
        (world.folder / "forged.json").write_text(
            json.dumps({**value, "statement": {**value["statement"], name: altered}})
        )
        world.must("signoff", "verify", str(world.folder / "forged.json"), code=2)
    world.must("gate")
    world.must("signoff", "verify", str(out))
    world.must("signoff", "verify", str(out))
    world.must("gate", code=4)


def test_a_signer_whom_a_release_removed_signs_no_more_and_neither_does_what_they_signed(world: World) -> None:
    world.promoted("first")
    signers = (world.project.path / ".claude/allowed_signers").read_text()
    without = "".join(line for line in signers.splitlines(keepends=True) if "quinn" not in line)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", world.folder / "quentin"], check=True)
    public = " ".join((world.folder / "quentin.pub").read_text().split()[:2])
    world.studio.write(
        ".claude/allowed_signers", f'{without}quentin@example.org namespaces="qa@agent-studio" {public}\n'
    )
    world.edit("second")
    world.gather()
    place = request(world)
    assert "not signed, as qa" in sign(world, place, "quentin", code=4).err  # the live release does not know them yet
    world.promoted()
    world.edit("third")
    candidate = world.gather()
    place = request(world)
    assert "not signed, as qa" in sign(world, place, "quinn", code=4).err
    world.sign(candidate, "qa")  # laid into the folder by hand
    assert "does not count: it is not signed, as qa" in world.must("gate", code=4).out
    sign(world, place, "quentin")
    assert "signed by quentin@example.org" in world.must("gate", code=4).out


def test_a_sign_off_expires_and_a_clock_that_was_set_back_makes_it_no_better(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.ready()
    world.must("gate")
    now = datetime.now(UTC)
    for days, code, reason in (
        (8, 4, "it expired at"), (41, 3, "stale: found 41 days ago"), (-2, 3, "found in the future")
    ):  # fmt: skip
        monkeypatch.setattr(clock, "now", lambda days=days: now + timedelta(days=days))
        assert reason in world.must("gate", code=code).out
    assert "issued in the future" in world.must("signoff", "list").out


def test_evidence_that_is_stale_is_recorded_anew_and_only_then(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    candidate = world.gather()
    now = datetime.now(UTC)

    def confirmed(days: float) -> bool:
        monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=days))
        return evidence.confirm(world.staging, "smoke", candidate, evidence.PASS, {"reason": "again"}) is not None

    assert [confirmed(days) for days in (0.5, 2, 29, 31, 32, 60, 62)] == [False, False, False, True, False, False, True]
    assert confirmed(50)  # what there is lies in the future now

"""Forged, replayed, swapped and altered sign-offs: each is refused where it is handed in, and each for its own reason.

One world serves all: every test makes a candidate of its own.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import Studio, add_artifacts
from tests.release_world import NEEDS_KEYS, ROLES, World

from agent_studio import clock
from agent_studio.release import evidence, facts, gate
from agent_studio.release.content import candidates
from agent_studio.release.production.sides import open_sides
from agent_studio.release.signing import signoff

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent_studio.release.facts import Gathered

pytestmark = NEEDS_KEYS
_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    path = folder / "my project ünï"
    (path / ".claude").mkdir(parents=True)
    studio = Studio(path)
    add_artifacts(studio)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        made = World(studio, folder)
        for name in ("mallory", "dana"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", folder / name], check=True)
        yield made


@pytest.fixture
def candidate(world: World) -> str:
    """A candidate of this test's own, with all evidence and no signature."""
    world.edit(f"edit {next(_NUMBERS)}")
    return world.gather()


def known(world: World, candidate: str) -> Gathered:
    return facts.gather(open_sides(world.project, {}), candidate)


def signed(world: World, gathered: Gathered, role: str = "qa", by: str = "quinn", **other: Any) -> bytes:
    return signoff.sign({**signoff.statement(gathered.subject, role), **other}, world.folder / by)


def handed_in(world: World, data: bytes, code: int = 4) -> dict[str, Any]:
    """Hand a file in as people do; return what programs are told."""
    place = world.folder / f"handed-in-{next(_NUMBERS)}.json"
    place.write_bytes(data)
    done = world.must("signoff", "verify", str(place), "--json", code=code)
    found: dict[str, Any] = done.data
    assert bool(found.get("kept")) == (code == 0)
    return found


def at(days: float) -> str:
    return clock.timestamp(datetime.now(UTC) + timedelta(days=days))


def altered(data: bytes, **fields: Any) -> bytes:
    value = json.loads(data)
    value["statement"].update(fields)
    return json.dumps(value).encode()


ALTERED: dict[str, tuple[Any, str]] = {
    "schema": ("agent-studio/sign-off/2", "is of a newer version"),
    "project": ("another", "another project"),
    "candidate": ("f" * 64, "nothing is known here of candidate ffffffffffff"),
    "from": ("development", "another from"),
    "to": ("staging", "another to"),
    "evidence": ("f" * 64, "another evidence"),
    "policy": ("f" * 64, "another policy"),
    "replaces": ("f" * 64, "it replaces another than what is live: release ffffffffffff…, not nothing"),
    "flags": ({}, "another flags"),
    "separation": ("none", "another separation"),
    "role": ("security", "not signed, as security"),
    "issued": (at(-0.1), "not signed, as qa"),
    "expires": (at(300), "not signed, as qa"),
    "nonce": ("0" * 32, "not signed, as qa"),
    "ledger": ({"staging": None}, "not signed, as qa"),
    "waives": ("burnin", "another evidence"),
    "why": ("because", "not signed, as qa"),
}
"""Each field of a statement, another value for it, and why the file is refused."""


def test_the_list_of_altered_fields_is_complete(world: World, candidate: str) -> None:
    stated = signoff.statement(known(world, candidate).subject, "qa", ledger={}, waives="burnin", why="so")
    assert set(stated) - {"details"} == set(ALTERED)


@pytest.mark.parametrize("field", ALTERED)
def test_no_field_can_be_altered_after_signing(world: World, candidate: str, field: str) -> None:
    value, reason = ALTERED[field]
    good = signed(world, known(world, candidate), ledger={"staging": {"seq": 1}})
    assert handed_in(world, good, 0)["who"] == "quinn@example.org"
    forged = altered(good, **{field: value})
    if field == "schema":
        assert reason in _refused(world, forged)
        return
    assert reason in handed_in(world, forged)["reason"]


def _refused(world: World, data: bytes) -> str:
    place = world.folder / f"refused-{next(_NUMBERS)}.json"
    place.write_bytes(data)
    return world.must("signoff", "verify", str(place), code=2).err


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("commit", "f" * 40), ("dirty", True), ("author", "somebody@example.org"), ("files", 1), ("changes", []),
        ("evidence", []), ("policy", {}), ("then", {"values": {}, "signers": []}),
        ("waivers", [["burnin", "no need", "sam@example.org", "security"]]), ("more", "words"),
    ],
)  # fmt: skip
def test_a_request_that_tells_what_is_not_so_counts_for_nothing_even_signed(
    world: World, candidate: str, field: str, value: Any
) -> None:
    gathered = known(world, candidate)
    lie = gathered.subject._replace(details={**(gathered.subject.details or {}), field: value})
    data = signoff.sign(signoff.statement(lie, "qa"), world.folder / "quinn")
    assert handed_in(world, data)["reason"] == f"what it tells of {field} is not so, or no longer"


def test_a_signature_is_good_in_its_role_for_its_candidate_in_its_project_only(world: World, candidate: str) -> None:
    gathered = known(world, candidate)
    files = {role: signed(world, gathered, role, by) for role, by in ROLES.items()}
    for role, other in itertools.permutations(ROLES, 2):
        swapped = {**json.loads(files[role]), "signature": json.loads(files[other])["signature"]}
        told = handed_in(world, json.dumps(swapped).encode())
        assert f"it is not signed, as {role}" in told["reason"]
        told = handed_in(world, signed(world, gathered, role, ROLES[other]))  # its own words, by another role's key
        assert f"it is not signed, as {role}" in told["reason"]
    world.edit(f"edit {next(_NUMBERS)}")
    second = known(world, world.gather())
    for role, data in files.items():
        elsewhere = {**json.loads(signed(world, second, role, ROLES[role])), "signature": json.loads(data)["signature"]}
        assert "over exactly these words" in handed_in(world, json.dumps(elsewhere).encode())["reason"]
        renamed = altered(data, candidate=second.subject.candidate)
        assert "another evidence" in handed_in(world, renamed)["reason"]
    foreign = second._replace(subject=second.subject._replace(project="another"))
    assert "another project" in handed_in(world, signed(world, foreign))["reason"]


def test_the_corpus_of_forgeries_is_refused_each_for_its_reason(world: World, candidate: str) -> None:
    gathered = known(world, candidate)
    corpus = {
        "self-made": (signed(world, gathered, by="mallory"), "not signed, as qa"),
        "by the candidate's author, whom nobody named": (signed(world, gathered, by="dana"), "not signed, as qa"),
        "unsigned": (signoff.unsigned(signoff.statement(gathered.subject, "qa")), "nobody has signed it"),
        "expired": (signed(world, gathered, issued=at(-9), expires=at(-2)), "it expired"),
        "from the future": (signed(world, gathered, issued=at(1), expires=at(3)), "issued in the future"),
        "for ever": (signed(world, gathered, expires=at(400)), "more than a year"),
        "without a nonce": (signed(world, gathered, nonce=""), "it has no nonce"),
        "of no role": (signed(world, gathered, role="boss"), "boss is no role"),
        "signed as git signs commits": (_in_namespace(world, gathered, "git"), "not signed, as qa"),
        "signed as a file": (_in_namespace(world, gathered, "file"), "not signed, as qa"),
        "no signature at all": (altered_signature(signed(world, gathered), "x"), "not signed, as qa"),
        "half a signature": (altered_signature(signed(world, gathered), "half"), "not signed, as qa"),
    }
    for name, (data, reason) in corpus.items():
        assert reason in handed_in(world, data)["reason"], name
    assert signoff.kept(world.project, candidate) == {}
    for data in (b"", b"[]", b"\x00\xff", b'{"statement": 1}', b"[" * 100_000):
        assert "is no sign-off" in _refused(world, data)


def _in_namespace(world: World, gathered: Gathered, namespace: str) -> bytes:
    stated = signoff.statement(gathered.subject, "qa")
    from agent_studio.storage import signatures

    signature = signatures.sign(signoff.encoded(stated), world.folder / "quinn", namespace)
    return json.dumps({"statement": stated, "signature": signature}).encode()


def altered_signature(data: bytes, how: str) -> bytes:
    value = json.loads(data)
    value["signature"] = how if how != "half" else value["signature"][: len(value["signature"]) // 2]
    return json.dumps(value).encode()


def test_a_file_laid_into_the_folder_by_hand_counts_no_more_than_one_handed_in(world: World, candidate: str) -> None:
    gathered = known(world, candidate)
    for role in ROLES:
        signoff.keep(world.project, signed(world, gathered, role, "mallory"), "a test's")
    done = world.must("gate", "--json", code=4)
    for one in done.data["requirements"]:
        if one["name"].startswith(gate.SIGNED):
            assert one["verdict"] == "INSUFFICIENT"
            assert "does not count: it is not signed" in one["reason"]
    assert [one["counts"] for one in world.data("signoff", "list")["signOffs"]] == [False] * 3


def test_evidence_that_comes_is_forged_or_goes_voids_what_was_signed(world: World, candidate: str) -> None:
    world.sign(candidate)
    world.must("gate")
    evidence.record(world.staging, "smoke", candidate, evidence.PASS, {"reason": "once more"})
    refused = world.must("gate", "--json", code=4).data["requirements"]
    assert "another evidence" in next(one["reason"] for one in refused if one["name"] == "sign-off.qa")
    world.sign(candidate)
    world.must("gate")
    folder = world.project.path / ".agent-studio/staging/evidence"
    name = next(one for one in evidence.of(world.project, world.staging.environment, candidate).evidence.values()).file
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole.replace(b'"PASS"', b'"FAIL"'))
    assert "changed after it was sealed" in world.must("gate", code=8).out
    (folder / name).write_bytes(whole)
    world.must("gate")


def test_a_second_file_of_one_statement_is_one_sign_off(world: World, candidate: str) -> None:
    data = signed(world, known(world, candidate))
    handed_in(world, data, 0)
    handed_in(world, data, 0)
    assert len(signoff.kept(world.project, candidate)) == 1


def _pub(folder: Path, name: str) -> str:
    return " ".join((folder / f"{name}.pub").read_text().split()[:2])


def test_one_key_that_may_sign_in_two_roles_is_still_one_person(world: World) -> None:
    signers = world.project.path / ".claude/allowed_signers"
    before = signers.read_text()
    try:
        again = f'quinn@example.org namespaces="security@agent-studio" {_pub(world.folder, "quinn")}\n'
        signers.write_text(before.replace("security@agent-studio", "none@agent-studio") + again)
        world.commit("A second name")
        made = world.gather()
        gathered = known(world, made)
        handed_in(world, signed(world, gathered), 0)
        told = handed_in(world, signed(world, gathered, "security", "quinn"))
        assert "signed with the key that signed as qa: another person has to" in told["reason"]
        assert candidates.of(world.project, made).author == "dana@example.org"
    finally:
        signers.write_text(before)
        world.commit("Back")


def test_the_author_cannot_sign_unless_one_person_mode_is_declared(world: World) -> None:
    signers, config = (world.project.path / f".claude/{name}" for name in ("allowed_signers", "config.yaml"))
    before = signers.read_text(), config.read_text()
    try:
        spaces = ",".join(signoff.namespace(role) for role in ROLES)
        signers.write_text(f'dana@example.org namespaces="{spaces}" {_pub(world.folder, "dana")}\n')
        world.commit("Dana alone")
        gathered = known(world, world.gather())
        told = handed_in(world, signed(world, gathered, by="dana"))
        assert told["reason"] == "dana@example.org made the candidate: another person has to sign"
        config.write_text(f"{before[1]}  policy:\n    onePerson: true\n")
        world.commit("One person")
        gathered = known(world, world.gather())
        for role in ROLES:
            handed_in(world, signed(world, gathered, role, "dana"), 0)
        shown = world.must("gate").out
        assert "signed by dana@example.org (one-person mode)" in shown
        assert "one-person mode: one person may sign in several roles" in shown
    finally:
        signers.write_text(before[0])
        config.write_text(before[1])
        world.commit("Back")

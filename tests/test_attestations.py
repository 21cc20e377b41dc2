"""An attestation counts for one item of one candidate, in a role that may give it, by who may, and for a while."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.signing_people import People

from agent_studio import clock
from agent_studio.environment.roots import Project
from agent_studio.errors import UsageError
from agent_studio.release.checklists import attestations
from agent_studio.release.checklists.attestations import NotSignedError, Subject
from agent_studio.release.signing import signoff

if TYPE_CHECKING:
    from pathlib import Path

    from agent_studio.release.signing.signoff import Checked

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not here")
SUBJECT = Subject("a" * 64, "pre", "security-review")
ROLES = ("security",)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People.of_three(tmp_path_factory.mktemp("keys"))


def signed(people: People, by: str = "sam", role: str = "security", subject: Subject = SUBJECT, **other: Any) -> bytes:
    stated = {**attestations.statement(subject, role, "read every line"), **other}
    return signoff.sign(stated, people.folder / by)


def checked(people: People, data: bytes, subject: Subject = SUBJECT, **options: Any) -> Checked:
    return attestations.check(data, "a file", subject, people.policy(**options), ROLES)


def _edited(data: bytes, **fields: Any) -> bytes:
    value = json.loads(data)
    value["statement"].update(fields)
    return json.dumps(value).encode()


def _at(days: float) -> str:
    return clock.timestamp(datetime.now(UTC) + timedelta(days=days))


def test_an_attestation_in_the_right_role_counts(people: People) -> None:
    found = checked(people, signed(people))
    assert (found.role, found.who, found.reason) == ("security", "sam@example.org", "")


@pytest.mark.parametrize("field", Subject._fields)
def test_it_is_about_exactly_one_item_of_one_candidate(people: People, field: str) -> None:
    found = checked(people, signed(people, subject=SUBJECT._replace(**{field: "b" * 64})))
    assert not found.counts
    assert f"another {field}" in found.reason


@pytest.mark.slow
def test_forgeries_are_refused_each_for_its_reason(people: People) -> None:
    good = signed(people)
    swapped = json.loads(good) | {"signature": json.loads(signed(people))["signature"]}
    sign_off = {**attestations.statement(SUBJECT, "security", "x"), "schema": signoff.SCHEMA}
    forged = {
        "a key that nobody named": (signed(people, "mallory"), "not signed, as security"),
        "a key of another role": (signed(people, "quinn"), "not signed, as security"),
        "a role that may not attest to it": (signed(people, "quinn", "qa"), "only security may"),
        "a role changed afterwards": (_edited(signed(people, "quinn", "qa"), role="security"), "not signed"),
        "text changed afterwards": (_edited(good, text="read nothing"), "not signed"),
        "an expiry put off afterwards": (_edited(good, expires=_at(60)), "not signed"),
        "words added afterwards": (_edited(good, note="and more"), "not signed"),
        "a signature of another statement": (json.dumps(swapped).encode(), "not signed"),
        "no signature": (json.dumps({"statement": json.loads(good)["statement"]}).encode(), "nobody has signed"),
        "no text": (signed(people, text="  "), "says nothing"),
        "an expired one": (signed(people, issued=_at(-40), expires=_at(-10)), "expired"),
        "one from the future": (signed(people, issued=_at(1), expires=_at(3)), "future"),
        "one for ten years": (signed(people, expires=_at(3_650)), "more than a year"),
        "one without a nonce": (signed(people, nonce=""), "nonce"),
        "a sign-off in its place": (signoff.sign(sign_off, people.folder / "sam"), "no attestation"),
        "no JSON": (b"\x00", "no attestation"),
    }
    for name, (data, reason) in forged.items():
        found = checked(people, data)
        assert not found.counts, name
        assert reason in found.reason, (name, found.reason)
    assert checked(people, good).counts


def test_the_word_of_a_signer_who_was_removed_counts_no_more(people: People) -> None:
    data = signed(people)
    assert checked(people, data).counts
    assert "not signed" in checked(people, data, without="sam@").reason
    assert "no allowed_signers are live" in checked(people, data, without="@").reason


def test_an_attestation_is_no_sign_off(people: People) -> None:
    subject = signoff.Subject("shop", "a" * 64, "staging", "production", "", "", "", {}, "target")
    assert "no sign-off" in signoff.check(signed(people), "a file", subject, people.policy(), ()).reason


def test_what_would_not_count_is_not_kept(people: People, tmp_path: Path) -> None:
    project = Project(tmp_path)
    stated = attestations.statement(SUBJECT, "security", "read")
    with pytest.raises(NotSignedError, match="not signed, as security"):
        attestations.attest(project, stated, people.folder / "mallory", people.policy(), ROLES)
    with pytest.raises(UsageError, match="not for the role 'qa'"):
        attestations.attest(project, {**stated, "role": "qa"}, people.folder / "quinn", people.policy(), ROLES)
    assert list(tmp_path.iterdir()) == []
    attestations.attest(project, stated, people.folder / "sam", people.policy(), ROLES)
    assert [one.who for one in attestations.of(project, SUBJECT, people.policy(), ROLES)] == ["sam@example.org"]
    assert attestations.of(project, SUBJECT._replace(item="documentation"), people.policy(), ROLES) == []


def test_the_newest_comes_first_and_damaged_files_are_said(people: People, tmp_path: Path) -> None:
    project = Project(tmp_path)
    for days, text in ((-2, "older"), (-1, "newer")):
        stated = attestations.statement(SUBJECT, "security", text) | {"issued": _at(days)}
        attestations.attest(project, stated, people.folder / "sam", people.policy(), ROLES)
    found = attestations.of(project, SUBJECT, people.policy(), ROLES)
    assert [one.statement["text"] for one in found] == ["newer", "older"]
    place = tmp_path / attestations.FOLDER / SUBJECT.candidate / found[0].file
    place.write_bytes(place.read_bytes().replace(b"newer", b"wrong"))
    assert ["not signed" in one.reason for one in attestations.of(project, SUBJECT, people.policy(), ROLES)] == [
        True, False,
    ]  # fmt: skip

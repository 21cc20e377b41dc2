"""A sign-off counts for exactly what it says, in the role it was given, by who may give it, once, and for a while."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.signing_people import People

from agent_studio import clock
from agent_studio.errors import UsageError
from agent_studio.release.signing import signoff, statement, withdrawals
from agent_studio.release.signing.signoff import Checked, Subject

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not here")
SUBJECT = Subject(
    "shop", "a" * 64, "staging", "production", "b" * 64, "c" * 64, "d" * 64, {"partyMode": True}, "target"
)  # fmt: skip


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People.of_three(tmp_path_factory.mktemp("keys"))


def signed(people: People, by: str = "quinn", role: str = "qa", subject: Subject = SUBJECT, **other: Any) -> bytes:
    return signoff.sign({**signoff.statement(subject, role), **other}, people.folder / by)


def checked(people: People, data: bytes, subject: Subject = SUBJECT, used: tuple[str, ...] = ()) -> Checked:
    return signoff.check(data, "a file", subject, people.policy(), used)


def test_a_sign_off_in_ones_own_role_counts(people: People) -> None:
    found = checked(people, signed(people))
    assert (found.role, found.who, found.reason) == ("qa", "quinn@example.org", "")
    assert found.key.startswith("SHA256:")
    assert found.key != checked(people, signed(people, "sam", "security")).key


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("candidate", "f" * 64), ("evidence", "f" * 64), ("policy", "f" * 64), ("replaces", ""), ("project", "other"),
        ("to", "staging"), ("source", "development"), ("flags", {"partyMode": False}), ("separation", "none"),
    ],
)  # fmt: skip
def test_it_is_about_exactly_one_thing(people: People, field: str, value: Any) -> None:
    found = checked(people, signed(people, subject=SUBJECT._replace(**{field: value})))
    assert not found.counts
    assert "another" in found.reason
    assert {"source": "from"}.get(field, field) in found.reason


def _edited(data: bytes, **fields: Any) -> bytes:
    value = json.loads(data)
    value["statement"].update(fields)
    return json.dumps(value).encode()


def _at(days: float) -> str:
    return clock.timestamp(datetime.now(UTC) + timedelta(days=days))


@pytest.mark.slow
def test_forgeries_are_refused_each_for_its_reason(people: People) -> None:
    good = signed(people)
    stranger = signed(people, "mallory")
    swapped = json.loads(good) | {"signature": json.loads(signed(people, "sam", "security"))["signature"]}
    forged = {
        "a role that the key may not sign in": (signed(people, "sam", "qa"), "not signed, as qa"),
        "a key that nobody named": (stranger, "not signed"),
        "a role changed afterwards": (_edited(good, role="security"), "not signed, as security"),
        "a role that there is not": (_edited(good, role="boss"), "no role"),
        "an expiry put off afterwards": (_edited(good, expires=_at(30)), "not signed"),
        "words added afterwards": (_edited(good, note="and more"), "not signed"),
        "a signature of something else": (json.dumps(swapped).encode(), "not signed"),
        "no signature": (json.dumps({"statement": signoff.statement(SUBJECT, "qa")}).encode(), "nobody has signed"),
        "an expired one": (signed(people, issued=_at(-9), expires=_at(-2)), "expired"),
        "one from the future": (signed(people, issued=_at(1), expires=_at(3)), "future"),
        "one without an end": (signed(people, expires="never"), "when it"),
        "one for ten years": (signed(people, expires=_at(3_650)), "more than a year"),
        "one without a nonce": (signed(people, nonce=7), "nonce"),
        "no statement": (b"[]", "no sign-off"),
        "no JSON": (b"\x00\xff", "no sign-off"),
        "deep JSON": (b"[" * 100_000, "no sign-off"),
    }
    for name, (data, reason) in forged.items():
        found = checked(people, data)
        assert not found.counts, name
        assert reason in found.reason, (name, found.reason)
    assert checked(people, good).counts


def test_a_nonce_is_good_for_one_promotion(people: People) -> None:
    data = signed(people)
    nonce = json.loads(data)["statement"]["nonce"]
    assert checked(people, data).counts
    assert "earlier promotion" in checked(people, data, used=(nonce,)).reason


def test_a_signer_whose_line_is_gone_signs_no_more(people: People, tmp_path: Path) -> None:
    others = People(tmp_path)
    assert "no allowed_signers are live" in checked(others, signed(people)).reason
    others.key("someone", "qa")
    assert "not signed" in checked(others, signed(people)).reason


@pytest.mark.slow
def test_only_the_key_that_gave_a_sign_off_takes_it_back(people: People, tmp_path: Path) -> None:
    both = People(tmp_path)
    both.key("quentin", "qa")
    both.lines += people.lines
    policy, good = both.policy(), checked(people, signed(people))

    def after(by: Path, **other: str) -> Checked:
        stated = {**withdrawals.statement(good.statement, "a mistake"), **other}
        one = withdrawals.read(signoff.sign(stated, by))
        assert one is not None
        return withdrawals.applied(good, [one], policy)

    quinn = people.folder / "quinn"
    assert "quinn@example.org withdrew it at" in after(quinn).reason
    assert after(quinn).reason.endswith(": a mistake")
    assert after(tmp_path / "quentin").counts  # who may sign in the same role
    assert after(people.folder / "mallory").counts
    for name in ("project", "candidate", "nonce"):
        assert after(quinn, **{name: "another"}).counts
    whole = withdrawals.read(signoff.sign(withdrawals.statement(good.statement, "a mistake"), quinn))
    assert whole is not None
    edited = whole._replace(statement={**whole.statement, "why": "no mistake"})
    assert withdrawals.applied(good, [edited], policy).counts
    unsigned = withdrawals.Withdrawal(withdrawals.statement(good.statement, "a mistake"), "")
    assert withdrawals.applied(good, [unsigned], policy).counts
    assert withdrawals.read(signed(people)) is None  # a sign-off is no withdrawal
    assert "no sign-off" in checked(people, signoff.sign(withdrawals.statement(good.statement, "x"), quinn)).reason


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@given(data=st.data())
def test_whatever_is_in_a_file_it_is_refused_in_words(people: People, data: st.DataObject) -> None:
    stated = json.loads(json.dumps(signoff.statement(SUBJECT, "qa", ledger={"staging": None})))
    stated["details"] = {"commit": None, "dirty": None, "author": "", "files": 1, "changes": [["new", "x"]]}
    place = data.draw(st.sampled_from([(name,) for name in stated] + [("details", name) for name in stated["details"]]))
    held = stated if len(place) == 1 else stated["details"]
    held[place[-1]] = data.draw(PLAIN)
    written = json.dumps({"statement": stated, "signature": data.draw(PLAIN)}).encode()
    assert not checked(people, written).counts
    assert withdrawals.read(written) is None
    with pytest.raises(UsageError):  # an untold word, or one that is missing: evidence, policy and waivers are
        statement.refuse_unreadable(stated, "a file")

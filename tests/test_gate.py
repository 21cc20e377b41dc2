"""The gate is a function of what is known: what is missing, stale, damaged or waived by the wrong one never passes."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_studio import clock
from agent_studio.errors import ExitCode
from agent_studio.release import gate
from agent_studio.release.evidence import Evidence
from agent_studio.release.gate import Facts
from agent_studio.release.policy import Policy
from agent_studio.release.signing.signoff import Checked

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROLES = ("qa", "security", "uat")


def evidence(kind: str, verdict: str = "PASS", *, age_days: float = 1, time: str | None = None) -> Evidence:
    at = clock.timestamp(NOW - timedelta(days=age_days)) if time is None else time
    return Evidence(kind, "staging", "a" * 64, verdict, at, {"reason": f"{kind} was {verdict}"}, "a file", "b" * 64)


def signed(role: str, who: str = "", key: str = "", reason: str = "", **said: str) -> Checked:
    return Checked(role, who or f"{role}@example.org", reason, {"nonce": "c" * 32, **said}, f"{role}.json", key or role)


def waiver(item: str, role: str = "qa", **other: Any) -> Checked:
    return signed(role, **{"waives": item, "why": "we know why", **other})


def policy(signers: bytes = b"x", **values: Any) -> Policy:
    return Policy({"roles": ROLES, "evidenceDays": 30, **values}, signers, "e" * 64, bootstrap=False)


GOOD = Facts(
    "a" * 64, "target", policy(), {kind: evidence(kind) for kind in gate.REQUIRED}, [signed(role) for role in ROLES],
    [], ["dana@example.org"], NOW,
)  # fmt: skip


def with_evidence(kind: str, one: Evidence | None) -> Facts:
    rest = {name: held for name, held in GOOD.evidence.items() if name != kind}
    return GOOD._replace(evidence=rest if one is None else {**rest, kind: one})


def of(facts: Facts, name: str) -> tuple[str, str]:
    found = next(one for one in gate.decide(facts).requirements if one.name == name)
    return found.verdict, found.reason


def test_when_all_is_there_it_passes() -> None:
    found = gate.decide(GOOD)
    assert (found.verdict, found.code) == ("PASS", ExitCode.DONE)
    assert len(found.requirements) == len(gate.STATE) + len(gate.REQUIRED) + len(ROLES)


@pytest.mark.parametrize("kind", gate.REQUIRED)
def test_each_kind_of_evidence_decides(kind: str) -> None:
    for one, verdict, code in (
        (None, "INSUFFICIENT", ExitCode.INSUFFICIENT),
        (evidence(kind, "FAIL"), "FAIL", ExitCode.FAILED),
        (evidence(kind, "INSUFFICIENT"), "INSUFFICIENT", ExitCode.INSUFFICIENT),
    ):
        found = gate.decide(with_evidence(kind, one))
        assert (found.verdict, found.code) == (verdict, code)


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (evidence("smoke", age_days=41), "stale: found 41 days ago, and evidence counts for 30"),
        (evidence("smoke", age_days=-1), "found in the future"),
        (evidence("smoke", time="yesterday"), "does not say when"),
        (evidence("smoke", time=""), "does not say when"),
        (evidence("smoke", "FAIL", age_days=41), "stale"),
    ],
)
def test_evidence_that_is_old_or_from_the_future_is_none(one: Evidence, reason: str) -> None:
    verdict, told = of(with_evidence("smoke", one), "smoke")
    assert verdict == "INSUFFICIENT"
    assert reason in told


def test_how_old_evidence_may_be_is_policy() -> None:
    old = with_evidence("smoke", evidence("smoke", age_days=41))
    assert of(old._replace(policy=policy(evidenceDays=42)), "smoke")[0] == "PASS"
    assert of(GOOD._replace(policy=policy(evidenceDays=1)), "smoke")[0] == "PASS"
    assert of(with_evidence("smoke", evidence("smoke", age_days=29.9)), "smoke")[0] == "PASS"
    assert of(with_evidence("smoke", evidence("smoke", age_days=-0.003)), "smoke")[0] == "PASS"  # clocks differ a bit
    before = Policy({"roles": ROLES}, b"x", "e" * 64, bootstrap=False)  # of a release that knew no such rule
    assert of(GOOD._replace(policy=before), "smoke")[0] == "PASS"
    assert of(old._replace(policy=before), "smoke")[0] == "INSUFFICIENT"


def test_the_code_is_that_of_the_gravest() -> None:
    unsigned = GOOD._replace(signatures=[])
    assert gate.decide(unsigned).code == ExitCode.NOT_SIGNED
    lacking = unsigned._replace(evidence={})
    assert gate.decide(lacking).code == ExitCode.INSUFFICIENT
    failed = lacking._replace(evidence={"smoke": evidence("smoke", "FAIL")})
    assert gate.decide(failed).code == ExitCode.FAILED
    drifted = failed._replace(drift=["agents/x.md"])
    assert gate.decide(drifted).code == ExitCode.BUSY
    interrupted = drifted._replace(interrupted=True)
    assert gate.decide(interrupted).code == ExitCode.RECOVERY
    assert gate.decide(interrupted._replace(damage=["a bit flipped"])).code == ExitCode.INTEGRITY


def test_a_waiver_waives_what_it_names_and_says_by_whom_and_why() -> None:
    failed = with_evidence("burnin", evidence("burnin", "FAIL"))
    waived = failed._replace(waivers=[waiver("burnin")])
    assert of(waived, "burnin") == ("WAIVED", "FAIL, waived by qa@example.org as qa: we know why")
    assert gate.decide(waived).code == ExitCode.DONE
    assert of(failed._replace(waivers=[waiver("smoke")]), "burnin")[0] == "FAIL"
    assert of(GOOD._replace(waivers=[waiver("burnin")]), "burnin")[0] == "PASS"


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (waiver("burnin", reason="it expired"), "it expired"),
        (waiver("burnin", "uat"), "only qa or security may waive, not uat"),
        (waiver("burnin", who="Dana@example.org"), "made the candidate"),
        (waiver("burnin", why="  "), "no reason"),
    ],
)
def test_a_waiver_of_the_wrong_one_waives_nothing(one: Checked, reason: str) -> None:
    failed = with_evidence("burnin", evidence("burnin", "FAIL"))._replace(waivers=[one])
    verdict, told = of(failed, "burnin")
    assert verdict == "FAIL"
    assert "the waiver there is does not count" in told
    assert reason in told
    both = failed._replace(waivers=[one, waiver("burnin", "security"), one])
    assert of(both, "burnin")[0] == "WAIVED"


def test_in_one_person_mode_the_author_may_waive_and_sign_and_it_shows() -> None:
    own = {"who": "dana@example.org", "key": "one"}
    facts = with_evidence("burnin", None)._replace(
        signatures=[signed(role, **own) for role in ROLES], waivers=[waiver("burnin", **own)]
    )
    assert gate.decide(facts).code == ExitCode.INSUFFICIENT
    alone = facts._replace(policy=policy(onePerson=True))
    assert gate.decide(alone).code == ExitCode.DONE
    assert "one-person mode" in of(alone, "sign-off.qa")[1]


def test_state_and_signatures_cannot_be_waived() -> None:
    names = [*gate.STATE, *(f"sign-off.{role}" for role in ROLES)]
    bad = GOOD._replace(
        damage=["x"],
        interrupted=True,
        drift=["y"],
        issues=["z"],
        unsignable=["z"],
        signatures=[],
        waivers=[waiver(name) for name in names],
    )
    verdicts = {one.name: one.verdict for one in gate.decide(bad).requirements}
    assert {verdicts[name] for name in names} == {"FAIL", "INSUFFICIENT"}
    assert all(gate.unwaivable(name) for name in (*names, "nonsense"))
    assert [fault for _, fault in gate.judged(bad) if not fault] == []


def test_before_the_first_promotion_none_is_claimed() -> None:
    assert of(GOOD._replace(live=""), "drift") == (
        "PASS", "nothing was promoted yet, and nothing in production would be lost",
    )  # fmt: skip
    assert of(GOOD._replace(live="f" * 64), "drift") == ("PASS", "production is the release that was promoted")


def test_what_is_open_and_grave_fails_and_what_nobody_understands_is_no_pass() -> None:
    both = GOOD._replace(issues=["issues.md:3 HIGH: Keys leak", "alert 1"], unclear=["issues.md:9 ?: What"])
    assert (of(both, "issues"), gate.decide(both).code) == (("FAIL", "issues.md:3 HIGH: Keys leak, and 1 more"), 1)
    unclear = both._replace(issues=[])
    assert (of(unclear, "issues"), gate.decide(unclear).code) == (("INSUFFICIENT", "issues.md:9 ?: What"), 3)


def test_a_production_that_is_elsewhere_stands_in_the_place_of_drift_and_cannot_be_waived() -> None:
    facts = GOOD._replace(absent="the target /x is not on this machine", waivers=[waiver(gate.PRODUCTION)])
    found = gate.decide(facts)
    assert (found.code, found.verdict) == (ExitCode.INSUFFICIENT, "INSUFFICIENT")
    assert [one for one in found.requirements if one.verdict != "PASS"] == [
        (gate.PRODUCTION, "INSUFFICIENT", "the target /x is not on this machine")
    ]
    assert "drift" not in {one.name for one in found.requirements}
    assert gate.unwaivable(gate.PRODUCTION).startswith("production cannot be waived")


def test_the_author_and_one_key_for_two_roles_do_not_do() -> None:
    by_author = GOOD._replace(signatures=[signed("qa", "DANA@example.org"), signed("security"), signed("uat")])
    assert "made the candidate" in of(by_author, "sign-off.qa")[1]
    twice = GOOD._replace(signatures=[signed("qa", key="one"), signed("security", key="one"), signed("uat")])
    assert of(twice, "sign-off.qa")[0] == "PASS"
    assert "signed with the key that signed as qa" in of(twice, "sign-off.security")[1]
    three = twice._replace(signatures=[*twice.signatures, signed("qa", "another@example.org", "two")])
    assert gate.decide(three).code == ExitCode.DONE  # the other key does for qa, and leaves the first for security


@pytest.mark.slow
def test_keys_are_matched_to_roles_so_that_as_many_as_can_be_are_met() -> None:
    def by(role: str, key: str) -> Checked:
        return signed(role, f"{key}@example.org", key)

    for signatures in itertools.permutations([by("qa", "a"), by("qa", "b"), by("security", "a"), by("uat", "c")]):
        assert gate.decide(GOOD._replace(signatures=signatures)).code == ExitCode.DONE
    chain = [by("qa", "a"), by("qa", "b"), by("security", "b"), by("security", "c"), by("uat", "c"), by("uat", "a")]
    for signatures in itertools.permutations(chain):
        assert gate.decide(GOOD._replace(signatures=signatures)).code == ExitCode.DONE
    two = [by(role, key) for role in ROLES for key in ("a", "b")]
    left = gate.decide(GOOD._replace(signatures=two))
    assert [one.name for one in left.requirements if one.verdict != "PASS"] == ["sign-off.uat"]


def test_all_names_of_a_key_count_and_all_authors() -> None:
    facts = GOOD._replace(authors=["dana@example.org", "eve@example.org"])
    for names in (("team", "eve@example.org"), ("*@example.org",), ("!eve@example.org", "*")):
        one = signed("uat", "team")._replace(names=names)
        verdict, reason = of(facts._replace(signatures=[*facts.signatures[:2], one]), "sign-off.uat")
        assert (verdict, "made the candidate" in reason) == ("INSUFFICIENT", True)
    one = signed("uat", "team")._replace(names=("team", "sam@example.org"))
    assert of(facts._replace(signatures=[*facts.signatures[:2], one]), "sign-off.uat")[0] == "PASS"
    same = [signed("qa", "q@e", "one"), signed("security", "Q@e", "two"), signed("uat")]
    assert "may be q@e, who signed as qa" in of(GOOD._replace(signatures=same), "sign-off.security")[1]


@pytest.mark.parametrize("why", [None, {"a": "b"}, "", " ", "two\nlines", "\x1b[2K"])
def test_a_waiver_whose_reason_is_no_line_of_text_does_not_count_and_does_no_harm(why: Any) -> None:
    failed = with_evidence("burnin", evidence("burnin", "FAIL"))
    bad, unsigned = waiver("burnin", why=why), waiver("burnin", reason="nobody has signed it")
    if why is None:
        bad = signed("qa", waives="burnin")
    alone = failed._replace(waivers=[bad])
    assert of(alone, "burnin")[0] == "FAIL"
    assert "it says no reason" in of(alone, "burnin")[1]
    for order in itertools.permutations([bad, unsigned, waiver("burnin", "security")]):
        assert of(failed._replace(waivers=list(order)), "burnin")[0] == "WAIVED"


def test_signers_that_would_lock_promotion_up_are_a_failure_and_before_the_first_release_not_yet_one() -> None:
    stuck = GOOD._replace(unsignable=["nobody may sign as qa"])
    assert of(stuck, "signers") == ("FAIL", "nobody may sign as qa")
    assert gate.decide(stuck).code == ExitCode.FAILED
    first = stuck._replace(policy=policy()._replace(bootstrap=True))
    assert of(first, "signers") == ("INSUFFICIENT", "nobody may sign as qa")
    assert gate.decide(first).code == ExitCode.NOT_SIGNED


def test_a_role_that_is_not_asked_for_counts_for_nothing_and_one_that_is_cannot_be_missing() -> None:
    two = GOOD._replace(policy=policy(roles=("qa", "security")))
    assert gate.decide(two).code == ExitCode.DONE
    assert [fault for one, fault in gate.judged(two) if one.role == "uat"] == ["the policy asks for no sign-off as uat"]
    assert of(GOOD._replace(policy=policy(roles=("boss",))), "sign-off.boss") == (
        "INSUFFICIENT", "'boss' is no role: qa, security, uat"
    )  # fmt: skip
    assert of(GOOD._replace(policy=policy(b""), signatures=[]), "sign-off.qa")[1].startswith("no allowed_signers")


KINDS = sorted(gate.REQUIRED)
VERDICTS = st.sampled_from(["PASS", "FAIL", "INSUFFICIENT"])


@given(
    found=st.dictionaries(st.sampled_from(KINDS), st.tuples(VERDICTS, st.integers(-40, 80))),
    waived=st.lists(st.tuples(st.sampled_from([*KINDS, *gate.STATE, "sign-off.qa"]), st.sampled_from(ROLES))),
    roles=st.sets(st.sampled_from(ROLES)),
    broken=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_it_lets_through_only_what_passes_or_is_waived_by_who_may(
    found: dict[str, tuple[str, int]], waived: list[tuple[str, str]], roles: set[str], broken: tuple[bool, ...]
) -> None:
    facts = GOOD._replace(
        evidence={kind: evidence(kind, verdict, age_days=age) for kind, (verdict, age) in found.items()},
        waivers=[waiver(item, role) for item, role in waived],
        signatures=[signed(role) for role in sorted(roles)],
        damage=["x"] * broken[0], interrupted=broken[1], drift=["y"] * broken[2],
    )  # fmt: skip
    answer = gate.decide(facts)
    good = {kind for kind, (verdict, age) in found.items() if verdict == "PASS" and 0 <= age <= 30}
    good |= {item for item, role in waived if role != "uat"}
    expected = set(KINDS) <= good and roles == set(ROLES) and not any(broken)
    assert (answer.code == ExitCode.DONE) == (answer.verdict == "PASS") == expected
    assert gate.decide(facts) == answer

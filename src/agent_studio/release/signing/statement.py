"""What a statement says beyond its hashes, and all of it in words: who signs reads what is signed, and nothing else.

The facts that the words are made of are in the statement itself, under `details`. A statement whose details are not
what is known of the candidate does not count, so a request cannot tell one thing and bind another.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agent_studio import clock
from agent_studio.errors import UsageError
from agent_studio.release import gate
from agent_studio.release.policy import SIGNERS
from agent_studio.release.production.target import IN_PLACE, SEPARATE
from agent_studio.release.signing import people, signers, signoff

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from agent_studio.release.content.candidates import Made
    from agent_studio.release.content.manifest import Difference
    from agent_studio.release.evidence import Evidence
    from agent_studio.release.policy import Policy
    from agent_studio.release.signing.signers import Signer
    from agent_studio.release.signing.signoff import Checked

NO_ROLES = "nobody has to sign: release.policy.roles is empty"
SEPARATION: Mapping[str, str] = {
    IN_PLACE: (
        "separation: none. One checkout is both sides: the definitions are live the moment they are written. A "
        "promotion applies production's configuration and flags and records the bytes, so that there is a way back; "
        "it cannot keep an edit from being live before it was promoted."
    ),
    SEPARATE: (
        "separation: target. Production's definitions are in a folder of their own: an edit here is live only once it "
        "was promoted. It cannot keep somebody who may write there from editing them; such edits are drift, which the "
        "gate refuses."
    ),
}
"""What each form of production can promise, and what it cannot."""
_FIELDS = frozenset(
    ("schema", "project", "candidate", "from", "to", "evidence", "policy", "replaces", "flags", "separation", "details",
     "role", "issued", "expires", "nonce")
)  # fmt: skip
_MORE = frozenset(("ledger", signoff.WAIVES, "why"))
_DETAILS = frozenset(("commit", "dirty", "author", "files", "changes", "evidence", "policy", "then", "waivers"))
_RULES = frozenset(("values", "signers"))
_POLICY = _RULES | {"of", "bootstrap"}


def details(
    made: Made, changes: Iterable[Difference], evidence: Iterable[Evidence], rules: Policy, then: Policy
) -> dict[str, Any]:
    """Return what is told of a candidate to those who sign it, as plain JSON; `then` are the rules that it brings."""
    told = {
        "commit": made.commit,
        "dirty": made.dirty,
        "author": made.author,
        "files": made.files,
        "changes": [[change_word(one), one.path] for one in changes],
        "evidence": told_evidence(evidence),
        "policy": {"of": rules.of, "bootstrap": rules.bootstrap, **_rules(rules)},
        "then": None if then.sha256 == rules.sha256 else _rules(then),
        "waivers": [],
    }
    plain: dict[str, Any] = json.loads(json.dumps(told, default=list))
    return plain


def told_evidence(evidence: Iterable[Evidence]) -> list[list[str]]:
    """Return what a statement tells of evidence."""
    return sorted([one.kind, one.verdict, str(one.data.get("reason") or ""), one.time, one.sha256] for one in evidence)


def _rules(rules: Policy) -> dict[str, Any]:
    return {"values": dict(rules.values), "signers": may_sign(rules.signers)}


def unmeetable(rules: Policy, now: datetime) -> list[str]:
    """Return why nobody could ever meet what a policy asks for, by those whom it names; empty when they can."""
    roles = [str(role) for role in rules.values.get("roles") or ()]
    lines = signers.read(rules.signers)
    good = [one for one in lines if not one.fault and not one.is_over(now)]
    options = [[one for one in good if role in one.roles] for role in roles]
    nobody = [role for role, held in zip(roles, options, strict=True) if not held]
    if nobody:
        wrong = next((f" (line {one.number}: {one.fault})" for one in lines if one.fault), "")
        return [f"nobody in {SIGNERS} may sign as {' or '.join(nobody)}{wrong}"]
    if rules.values.get("onePerson"):
        return []
    found = people.chosen(options, _is_same)
    left = [role for role, one in zip(roles, found, strict=True) if one is None]
    return (
        [f"nobody in {SIGNERS} is left to sign as {' or '.join(left)}: each role needs another person"] if left else []
    )


def _is_same(one: Signer, other: Signer) -> bool:
    return one.fingerprint == other.fingerprint or people.are_one(one.principals, other.principals)


def waived(waivers: Iterable[Checked]) -> list[list[str]]:
    """Return what waivers say, as a statement tells it."""
    return sorted([str(one.statement[signoff.WAIVES]), str(one.statement["why"]), one.who, one.role] for one in waivers)


def change_word(change: Difference) -> str:
    """Return what becomes of a file."""
    return "new" if change.old is None else "gone" if change.new is None else "changed"


def may_sign(data: bytes) -> list[list[Any]]:
    """Return who is named in a file of allowed signers, each with the roles that the line gives; faulty lines too."""
    return [[_named(one), list(one.roles)] for one in signers.read(data)]


def _named(one: Signer) -> str:
    if one.fault:
        return f"line {one.number} ({one.fault})"
    times = (("from", one.valid_after), ("until", one.valid_before))
    return " ".join([", ".join(one.principals), *(f"{word} {clock.timestamp(at)}" for word, at in times if at)])


def refuse_unreadable(stated: Mapping[str, Any], shown: str) -> None:
    """Raise `UsageError` for a statement that the words would not tell whole."""
    missing, unknown = set(_FIELDS - stated.keys()), stated.keys() - _FIELDS - _MORE
    told = stated.get("details")
    if isinstance(told, dict):
        missing, unknown = missing | (_DETAILS - told.keys()), unknown | (told.keys() - _DETAILS)
        for name, allowed in (("policy", _POLICY), ("then", _RULES)):
            rules = told.get(name)
            unknown |= rules.keys() - allowed if isinstance(rules, dict) else set()
    try:
        words(stated)
    except (LookupError, ValueError, TypeError, AttributeError):
        missing = missing or {"details"}
    for names, fault in ((missing, "does not say"), (unknown, "says what nobody would be shown:")):
        if names:
            raise UsageError(f"{shown} {fault} {', '.join(sorted(names))}", hint="have it requested anew")


def words(stated: Mapping[str, Any]) -> list[str]:
    """Return everything that a statement says, line by line: what it holds itself, and what evidence it lacks."""
    told = stated["details"]
    return [
        *_head(stated, told),
        "",
        f"What changes in {stated['to']} ({len(told['changes'])} of {told['files']} files)",
        *(f"  {word:<8} {path}" for word, path in told["changes"]),
        *([f"Feature flags of {stated['to']}, as in {stated['from']}"] if stated["flags"] else []),
        *(f"  flag     {flag} {'on' if on else 'off'}" for flag, on in stated["flags"].items()),
        "",
        f"Evidence {stated['evidence']}",
        *(f"  {verdict:<13} {kind}: {reason} ({time})" for kind, verdict, reason, time, _ in told["evidence"]),
        *(f"  {'NOTHING':<13} {kind}: {about}" for kind, about in _lacking(stated, told)),
        *(f"  WAIVED        {item} by {who} as {role}: {why}" for item, why, who, role in told["waivers"]),
        "",
        f"Policy {stated['policy']}",
        f"  of {origin(told['policy']['of'], bootstrap=told['policy']['bootstrap'])}",
        *_told_rules(told["policy"]),
        *(["Once it is live, another policy holds", *_told_rules(told["then"])] if told["then"] else []),
        "",
        *_time(stated),
    ]


def _lacking(stated: Mapping[str, Any], told: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the kinds of evidence that there is nothing of: of those that a promotion needs, or of the waived one."""
    there = {one[0] for one in told["evidence"]}
    waived, needed = stated.get(signoff.WAIVES), gate.needed(told["policy"]["values"])
    return [(kind, about) for kind, about in needed.items() if kind not in there and waived in {None, kind}]


def _head(stated: Mapping[str, Any], told: Mapping[str, Any]) -> Iterator[str]:
    role = stated["role"]
    if signoff.WAIVES in stated:
        yield f"A waiver, as {role}: {stated[signoff.WAIVES]} need not pass, because: {stated['why']}"
    else:
        yield f"A sign-off, as {role}: exactly this may go to {stated['to']}, once"
    yield f"  project     {stated['project']}"
    yield f"  candidate   {stated['candidate']}"
    at = f"commit {told['commit']}" if told["commit"] else "no git commit"
    changed = ", with changes that are not committed" if told["dirty"] else ""
    yield f"              {at}{changed}, by {told['author'] or 'nobody knows whom'}"
    yield f"  from, to    {stated['from']} to {stated['to']}"
    replaces, separation = stated["replaces"], stated["separation"]
    yield f"  replaces    {f'release {replaces}' if replaces else 'nothing: the first release'}"
    yield f"  {SEPARATION.get(separation, f'separation: {separation}')}"


def _told_rules(rules: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"  {name}: {_shown(value)}" for name, value in sorted(rules["values"].items()))
    if not rules["values"].get("roles"):
        yield f"  {NO_ROLES}"
    if rules["values"].get("onePerson"):
        yield "  one-person mode: one person may sign in several roles, and what they made themselves"
    yield from (f"  {who} may sign as {', '.join(roles) or 'nobody'}" for who, roles in rules["signers"])


def origin(of: str, *, bootstrap: bool) -> str:
    """Return where a policy comes from."""
    if bootstrap:
        return "the candidate itself: it is the first release, so its own policy and signers hold"
    return f"release {of}, which is live; the candidate's own policy and signers hold once it is"


def _time(stated: Mapping[str, Any]) -> Iterator[str]:
    yield f"Issued {stated['issued']}, expires {stated['expires']}, nonce {stated['nonce']}"
    for name, head in (stated.get("ledger") or {}).items():
        yield f"  the ledger of {name} ends with {json.dumps(head)}" if head else f"  no ledger of {name}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)

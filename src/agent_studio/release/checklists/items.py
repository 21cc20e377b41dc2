"""The four checklists as data: what each item is called, how it is decided, and what brings it about."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.release.signing.signoff import ROLES

if TYPE_CHECKING:
    from collections.abc import Mapping


class How(StrEnum):
    """What decides an item."""

    EVIDENCE = "evidence"
    """The newest evidence of a kind on the candidate."""
    STATE = "state"
    """What is there when the checklist is asked: `release.looks`."""
    ATTESTED = "attested"
    """A signed attestation."""
    GATE = "gate"
    """A sign-off. Signatures name all evidence, so the checklist shows them and is never decided by them."""


class Item(NamedTuple):
    """One item."""

    id: str
    title: str
    how: How
    mends: str
    """The command or the deed that brings it about."""
    kind: str = ""
    """Of the evidence that the gate asks for besides; where that is waived, the item is."""
    roles: tuple[str, ...] = ()
    """Who may attest to it, or has to sign off."""
    is_told: bool = False
    """What was found is told even where the item holds."""


ACKNOWLEDGING = ("qa", "security")
"""Roles that may say of a CRITICAL or HIGH error that it was looked at."""
_GRAVE_ERROR = re.compile(r"errors-[0-9a-f]{12}-(?:critical|high)")
PRE, DEPLOY, POST, PROMOTION = "pre", "deploy", "post", "promotion"
CHECKLISTS: Mapping[str, tuple[Item, ...]] = {
    PRE: (
        Item("tests", "All tests passing (unit, integration, E2E)", How.EVIDENCE,
             "agent-studio test --env staging", kind="test"),
        Item("performance", "Performance benchmarks passing", How.EVIDENCE,
             "agent-studio burnin report, once the burn-in has figures", kind="performance"),
        Item("issues", "No open CRITICAL or HIGH issues", How.STATE,
             "resolve them, and say so in memory/issues.md"),
        Item("security-review", "Security review complete", How.ATTESTED,
             "review it, then --attest security-review", roles=("security",)),
        Item("documentation", "Documentation updated", How.ATTESTED,
             "read it, then --attest documentation", roles=ROLES),
    ),
    DEPLOY: (
        Item("environment", "Environment set", How.STATE, "agent-studio config check --env staging"),
        Item("init", "Init run", How.STATE, "agent-studio init --env staging"),
        Item("configuration", "config.staging.yaml verified as loaded", How.STATE,
             "agent-studio config show --env staging"),
        Item("smoke", "Smoke tests passing", How.EVIDENCE, "agent-studio smoke --env staging", kind="smoke"),
        Item("suite", "Full test suite passing", How.EVIDENCE, "agent-studio test --env staging", kind="test"),
    ),
    POST: (
        Item("features", "All features working", How.STATE, "mend what the probe names"),
        Item("dashboard", "Monitoring dashboard checked", How.STATE,
             "let sessions run in staging, then agent-studio ingest --env staging"),
        Item("errors", "Error logs reviewed", How.STATE,
             "agent-studio checklist post --acknowledge ID --reason TEXT, signed if CRITICAL or HIGH",
             kind="errors", is_told=True),
        Item("procedures", "Manual procedures run", How.ATTESTED,
             "run them, then --attest procedures", roles=("qa",)),
        Item("sign-off.qa", "Sign-off by QA", How.GATE, "agent-studio signoff request --role qa", roles=("qa",)),
        Item("sign-off.security", "Sign-off by Security", How.GATE,
             "agent-studio signoff request --role security", roles=("security",)),
    ),
    PROMOTION: (
        Item("validation", "Staging validation complete", How.EVIDENCE, "agent-studio burnin report", kind="burnin"),
        Item("critical-issues", "No critical issues in staging", How.STATE,
             "resolve them, and say so in memory/issues.md"),
        Item("sign-off.uat", "User acceptance testing complete", How.GATE,
             "agent-studio signoff request --role uat", roles=("uat",)),
        Item("rollback-plan", "Rollback plan documented", How.STATE,
             "agent-studio checklist promotion --plan FILE", kind="plan"),
        Item("deployment-checklist", "Production deployment checklist ready", How.STATE,
             "agent-studio checklist promotion --plan FILE", kind="plan"),
    ),
}  # fmt: skip


def grave_error(group_id: str, severity: str) -> str:
    """Return the item by which somebody attests that a kind of error that is CRITICAL or HIGH was looked at."""
    return f"errors-{group_id}-{severity.lower()}"


def attesting(checklist: str, item: str) -> tuple[str, ...]:
    """Return the roles that may attest to something; none for what nobody attests to."""
    if checklist == POST and _GRAVE_ERROR.fullmatch(item):
        return ACKNOWLEDGING
    known = attested(checklist).get(item) if checklist in CHECKLISTS else None
    return () if known is None else known.roles


def attested(checklist: str) -> dict[str, Item]:
    """Return the items of a checklist that people attest to, by id."""
    return {one.id: one for one in CHECKLISTS[checklist] if one.how is How.ATTESTED}

"""What a limit says of a figure: within it, over it, or too little is known."""

from __future__ import annotations

from typing import NamedTuple

OK, BREACH, UNKNOWN = "OK", "BREACH", "UNKNOWN"
SEVERITIES = ("LOW", "MEDIUM", "HIGH", "CRITICAL")
"""The specification's, mildest first."""
RULES = (
    "hookExecutionTimeMs", "hookFailureRate", "hookFailureBurst", "agentFailureRate", "agentFailureBurst",
    "errorRatePerHour", "tokenBudgetPerDay", "budget", "silence", "ingest", "ledger", "flagRollout",
)  # fmt: skip
"""What a verdict may be on."""


class Verdict(NamedTuple):
    """One figure beside its limit."""

    rule: str
    """The limit's key in the configuration, or `budget`, `silence`, `ingest`, `ledger`, `flagRollout`, a `...Burst`."""
    label: str
    """The hook, agent, budget or flag; empty for all together."""
    state: str
    """OK, BREACH (even the lower bound is over the limit) or UNKNOWN (too little, or nothing could be looked at)."""
    severity: str
    """CRITICAL, HIGH, MEDIUM or LOW: what a breach would be."""
    value: float | None
    low: float | None
    """What the truth is over, in 19 cases of 20."""
    high: float | None
    """What the truth is under, in 19 cases of 20."""
    limit: float | None
    unit: str
    """ratio (0 to 1), ms, errors, usd, tokens, minutes, calls or records."""
    count: int  # type: ignore[assignment] # a tuple counts too, and nobody asks it to
    """Of how many runs, errors or the like this is."""
    needed: int
    """How many more it takes for a verdict, when none of them fails; 0 when there is one."""
    message: str
    clear: bool = True
    """Whether it is so far below the limit that an alert may end."""
    certain: bool = True
    """Whether a breach needs no second look: it holds at 99 % too."""
    alerting: bool = True
    """False for what is shown and never becomes an alert: it is past, or another verdict says it better."""
    warns: bool = False
    """Whether it is worth an alert although it is within its limit: a budget that is nearly used."""


def worse(severity: str) -> str:
    """Return the severity one step up."""
    return SEVERITIES[min(SEVERITIES.index(severity) + 1, len(SEVERITIES) - 1)]


def unknown(rule: str, severity: str, message: str, *, label: str = "", unit: str = "") -> Verdict:
    """Return the verdict on what could not be looked at: an alert that is open stays so."""
    return Verdict(rule, label, UNKNOWN, severity, None, None, None, None, unit, 0, 0, message, clear=False)

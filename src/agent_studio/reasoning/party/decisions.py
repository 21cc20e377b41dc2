"""What a party recommends, or a person decided after it, written to `decisions.md` on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio import clock
from agent_studio.errors import UsageError
from agent_studio.reasoning.party import outcome
from agent_studio.reasoning.party.report import text
from agent_studio.redaction import redact
from agent_studio.storage import locks

if TYPE_CHECKING:
    from agent_studio.environment.context import Context
    from agent_studio.reasoning.party.outcome import Outcome

FILE = "decisions.md"
_LOCK = "decisions.lock"
_WAIT_S = 10.0
_TITLE_MAX = 120


def record(context: Context, found: Outcome, *, option: str = "", reason: str = "", who: str = "") -> str | None:
    """Add a decision and return its text, or None where it is recorded already.

    Without an option it is what is recommended; raises `UsageError` where nothing is.
    """
    if not option and found.decision != outcome.RECOMMEND:
        raise UsageError(
            f"{found.session.id} recommends nothing: a person decides",
            hint=f'agent-studio party decide {found.session.id} --option "..." --reason "..."',
        )
    entry = _entry(found, option, reason, who)
    folder = context.root.folder("memory")
    folder.make()
    with locks.exclusive(context.root.state, _LOCK, doing="recording a decision", wait_s=_WAIT_S):
        try:
            known = folder.read(FILE).decode("utf-8", "replace")
        except FileNotFoundError:
            known = "# Decisions\n"
        if entry.partition("\n")[2] in known:
            return None
        folder.replace(FILE, (known.rstrip("\n") + "\n\n" + entry).encode())
    return entry


def _entry(found: Outcome, option: str, reason: str, who: str) -> str:
    data, session = outcome.data(found), found.session
    title = " ".join(session.question.split())
    title = title if len(title) <= _TITLE_MAX else title[: _TITLE_MAX - 1] + "…"
    decided = option or str(data["option"])
    away = [one for one in data["dissent"] if not one["requested"]]
    lines = [
        f"## {clock.timestamp(clock.now())[:10]}: {text(title)}", "",
        f"- decision: {text(decided)}",
        f"- by: {text(who) if who else 'recommendation of the party'}",
        f"- party: {session.id}, consensus {found.state} ({outcome.needed(found)}), {outcome.calls(found)}",
    ]  # fmt: skip
    lines += [f"- reason: {text(reason)}"] if reason else []
    lines += [f"- dissent: {text(one['agent'])}: {text(one.get('rationale') or 'no reason given')}" for one in away]
    return redact("\n".join(lines)) + "\n"

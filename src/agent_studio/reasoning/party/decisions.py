"""What a party recommends, or a person decided after it, added to the project's decisions on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.errors import UsageError
from agent_studio.memory.book import open_memory
from agent_studio.memory.gates import KnownError
from agent_studio.reasoning.party import outcome
from agent_studio.reasoning.party.report import text
from agent_studio.redaction import redact

if TYPE_CHECKING:
    from agent_studio.environment.context import Context
    from agent_studio.reasoning.party.outcome import Outcome

FILE = "decisions.md"
_TITLE_MAX, _REASON_MAX = 110, 500
_PARTY = "recommendation of the party"


def record(context: Context, found: Outcome, *, option: str = "", reason: str = "", who: str = "") -> str | None:
    """Add a decision and return its text, or None where it is recorded already.

    Without an option it is what is recommended; raises `UsageError` where nothing is.
    """
    if not option and found.decision != outcome.RECOMMEND:
        raise UsageError(
            f"{found.session.id} recommends nothing: a person decides",
            hint=f'{found.session.command("decide")} --option "..." --reason "..."',
        )
    if " ".join(who.split()).casefold() == _PARTY:
        raise UsageError(f"--by is {who!r}", hint="name the person who decided")
    title = _cut(text(found.session.question), _TITLE_MAX)
    body = redact(_body(found, option, reason, who))
    memory, decided = open_memory(context), body.splitlines()[0]
    for note in memory.every("decision"):
        if f"- party: {found.session.id}," in note.text:
            if decided in note.text.splitlines():
                return None
            raise UsageError(
                f"{FILE} says already what was decided after {found.session.id}",
                hint="change it there by hand, or ask anew: one party has one decision",
            )
    try:
        return memory.add("decision", body, title=title, source=f"party {found.session.id}").text
    except KnownError:
        return None


def _body(found: Outcome, option: str, reason: str, who: str) -> str:
    data = outcome.data(found)
    state = f"consensus {found.state} ({outcome.needed(found)}), {outcome.calls(found)}"
    lines = [
        f"- decision: {text(option or str(data['option']))}",
        f"- by: {text(who) if who else _PARTY}",
        f"- party: {found.session.id}, {state}",
    ]
    lines += [f"- reason: {text(_cut(reason, _REASON_MAX))}"] if reason else []
    for one in data["dissent"]:
        if not one["requested"]:
            said = _cut(one.get("rationale") or "no reason given", _REASON_MAX)
            lines.append(f"- dissent: {text(one['agent'])}: {text(said)}")
    return "\n".join(lines)


def _cut(words: str, most: int) -> str:
    whole = " ".join(words.split())
    return whole if len(whole) <= most else whole[: most - 1].rstrip() + "…"

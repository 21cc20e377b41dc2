"""What a party recommends, or a person decided after it, added to the project's decisions on request."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from agent_studio import clock
from agent_studio.errors import AgentStudioError, UsageError
from agent_studio.reasoning.party import outcome
from agent_studio.reasoning.party.report import text
from agent_studio.redaction import redact
from agent_studio.storage import locks

if TYPE_CHECKING:
    from agent_studio.environment.context import Context
    from agent_studio.reasoning.party.outcome import Outcome

FILE = "decisions.md"
_LOCK = ".memory.lock"
_WAIT_S = 10.0
_TITLE_MAX, _REASON_MAX = 110, 500
_KNOWN = "known"


def record(context: Context, found: Outcome, *, option: str = "", reason: str = "", who: str = "") -> str | None:
    """Add a decision and return its text, or None where it is recorded already.

    Without an option it is what is recommended; raises `UsageError` where nothing is.
    """
    if not option and found.decision != outcome.RECOMMEND:
        raise UsageError(
            f"{found.session.id} recommends nothing: a person decides",
            hint=f'agent-studio party decide {found.session.id} --option "..." --reason "..."',
        )
    title = _cut(text(found.session.question), _TITLE_MAX)
    body = redact(_body(found, option, reason, who))
    try:
        memory = import_module("agent_studio.memory.book")
    except ModuleNotFoundError:  # a build without memory
        return _appended(context, title, body)
    try:
        note = memory.open_memory(context).add("decision", body, title=title, source=f"party {found.session.id}")
    except AgentStudioError as error:
        if error.code == _KNOWN:
            return None
        raise
    return str(note.text)


def _appended(context: Context, title: str, body: str) -> str | None:
    folder = context.root.folder("memory")
    folder.make()
    entry = f"## {title}\n\n- **Date**: {clock.timestamp(clock.now())[:10]}\n- **Status**: Accepted\n\n{body}\n"
    with locks.exclusive(folder, _LOCK, doing="memory is changed", wait_s=_WAIT_S):
        try:
            known = folder.read(FILE).decode("utf-8", "replace")
        except FileNotFoundError:
            known = "# Decisions\n"
        if body in known:
            return None
        folder.replace(FILE, (known.rstrip("\n") + "\n\n" + entry).encode())
    return entry


def _body(found: Outcome, option: str, reason: str, who: str) -> str:
    data = outcome.data(found)
    state = f"consensus {found.state} ({outcome.needed(found)}), {outcome.calls(found)}"
    lines = [
        f"- decision: {text(option or str(data['option']))}",
        f"- by: {text(who) if who else 'recommendation of the party'}",
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

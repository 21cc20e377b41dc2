"""Probes of party mode, elicitation and sidecars: scripted answers in, what code makes of them out."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agent_studio.memory.gates import KnownError
from agent_studio.memory.sidecar import open_sidecar
from agent_studio.reasoning.asking import Asker
from agent_studio.reasoning.elicitation import draft, methods, store
from agent_studio.reasoning.elicitation.running import Running, Task
from agent_studio.reasoning.models.scripted import Scripted
from agent_studio.reasoning.party import holding
from agent_studio.reasoning.party import store as parties
from agent_studio.reasoning.party.consensus import NONE, STRONG
from agent_studio.reasoning.party.opening import Wish
from agent_studio.reasoning.party.verify import verify
from agent_studio.release.checklists.probes import ProbeError
from agent_studio.release.evidence import FAIL, PASS

if TYPE_CHECKING:
    from agent_studio.environment.context import Context
    from agent_studio.reasoning.party.outcome import Outcome

_TEAM = "general"
_SCRIPT = "replies.json"
_METHOD = "pre-mortem"
_DRAFT = b"# Plan\n\nSwitch everybody over on Friday.\n"
_SESSION = "probe"
_LESSON = "The clock of the tower runs two minutes fast in summer."


def party(inner: Context) -> str:
    """Have a party agree and another one split; see that proof tells a changed transcript."""
    agreed = _held(inner, {"*": [_position("A")]})
    if agreed.state != STRONG or agreed.tally.option != "A":
        raise ProbeError(f"all seats chose A, and the state is {agreed.state}")
    split = _held(inner, {"architect": [_position("A")], "developer": [_position("A")], "*": [_position("B")]})
    if split.state == STRONG:
        raise ProbeError("two seats chose A and the others B, and that is a strong consensus")
    place = parties.every(inner)[0]
    if verify(inner, place).verdict != PASS:
        raise ProbeError("the transcript of a party does not verify")
    whole = place.folder.read(parties.TRANSCRIPT)
    place.folder.replace(parties.TRANSCRIPT, whole.replace(b'"support"', b'"oppose"', 1))
    if verify(inner, place).verdict != FAIL:
        raise ProbeError("a changed transcript verifies")
    alone = _held(inner, {"*": [_position("A")]}, agent="architect")
    if alone.state != NONE or not alone.is_simulated:
        raise ProbeError("one voice has a consensus")
    return "scripted seats agreed, split, and spoke alone; a changed transcript was found"


def _held(inner: Context, replies: dict[str, list[dict[str, Any]]], *, agent: str = "") -> Outcome:
    wish = Wish("Which one?", ("A", "B"), None if agent else _TEAM, agent, f"scripted:{_script(inner, replies)}")
    return holding.run(inner, wish, lambda _: lambda _: None)


def _position(option: str) -> dict[str, Any]:
    return {"option": option, "stance": "support", "confidence": 0.9, "rationale": "a probe"}


def elicitation(inner: Context) -> str:
    """Have a method propose a sound change and one that fits nowhere; see which of them is offered."""
    finding = {"claim": "one", "problem": "two", "severity": "high", "confidence": 0.9, "evidence": []}
    sound = {**finding, "fix": {"quote": "on Friday", "replacement": "in two steps"}}
    foreign = {**finding, "fix": {"quote": "on Monday", "replacement": "never"}}
    verdicts = [{"verdict": "B", "reason": "three"}, {"verdict": "A", "reason": "three"}]
    script = _script(inner, {_METHOD: [{"findings": [sound, foreign]}], "judge": verdicts})
    model, text = Scripted(script), draft.read(_DRAFT, "plan.md")
    task = Task(store.new_id(), text, methods.chosen(inner, [_METHOD]), "", judged=True)
    began = {
        "id": task.id, "session": _SESSION, "methods": [_METHOD], "model": model.name, "goal": "", "file": None,
        "name": "plan.md", "section": "", "sha256": draft.digest(_DRAFT), "judged": True,
    }  # fmt: skip
    with store.alone(inner, _SESSION):
        asker = Asker(inner, limit_usd=Decimal(0), purpose="elicit", session=_SESSION)
        store.began(inner, began, _DRAFT, most=1)
        asyncio.run(Running(inner, task, asker, model).run())
    states = sorted(str(one["state"]) for one in store.load(inner, task.id).findings)
    if states != sorted((store.OFFERED, store.UNSOUND)):
        raise ProbeError(f"a sound change and one that fits nowhere came out as {' and '.join(states) or 'nothing'}")
    return "a scripted method's sound change was offered, and one that fits nowhere was not"


def sidecar(inner: Context) -> str:
    """Keep an entry, find it, and see that it is kept once and that another agent has none."""
    own = open_sidecar(inner, "quartz-tuner")
    kept = own.add(_LESSON, kind="gotcha")
    found = [hit.entry.id for hit in own.search("how fast is the tower clock")]
    if found != [kept.id]:
        raise ProbeError("an entry of a sidecar is not found by what it is about")
    try:
        own.add(_LESSON)
    except KnownError:
        pass
    else:
        raise ProbeError("a sidecar keeps the same twice")
    if open_sidecar(inner, "another").entries():
        raise ProbeError("an entry of one agent is in the sidecar of another")
    return "an entry was kept once, found again, and is in no other agent's sidecar"


def _script(inner: Context, replies: dict[str, list[dict[str, Any]]]) -> str:
    inner.project.folder.replace(_SCRIPT, json.dumps({"replies": replies}).encode())
    return str(inner.project.path / _SCRIPT)

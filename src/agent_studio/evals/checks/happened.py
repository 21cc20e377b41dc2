"""Checks of what the agent did: tools, sub-agents, skills, hooks, what was blocked, what it used, what it said."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from agent_studio.evals.checks.files import Found, search, text_fits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.evals.checks.outcome import Scene

_UNKNOWN: Found = (None, "this backend does not tell what the agent did")


def answer(value: Mapping[str, Any], scene: Scene) -> Found:
    """Check what was said last."""
    if "matches" in value["answer"] and not scene.facts.answer:
        return False, "nothing was said"
    return text_fits(scene.facts.answer, value["answer"], "the answer")


def tool(value: Mapping[str, Any], scene: Scene) -> Found:
    """Check whether a tool was used, with an input that matches; `refused` asks for calls that were or were not."""
    if not scene.facts.known:
        return _UNKNOWN
    name, wanted = value["tool"], value.get("used", True)
    calls = [one for one in scene.facts.tools if fnmatchcase(one.name, name)]
    calls = [one for one in calls if "input" not in value or search(value["input"], one.input)]
    if "refused" in value:
        calls = [one for one in calls if bool(one.refused) is value["refused"]]
    how = {True: " and refused", False: " without being refused", None: ""}[value.get("refused")]
    return bool(calls) is wanted, f"{name} was {'' if calls else 'not '}called{how} ({len(calls)} times)"


def agent(value: Mapping[str, Any], scene: Scene) -> Found:
    """Check whether a sub-agent was started."""
    if not scene.facts.known:
        return _UNKNOWN
    started = [one for one in scene.facts.agents if fnmatchcase(one, value["agent"])]
    told = ", ".join(dict.fromkeys(scene.facts.agents)) or "none"
    return bool(started) is value.get("started", True), f"sub-agents that were started: {told}"


def skill(value: Mapping[str, Any], scene: Scene) -> Found:
    """Check whether a skill was used."""
    if not scene.facts.known:
        return _UNKNOWN
    used = [one for one in scene.facts.skills if fnmatchcase(one, value["skill"])]
    told = ", ".join(dict.fromkeys(scene.facts.skills)) or "none"
    return bool(used) is value.get("used", True), f"skills that were used: {told}"


def tools(value: Mapping[str, Any], scene: Scene) -> Found:
    """Check that no other tools ran."""
    if not scene.facts.known:
        return _UNKNOWN
    allowed = value["tools"]
    other = [
        one.name for one in scene.facts.tools if not one.refused and not any(fnmatchcase(one.name, a) for a in allowed)
    ]
    return not other, f"besides {', '.join(allowed)}: {', '.join(dict.fromkeys(other)) or 'nothing'}"


def blocked(value: Mapping[str, Any], scene: Scene) -> Found:
    """Check how many calls were blocked or refused."""
    if not scene.facts.known:
        return _UNKNOWN
    refused = scene.facts.refused
    told = ", ".join(f"{one.name} ({one.refused})" for one in refused[:5])
    return len(refused) <= value["blocked"], f"{len(refused)} blocked{': ' if told else ''}{told}"


def hook(value: Mapping[str, Any], scene: Scene) -> Found:
    """Check whether hooks of an event, or of an event and tool as `PreToolUse:Bash`, ran and blocked."""
    if not scene.facts.known:
        return _UNKNOWN
    name = value["hook"]
    runs = [one for one in scene.facts.hooks if fnmatchcase(one.event, name) or fnmatchcase(one.name, name)]
    if "blocks" in value:
        runs = [one for one in runs if one.blocked is value["blocks"]]
    return bool(runs) is value.get("ran", True), f"hooks of {name} that ran so: {len(runs)}"


def loaded(value: Mapping[str, Any], scene: Scene) -> Found:
    """Check that the client knew of definitions when it began."""
    if not scene.facts.loaded:
        return _UNKNOWN if not scene.facts.known or scene.facts.tools else (False, "nothing was loaded")
    missing = [
        f"{kind[:-1]} {name}"
        for kind, names in value["loaded"].items()
        for name in names
        if name not in scene.facts.loaded.get(kind, ())
    ]
    return not missing, f"not loaded: {', '.join(missing)}" if missing else "all are loaded"


def at_most(value: Mapping[str, Any], scene: Scene) -> Found:
    """Check what was used; what is not known decides nothing."""
    used = {
        "tokens": scene.facts.tokens if scene.facts.usage or scene.facts.known else None, "usd": scene.usd,
        "turns": scene.facts.turns, "seconds": scene.duration_ms / 1000,
    }  # fmt: skip
    over = [f"{name} {used[name]:g} > {most:g}" for name, most in value["atMost"].items() if (used[name] or 0) > most]
    unknown = [name for name in value["atMost"] if used[name] is None]
    if over:
        return False, ", ".join(over)
    return (None, f"not known: {', '.join(unknown)}") if unknown else (True, "within what it may use")

"""Which descriptions reach the model: the client lists skills and commands, and has a budget for it.

The rules are those that Claude Code 2.1.330 was seen to follow: a line `- name: description` for each, the description
cut at 1,536 characters; when all lines together are wider than 1 % of the context (at four characters a token), names
stay, and descriptions are kept in the order of use as long as each still fits. The client's own skills come out of the
same budget and always keep their descriptions.
"""

from __future__ import annotations

import json
import os
import unicodedata
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.knowledge import artifacts, places

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from agent_studio.environment.roots import Project

VARIABLE = "SLASH_COMMAND_TOOL_CHAR_BUDGET"
CONTEXT_TOKENS = 200_000
CHARACTERS_PER_TOKEN = 4
FRACTION = 0.01
DESCRIPTION_MAX = 1_536
OWN_ENTRIES, OWN_WIDTH, OWN_WIDTH_MIN = 13, 6_198, 6_064
"""What the client lists itself (2.1.330): entries, their width, and their width when it has to shorten."""
_HALF_LIFE_DAYS = 7.0
_USE_MIN = 0.1
_DAY_MS = 86_400_000.0
_STATE = ".claude.json"
_SETTINGS = ("settings.local.json", "settings.json")


class Offer(NamedTuple):
    """One skill or command that the client lists."""

    name: str
    label: str
    """As it stands in the list: a skill's own name behind its folder's, where it is another."""
    path: str
    source: str
    description: str
    use: float
    """The client's measure of how much it is used; 0 where that is not known."""

    @property
    def name_width(self) -> int:
        """Columns of its line without the description."""
        return 2 + width(self.label)

    @property
    def full_width(self) -> int:
        """Columns of its line."""
        return self.name_width + 2 + width(_cut(self.description))


class Plan(NamedTuple):
    """What of a listing reaches the model."""

    budget: int
    total: int
    """Columns that all lines would take."""
    kept: list[Offer]
    """With their descriptions, in the order of the list."""
    hidden: list[Offer]
    """By name only, in the order of the list."""
    cut: list[Offer]
    """With descriptions of more than `DESCRIPTION_MAX` characters."""
    target: int | None
    """Columns of a description with which all fit, if none were longer; None where names alone do not."""

    @property
    def excess(self) -> int:
        """Columns that are too many."""
        return max(0, self.total - self.budget)


def offers(project: Project, *, user: bool = False, plugins: bool = False) -> tuple[list[Offer], int]:
    """Return what the client lists, in its order, and how many it leaves out as the model may not invoke them."""
    used = _used(places.user_folder()[0]) if user else {}
    found: list[tuple[tuple[int, str], Offer]] = []
    withheld = 0
    for place in places.walk(project, user=user).files:
        plugin = place.source.startswith("plugin:")
        if place.domain not in {"skill", "command"} or (plugin and not plugins):
            continue
        if place.domain == "skill" and places.misplaced(place.path, place.domain):
            continue
        try:
            loaded = artifacts.load(place)
        except OSError:
            continue
        one = artifacts.artifact(place, loaded)
        if one.hidden:
            withheld += 1
            continue
        offer = _offer(one, loaded, used)
        order = (2 if plugin else 1) if place.domain == "command" else (3 if plugin else 0)
        found.append(((order, "" if place.source == "user" else one.name), offer))
    return [offer for _, offer in sorted(found, key=lambda pair: pair[0])], withheld


def _offer(one: artifacts.Artifact, loaded: artifacts.Loaded, used: Mapping[str, float]) -> Offer:
    fields = loaded.matter.fields
    stated, description = fields.get("name", ""), fields.get("description", "")
    text = description.strip() if isinstance(description, str) and description.strip() else one.description
    when = fields.get("when_to_use", "")
    label = one.name
    if one.domain == "skill" and isinstance(stated, str) and stated not in {"", one.name.rpartition(":")[2]}:
        space = one.name.rpartition(":")[0]
        label = f"{one.name} ({space}:{stated})" if space else f"{one.name} ({stated})"
    whole = f"{text} - {when}" if isinstance(when, str) and when else text
    return Offer(one.name, label, one.path, one.source, whole, used.get(one.name, 0.0))


def plan(listed: list[Offer], budget: int, *, own: bool = True) -> Plan:
    """Return what of a listing reaches the model; without `own` as if the client had no skills of its own."""
    entries, own_full, own_least = (OWN_ENTRIES, OWN_WIDTH, OWN_WIDTH_MIN) if own else (0, 0, 0)
    breaks = max(0, len(listed) + entries - 1)
    total = own_full + breaks + sum(offer.full_width for offer in listed)
    cut = [offer for offer in listed if len(offer.description) > DESCRIPTION_MAX]
    if total <= budget:
        return Plan(budget, total, list(listed), [], cut, None)
    left = budget - own_least - breaks - sum(offer.name_width for offer in listed)
    kept = set()
    for number in sorted(range(len(listed)), key=lambda at: -listed[at].use):
        price = listed[number].full_width - listed[number].name_width
        if price <= left:
            kept.add(number)
            left -= price
    target = _level([offer.full_width - offer.name_width - 2 for offer in listed], total - budget)
    return Plan(
        budget, total,
        [offer for number, offer in enumerate(listed) if number in kept],
        [offer for number, offer in enumerate(listed) if number not in kept],
        cut, target,
    )  # fmt: skip


def _level(widths: list[int], excess: int) -> int | None:
    """Return the greatest length so that cutting all longer ones to it saves `excess`."""
    ordered = sorted(widths, reverse=True)
    saved = 0
    for number, current in enumerate(ordered, 1):
        following = ordered[number] if number < len(ordered) else 0
        if saved + number * (current - following) >= excess:
            return current - -(-(excess - saved) // number)
        saved += number * (current - following)
    return None


def width(text: str) -> int:
    """Return how many columns a text takes in a terminal: the client counts those."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )


def _cut(description: str) -> str:
    return description if len(description) <= DESCRIPTION_MAX else f"{description[: DESCRIPTION_MAX - 1]}…"


def budget_of(
    project: Project, variables: Mapping[str, str], *, context_tokens: int = CONTEXT_TOKENS
) -> tuple[int, str]:
    """Return the budget in characters and what sets it: the variable, the project's settings, or the context."""
    given = variables.get(VARIABLE, "")
    if given.isdecimal() and int(given):
        return int(given), VARIABLE
    for name in _SETTINGS:
        fraction = _json(project.definition(name)).get("skillListingBudgetFraction")
        if isinstance(fraction, int | float) and 0 < fraction <= 1:
            budget = int(context_tokens * CHARACTERS_PER_TOKEN * fraction)
            return budget, f"skillListingBudgetFraction in {project.shown(name)}"
    return int(context_tokens * CHARACTERS_PER_TOKEN * FRACTION), f"1 % of {context_tokens:,} tokens"


def _used(folder: Path) -> dict[str, float]:
    """Return how much each skill is used, as the client keeps and weighs it: half as much after a week."""
    inside = "CLAUDE_CONFIG_DIR" in os.environ
    beside = folder.joinpath(_STATE) if inside else folder.with_name(_STATE)
    now_ms = clock.now().timestamp() * 1000
    found = {}
    for name, entry in _mapping(_json(beside).get("skillUsage")).items():
        count, last = (_mapping(entry).get(key) for key in ("usageCount", "lastUsedAt"))
        if isinstance(count, int | float) and isinstance(last, int | float):
            fresh = 0.5 ** max(0.0, (now_ms - last) / _DAY_MS / _HALF_LIFE_DAYS)
            found[name] = count * max(fresh, _USE_MIN)
    return found


def _json(place: Path) -> dict[str, Any]:
    try:
        return _mapping(json.loads(place.read_bytes()))
    except (OSError, ValueError, RecursionError):
        return {}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def savings(listed: Iterable[Offer], target: int) -> list[tuple[Offer, int]]:
    """Return the descriptions longer than `target` columns, the longest first, and by how much."""
    over = ((offer, width(_cut(offer.description)) - target) for offer in listed)
    return sorted(((offer, more) for offer, more in over if more > 0), key=lambda pair: (-pair[1], pair[0].path))

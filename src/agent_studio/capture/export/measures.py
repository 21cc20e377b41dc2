"""What records add up to: durations, runs, tokens and cost, of what is new since the last export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.capture.export.mapping import cache_writes, count, time_ns, total_input
from agent_studio.capture.export.signals import PROVIDER, Measured, Metric, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
_TOKENS = tuple(4**power for power in range(14))
"""https://github.com/open-telemetry/semantic-conventions/blob/v1.41.0/docs/gen-ai/gen-ai-metrics.md"""


def hooks(records: Iterable[Mapping[str, Any]]) -> list[Metric]:
    """Return how long hooks took, by hook, event and outcome."""
    metric = Metric("agent_studio.hook.duration", "ms", "Duration of one run of one hook.", _MS)
    for record in records:
        if record["executionTimeMs"] is not None:
            series = {f"agent_studio.hook.{to}": str(record[own]) for to, own in _HOOK_SERIES}
            metric.add(float(record["executionTimeMs"]), series)
    return [metric]


_HOOK_SERIES = (("name", "hook"), ("event", "event"), ("status", "status"))


def agents(records: Iterable[Mapping[str, Any]]) -> list[Metric]:
    """Return how many runs agents had, by agent and outcome."""
    metric = Metric("agent_studio.agent.runs", "{run}", "Runs of agents that ended.")
    for record in records:
        metric.add(1, {"gen_ai.agent.name": str(record["agent"]), "agent_studio.agent.status": str(record["status"])})
    return [metric]


def usage(
    records: Iterable[Mapping[str, Any]], before: Callable[[Mapping[str, Any]], Mapping[str, Any] | None]
) -> list[Metric]:
    """Return tokens and cost, by model; of a record that amends another, what it adds.

    `before` gives the record that one amends, in its newest state, or None.
    """
    histogram = Metric("gen_ai.client.token.usage", "{token}", "Number of input and output tokens used.", _TOKENS)
    tokens = Metric("agent_studio.token.usage", "{token}", "Tokens used, each counted once.")
    cost = Metric("agent_studio.cost.usage", "USD", "Cost of responses whose price is known.")
    for record in records:
        if not record.get("model"):
            continue
        series: dict[str, Value] = {
            "gen_ai.provider.name": str(record.get("provider") or PROVIDER),
            "gen_ai.request.model": str(record["model"]),
        }
        earlier = before(record) or {}
        if not record.get("amends"):
            for kind, number in (("input", total_input(record)), ("output", count(record["outputTokens"]))):
                histogram.add(number, {**series, "gen_ai.operation.name": "chat", "gen_ai.token.type": kind})
        for kind, number in _kinds(record).items():
            if (grown := number - (_kinds(earlier)[kind] if earlier else 0)) > 0:
                tokens.add(grown, {**series, "agent_studio.token.type": kind})
        if (grown_usd := float(record.get("costUsd") or 0) - float(earlier.get("costUsd") or 0)) > 0:
            cost.add(grown_usd, series)
    return [histogram, tokens, cost]


def window(metrics: Iterable[Metric], records: Iterable[Mapping[str, Any]]) -> Measured | None:
    """Return metrics with the time they cover, or None when nothing was measured."""
    filled = [metric for metric in metrics if metric.points]
    times = [time_ns(record) for record in records]
    return Measured(filled, min(times) - 1, max(times)) if filled and times else None


def _kinds(record: Mapping[str, Any]) -> dict[str, int]:
    return {
        "input": count(record["inputTokens"]),
        "output": count(record["outputTokens"]),
        "cache_read": count(record.get("cacheReadTokens")),
        "cache_write": cache_writes(record),
    }

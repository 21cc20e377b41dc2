"""Generated activity: days of plausible hooks, agents, errors, usage and sessions, marked synthetic.

The same seed and end time give the same bytes, so that a dashboard has something to show and a test to count.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agent_studio.clock import timestamp
from agent_studio.records import AgentRun, ErrorEvent, HookExecution, LlmUsage, Record, SessionEvent, event_id
from agent_studio.storage import chain, journal

if TYPE_CHECKING:
    from datetime import datetime

SYNTHETIC: dict[str, Any] = {"synthetic": True}
_HOOKS = (
    ("guard_bash", "PreToolUse", "Bash", 4.0),
    ("note_edit", "PostToolUse", "Edit", 2.5),
    ("context", "UserPromptSubmit", None, 6.0),
)
"""Hook, event, tool and typical duration in ms."""
_AGENTS = ("planner", "developer", "code-reviewer", "test-writer")
_MODELS = (("claude-sonnet-4-5", 3.0, 15.0), ("claude-haiku-4-5", 1.0, 5.0))
"""Model and a plausible price per million input and output tokens, USD; marked synthetic, never used to bill."""
_SESSIONS_A_DAY = (4, 9)
_TOKENS_SHARE = 5
"""What a response uses is divided by it: a generated day stays within the default budget and raises no alert."""


@dataclass
class Activity:
    """The records of some days, in the order of their logs."""

    records: list[Record] = field(default_factory=list)

    def logs(self, environment: str) -> dict[tuple[str, str], bytes]:
        """Return the content of every log, by kind and file name; usage is chained from its first record."""
        lines: dict[tuple[str, str], list[bytes]] = {}
        head = chain.Head()
        for number, record in enumerate(sorted(self.records, key=lambda record: record.timestamp)):
            written = record.to_line(event_id=event_id("synthetic", number, record), environment=environment)
            if isinstance(record, LlmUsage):
                line, head = chain.seal(head, written)
            else:
                line = journal.encode(written)
            lines.setdefault((record.kind, record.file), []).append(line)
        return {place: b"".join(parts) for place, parts in lines.items()}


def generate(end: datetime, *, days: int = 7, seed: int = 1) -> Activity:
    """Return the activity of the `days` before `end`."""
    dice = random.Random(seed)  # noqa: S311 - plausible, not secret
    activity = Activity()
    for day in range(days):
        for number in range(dice.randint(*_SESSIONS_A_DAY)):
            start = end - timedelta(days=day, minutes=dice.uniform(30, 600))
            _session(activity, dice, start, f"synthetic-{seed}-{day}-{number}", end)
    return activity


def _session(activity: Activity, dice: random.Random, start: datetime, session_id: str, end: datetime) -> None:
    model, input_price, output_price = dice.choice(_MODELS)
    cost = 0.0
    moment = start

    def note(at: datetime, event: str, **details: Any) -> None:
        activity.records.append(
            SessionEvent(timestamp=timestamp(at), session_id=session_id, event=event, metadata=SYNTHETIC, **details)
        )

    note(start, "start", source="startup", model=model)
    for turn in range(dice.randint(3, 8)):
        moment += timedelta(seconds=dice.uniform(5, 90))
        if moment > end:
            break
        note(moment, "prompt")
        _hooks(activity, dice, moment, session_id)
        tokens = dice.randint(800, 6_000) // _TOKENS_SHARE, dice.randint(100, 1_500) // _TOKENS_SHARE
        price = (tokens[0] * input_price + tokens[1] * output_price) / 1e6
        cost += price
        _usage(activity, moment, session_id, turn, model, tokens, price)
        if dice.random() < 0.3:  # noqa: PLR2004 - about a third of the turns hand work to an agent
            _agent(activity, dice, moment, session_id, turn)
    duration_ms = round((moment - start).total_seconds() * 1000, 1)
    note(min(moment, end), "end", reason="other", duration_ms=duration_ms, cost_usd=f"{cost:.6f}")


def _hooks(activity: Activity, dice: random.Random, moment: datetime, session_id: str) -> None:
    for hook, event, tool, typical_ms in _HOOKS:
        status = dice.choices(("success", "blocked", "failure"), weights=(96, 3, 1))[0]
        activity.records.append(
            HookExecution(
                timestamp=timestamp(moment), hook=hook, event=event, tool=tool,
                execution_time_ms=round(typical_ms * dice.lognormvariate(0, 0.35), 2), status=status,
                session_id=session_id, metadata=SYNTHETIC,
            )
        )  # fmt: skip
        if status == "failure":
            activity.records.append(
                ErrorEvent(
                    timestamp=timestamp(moment), error_type="SystemError", severity="MEDIUM", source=hook,
                    message=f"{hook} left with exit code 1", tool=tool, session_id=session_id, metadata=SYNTHETIC,
                )
            )  # fmt: skip


def _usage(
    activity: Activity, moment: datetime, session_id: str, turn: int, model: str, tokens: tuple[int, int], price: float
) -> None:
    activity.records.append(
        LlmUsage(
            timestamp=timestamp(moment), session_id=session_id, request_id=f"req-{session_id}-{turn}",
            message_id=f"msg-{session_id}-{turn}", provider="anthropic", model=model, agent=None, skill=None,
            project="synthetic", task_id=None, input_tokens=tokens[0], output_tokens=tokens[1], cache_read_tokens=0,
            cache_write5m_tokens=0, cache_write1h_tokens=0, web_searches=0, service_tier="standard", speed=None,
            region=None, cost_usd=f"{price:.6f}", price_source="synthetic", source="api", metadata=SYNTHETIC,
        )
    )  # fmt: skip


def _agent(activity: Activity, dice: random.Random, moment: datetime, session_id: str, turn: int) -> None:
    failed = dice.random() < 0.02  # noqa: PLR2004 - below every limit
    activity.records.append(
        AgentRun(
            timestamp=timestamp(moment), agent=dice.choice(_AGENTS), agent_id=f"agent-{session_id}-{turn}",
            session_id=session_id, task_id=f"task-{turn}", duration_ms=round(dice.uniform(4_000, 90_000), 1),
            tokens_used=dice.randint(1_000, 30_000), status="failed" if failed else "completed",
            error_message="the model's service answered 529" if failed else None, metadata=SYNTHETIC,
        )
    )  # fmt: skip

"""A project whose journals hold whatever a journal can hold, and engines that hold the same."""

from __future__ import annotations

import json
import random
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.fleet_servers import PASSWORD

from agent_studio import clock
from agent_studio.cost import book, pricing
from agent_studio.cost.book import Told
from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.environment.sharing import sharing
from agent_studio.fleet.ship import Shipped, Shipper
from agent_studio.monitor import segments
from agent_studio.records import LlmUsage

if TYPE_CHECKING:
    from pathlib import Path

HOUR, DAY = 3_600_000, 86_400_000
NOW = datetime(2026, 5, 6, 12, 30, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
HOOKS = ("lint", "Lint", "ünïcode 🎉", 'it\'s "quoted" %s {x} $y', "ä", "z", "Z", "_", "", None, {"a": [1, "b"]}, 7)
TEXTS = (
    None, "", "timeout after 30 s in /home/me/a.py", "timeout after 12.5 s in /srv/b c/d.py", "öffne /ä/ß: 404",
    "no session 9f8e7d6c5b4a39281", "é9f8e7d6c5b4a39281 123456789012.5 and 123456789012x", "x" * 390 + " 1234567890123",
    "id 01234567-89ab-cdef-0123-456789abcdef, (1;2) 3:4", "line\nbreak\t/and\\back\\slash 'q' \"d\" %s %(x)s {y:Int64}",
    "🎉" * 700, "1.5.6.7 -3 1e5 0x1f", "abcdefabcdef.5 ABCDEFABCDEF0.25",
)  # fmt: skip
TIMES = (0, 0.05, 0.125, 1, 2, 2.8284271247461903, 4, 8, 3.5, 900, 1e9, 1e15, 2e15, -1, None, "12.5", "x", True)
SESSIONS = ("s1", "s2", "S3", "ß", None)


BUDGETS = """
cost:
  budgets:
    - {name: day, per: day, usd: 1}
    - {name: each, per: week, usd: 2, agent: "*"}
    - {name: all, per: total, tokens: 9999}
    - {name: session, per: session, usd: 1}
"""


class Journals:
    """Journals of one project, in which an environment is filled from a seed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / ".claude").mkdir(parents=True)
        (path / ".claude/config.staging.yaml").write_text(f"environment: staging\n{BUDGETS}")

    def context(self, environment: Environment = Environment.STAGING, *overrides: str) -> Context:
        return open_context(Project(self.path), Choice(environment, "--env"), {}, overrides)

    def ship(self, environment: Environment, engine: str, *overrides: str) -> None:
        """Send what was not sent yet, with all texts."""
        context = self.context(environment, f"fleet.engine={engine}", "fleet.texts=full", *overrides)
        variables = {"AGENT_STUDIO_FLEET_PASSWORD": PASSWORD}
        with Shipper(context, variables, threading.Event(), print, patient=False) as shipper:
            while shipper.round(Shipped()):
                pass

    def file(self, context: Context, kind: str) -> Path:
        folder = context.root.folder(segments.JOURNALS[kind][0])
        folder.make()
        return folder.path / segments.JOURNALS[kind][1]

    def fill(self, environment: Environment, seed: int, *, hooks: int = 400) -> None:
        """Write records of three days, some of them of one moment, damaged, or from the future."""
        context, chance = self.context(environment), random.Random(seed)
        moments = [NOW_MS - chance.randrange(3 * DAY) for _ in range(50)] + [NOW_MS, NOW_MS + 5 * HOUR, NOW_MS + DAY]

        def written(kind: str, many: int, record: Any) -> None:
            with self.file(context, kind).open("ab") as file:
                for number in range(many):
                    at = chance.choice(moments) if chance.random() < 0.3 else NOW_MS - chance.randrange(3 * DAY)
                    whole = {"timestamp": clock.of_ms(at), "environment": str(environment),
                             "eventId": f"{kind}-{seed}-{number}", "release": None, "metadata": {},
                             **record()}  # fmt: skip
                    file.write(json.dumps(whole, ensure_ascii=False).encode() + b"\n")
                    if chance.random() < 0.02:
                        file.write(
                            chance.choice((b'{"timestamp": "2026-05-0\n', b"\n", b"\xff\xfe\n", b"[]\n", b"null\n"))
                        )

        def pick(*values: Any) -> Any:
            return chance.choice(values)

        written("hooks", hooks, lambda: {
            "hook": pick(*HOOKS), "event": pick("PreToolUse", "Stop", None, ""), "tool": pick("Bash", "Ünit", None),
            "executionTimeMs": pick(*TIMES, chance.random() * 20, chance.random() * 20),
            "status": pick("success", "success", "failure", "timeout", "blocked", None, "odd"),
            "sessionId": pick(*SESSIONS), "agent": pick("main", None),
        })  # fmt: skip
        quiet = iter(range(120))  # a hook that ran every minute, and stopped an hour and a half ago
        written("hooks", 120, lambda: {
            "timestamp": clock.of_ms(NOW_MS - 200 * 60_000 + next(quiet) * 60_000), "hook": "steady", "event": "Stop",
            "executionTimeMs": 1, "status": "success", "sessionId": "s1",
        })  # fmt: skip
        written("agents", 150, lambda: {
            "agent": pick("reviewer", "Reviewer", "ß", None), "agentId": pick("a1", "a2", None),
            "sessionId": pick(*SESSIONS), "durationMs": pick(*TIMES),
            "tokensUsed": pick(5, 7.9, 1e15, None, "12", 3e15), "status": pick("completed", "failed", "cancelled"),
            "errorMessage": pick(*TEXTS), "parentAgentId": pick("a1", None),
        })  # fmt: skip
        written("errors", 250, lambda: {
            "errorType": pick("SystemError", "ValidationError", None),
            "severity": pick("CRITICAL", "HIGH", "MEDIUM", "LOW", "", "odd"), "source": pick("api", "hook", None),
            "message": pick(*TEXTS), "tool": pick("Bash", None), "sessionId": pick(*SESSIONS),
            "metadata": pick({}, {"k": "v'\"ü" * 300}, None),
        })  # fmt: skip
        written("sessions", 150, lambda: {
            "sessionId": pick("s1", "s2", "S3", "ß", "s5", None),
            "event": pick("start", "prompt", "prompt", "stop", "end"), "source": pick("startup", "resume", None),
            "model": pick("opus", "haiku", None), "reason": pick("clear", None),
            "durationMs": pick(*TIMES), "costUsd": pick(0.25, None),
        })  # fmt: skip
        self.spend(environment, seed, grown=0)

    def spend(self, environment: Environment, seed: int, *, grown: int, many: int = 120) -> None:
        """Enter responses; when they have `grown`, some of them are told of again."""
        chance, context = random.Random(seed), self.context(environment)
        times = [NOW_MS - chance.randrange(3 * DAY) for _ in range(many)] + [NOW_MS + HOUR]

        def told(number: int) -> Told:
            model = (
                "claude-opus-4-1" if number % 4 == 0 else chance.choice(("claude-haiku-4-5", "nobody-knows", "ß", ""))
            )
            record = LlmUsage(
                timestamp=clock.of_ms(times[number]), session_id=chance.choice(("s1", "s2", "", "ß")),
                request_id=f"r{number}", message_id=f"m{number}", provider="anthropic", model=model,
                agent=chance.choice((None, "reviewer")), skill=chance.choice((None, "s'k")),
                project=chance.choice(("p", "ü", "")), task_id=None, input_tokens=100 + number + grown,
                output_tokens=10 + grown, cache_read_tokens=1_000, cache_write5m_tokens=5,
                cache_write1h_tokens=number % 3, web_searches=number % 2, service_tier=None, speed=None, region=None,
                cost_usd=None, price_source=None, source="api",
            )  # fmt: skip
            return Told(record, str(environment))

        listed = [told(number) for number in range(len(times)) if not grown or number % 4 == 0]
        roots = sharing(context)
        with book.opened(next(iter(roots.values()))) as held:
            held.record(listed, roots, pricing.table(context))

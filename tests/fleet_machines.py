"""Projects with journals that are known record by record, and what an engine holds of them, past the product."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from tests.fleet_servers import PASSWORD
from tests.monitor_records import Records

from agent_studio import clock
from agent_studio.cost import ledger
from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.fleet.tables import SCHEMA, TABLES
from agent_studio.records import LlmUsage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.conftest import Studio
    from tests.fleet_servers import PostgreSQLServer

VARIABLES = {"AGENT_STUDIO_FLEET_PASSWORD": PASSWORD}
EVERYTHING = ("hooks", "agents", "errors", "sessions", "usage", "damage")


class Machine:
    """A project on a machine of its own, with a staging environment that records."""

    def __init__(self, studio: Studio, **settings: Any) -> None:
        self.studio, self.settings = studio, settings
        (studio.path / ".claude/staging/metrics").mkdir(parents=True)
        (studio.path / ".claude/staging/sessions").mkdir()
        studio.write(".claude/config.staging.yaml", "environment: staging\n")
        self.configure(**settings)
        self.number = 0

    def configure(self, **settings: Any) -> None:
        self.settings |= settings
        lines = [f"  {name}: {json.dumps(value)}\n" for name, value in self.settings.items()]
        self.studio.write(".claude/config.yaml", "fleet:\n" + "".join(lines))

    @property
    def path(self) -> Path:
        return self.studio.path

    @property
    def metrics(self) -> Path:
        return self.path / ".claude/staging/metrics"

    @property
    def state(self) -> Path:
        return self.path / ".agent-studio/staging"

    @property
    def context(self) -> Context:
        return open_context(Project(self.path), Choice(Environment.STAGING, "--env"), {})

    def record(self, hooks: int, *, minutes_ago: float = 1, **more: Any) -> None:
        """Append hooks to the journal, each another one."""
        records = Records(self.studio, "staging")
        for _ in range(hooks):
            self.number += 1
            records.hook(f"hook-{self.number}", minutes_ago=minutes_ago, eventId=f"{self.number:032x}", **more)
        lines = records.lines.pop("metrics/hooks.jsonl")
        text = "".join(self._own(line) for _, line in lines)
        with (self.metrics / "hooks.jsonl").open("a", encoding="utf-8") as file:
            file.write(text)

    def _own(self, line: str) -> str:
        record = json.loads(line)
        number = int(record["hook"].rpartition("-")[2])
        return json.dumps(record | {"eventId": f"{number:032x}"}) + "\n"

    def everything(self) -> None:
        """Append one record of every kind."""
        records = Records(self.studio, "staging")
        records.hook("lint")
        records.agent("architect")
        records.error(message="broke 17 times at /home/somebody/secret.txt")
        records.session("start")
        records.write()
        self.spend("m1")

    def spend(self, message: str, tokens: int = 10, *, amends: int | None = None, request: str = "") -> int:
        """Append a response to the ledger and return its line."""
        record = LlmUsage(
            timestamp=clock.timestamp(clock.now()), session_id="s1", request_id=request, message_id=message,
            provider="anthropic", model="claude-x", agent=None, skill=None, project="-home-somebody-work", task_id=None,
            input_tokens=tokens, output_tokens=1, cache_read_tokens=0, cache_write5m_tokens=0, cache_write1h_tokens=0,
            web_searches=0, service_tier=None, speed=None, region=None, cost_usd="0.25", price_source="told",
            source="otel", amends=amends,
        )  # fmt: skip
        (seq,) = ledger.append(self.context.root, [(record, f"{message}-{tokens}")])
        return seq

    def seal(self, number: int = 1) -> Path:
        """Rename the live file as sealing does."""
        day = clock.timestamp(clock.now() - timedelta(days=1))[:10]
        target = self.metrics / f"hooks.{day}.{number}.jsonl"
        (self.metrics / "hooks.jsonl").rename(target)
        return target

    def ship(self, *options: str, code: int = 0) -> dict[str, Any]:
        done = self.studio.run("fleet", "ship", "--env", "staging", "--json", *options, variables=VARIABLES)
        assert done.code == code, (done.out, done.err)
        return done.envelope if code else done.data

    def status(self, code: int = 0) -> dict[str, Any]:
        done = self.studio.run("fleet", "status", "--env", "staging", "--json", variables=VARIABLES)
        assert done.code == code, (done.out, done.err)
        return done.data

    def journal(self, kind: str = "hooks", code: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = next(one for one in self.status(code)["journals"] if one["journal"] == kind)
        return found

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the real command."""
        return subprocess.Popen(
            [sys.executable, "-m", "agent_studio", *arguments, "--env", "staging", "--json"], cwd=self.path,
            env={**os.environ, **VARIABLES}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


class Database:
    """An engine's tables as its owner sees them."""

    def __init__(self, server: PostgreSQLServer, name: str | None = None) -> None:
        """Take a new database, or one that is there by its name."""
        self.server = server
        self.address = server.database() if name is None else server.address(name)
        self.name = self.address.rpartition("/")[2]

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with self.server.connect(self.name) as db:
            found: list[tuple[Any, ...]] = db.execute(statement).fetchall()
            return found

    def table(self, table: str) -> list[dict[str, Any]]:
        columns = list(TABLES[table])
        found = self.rows(f"SELECT {', '.join(columns)} FROM {SCHEMA}.{table} ORDER BY at_ms, id")
        return [dict(zip(columns, row, strict=True)) for row in found]

    def count(self, table: str = "hooks") -> int:
        count: int = self.rows(f"SELECT count(*) FROM {SCHEMA}.{table}")[0][0]
        return count

    def counts(self) -> Mapping[str, int]:
        return {table: self.count(table) for table in TABLES}

    def hooks(self) -> list[str]:
        return [row[0] for row in self.rows(f"SELECT hook FROM {SCHEMA}.hooks ORDER BY hook")]


class StallingProxy:
    """A way to a server on this machine that passes bytes on, until it does not any more."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.passed = 0
        self.stalls_after: int | None = None
        """Bytes from clients after which nothing is passed on, and no connection closed."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                for source, target, counts in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pass, args=(source, target, counts), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, counts: bool) -> None:  # noqa: FBT001
        with suppress(OSError), target:
            while data := source.recv(2_000):
                self.passed += len(data) if counts else 0
                while self.stalls_after is not None and self.passed > self.stalls_after:
                    time.sleep(0.02)
                target.sendall(data)

"""Four real clients side by side, each session after session, against a scripted Messages API; some are killed."""

from __future__ import annotations

import random
import signal
import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.client import claude
from bench.client.messages_api import MessagesApi, Tool, Turn
from bench.soak.truth import Truth

if TYPE_CHECKING:
    from bench.soak.project import Place

BASH_USES = 2
"""Of each session: each runs the project's own guard once, under the clock of the recorder."""


@dataclass
class Clients:
    """The clients, their API and what they came to."""

    place: Place
    stop: threading.Event
    client: claude.Client
    count: int = 4
    pause_s: tuple[float, float] = (5, 15)
    sessions: int = 0
    killed: int = 0
    faults: list[str] = field(default_factory=list)
    api: MessagesApi = field(init=False)
    _script: dict[str, list[Turn]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.api = MessagesApi(self._script)

    def run(self) -> None:
        """Drive all of them until they are to stop."""
        with self.api.serving():
            threads = [
                threading.Thread(target=self._drive, args=(number,), daemon=True) for number in range(self.count)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    def _drive(self, number: int) -> None:
        chance, truth = random.Random(number), Truth(self.place.truth, f"client-{number}")
        while not self.stop.is_set():
            try:
                self._session(chance, truth)
            except Exception as error:  # noqa: BLE001 - as in chores
                self.faults.append(f"client {number}: {type(error).__name__}: {error}")
            self.stop.wait(chance.uniform(*self.pause_s))

    def _session(self, chance: random.Random, truth: Truth) -> None:
        marker = f"[{uuid.uuid4().hex}]"
        self._script[marker] = [
            Turn("Looking.", [Tool("Bash", {"command": "echo ok", "description": "Run it"})]),
            Turn("Reading.", [Tool("Read", {"file_path": str(self.place.project / "CLAUDE.md")})]),
            Turn("Failing.", [Tool("Bash", {"command": "echo oops >&2; exit 3", "description": "Fail"})]),
            Turn("Done."),
        ]
        before, killed = truth.disturbance, chance.random() < 0.15
        variables = {**claude.variables(self.client, self.place.home, self.api.url), "AGENT_STUDIO_ENV": "staging"}
        deadline = chance.uniform(0.5, 3)
        started = threading.Event()
        timer = threading.Timer(deadline, started.set)
        if killed:
            timer.start()
        ran = claude.run(
            claude.words(f"{marker} do the planned work"), self.place.project, variables, limit_s=120,
            end_when=started.is_set if killed else None, end_by=signal.SIGKILL,
        )  # fmt: skip
        timer.cancel()
        del self._script[marker]
        self._note(truth, marker, ended=not ran.code, calm=before == truth.disturbance and not before % 2)
        self.sessions += 1
        self.killed += ran.code < 0
        if ran.overdue or ran.code > 0:
            self.faults.append(f"a client ended with {ran.code}: {ran.out[-300:]}{ran.err[-300:]}")

    def _note(self, truth: Truth, marker: str, *, ended: bool, calm: bool) -> None:
        """Write down what the API served, and whether all that happened must be recorded."""
        served = self.api.of(marker)
        self.api.requests.clear()
        session = next((one.session_id for one in served if one.session_id), "")
        if not session:
            return  # killed before it asked for anything: of such a session only a start may be there
        whole = ended and calm
        usage = {one.message_id: vars(one.usage) for one in served}
        truth.note("client", session, "done" if whole else "meant", usage=usage, hooks=BASH_USES, errors=1)

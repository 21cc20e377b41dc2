"""What the parts of one ingest run share: the state, the journals, and the sessions that are open."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from agent_studio.capture.ingest import artifacts, lines
from agent_studio.capture.ingest.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent_studio.capture.ingest.report import Report
    from agent_studio.capture.ingest.state import State
    from agent_studio.capture.ingest.writer import Writer

    ReleaseOf: TypeAlias = Callable[[str, datetime], str | None]

_CACHED = 1_000
_OPEN_CALLS = 500
_HELD = 200
_STARTS = 50


@dataclass(slots=True)
class Session:
    """What is known about one session of the client."""

    id: str
    environment: str
    transcript: str = ""
    """Path of its transcript as the client names it."""
    started_ns: int | None = None
    last_ns: int = 0
    """When it was last heard of."""
    ended_ns: int | None = None
    stopped_ns: int | None = None
    """When its last turn ended."""
    ends: list[dict[str, Any]] = field(default_factory=list)
    """Ends whose record waits for the transcript to say what the session cost."""
    calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Calls of the agent tool, by tool_use_id, that no agent is known for yet."""
    calls_failed: list[dict[str, Any]] = field(default_factory=list)
    """Calls of which the transcript said that they failed, whose event was not seen yet."""
    denials: list[dict[str, Any]] = field(default_factory=list)
    """Blocking hooks of which it is not known yet which call they blocked."""
    failures: list[dict[str, Any]] = field(default_factory=list)
    """API failures an event told of, whose line in the transcript was not seen yet."""
    failures_told: int = 0
    """API failures the transcript told of, whose event was not seen yet."""
    timed: bool = False
    """Whether the recorder timed hooks of it."""
    read: bool = False
    """Whether its transcript could be read."""
    starts: list[list[str | None]] = field(default_factory=list)
    """When it began or went on, oldest first, and with which candidate or release."""

    def put(self, name: str, item: dict[str, Any]) -> None:
        """Add to one of the lists, unless there is far too much in it."""
        held: list[dict[str, Any]] = getattr(self, name)
        if len(held) < _HELD:
            held.append(item)

    def begin(self, timestamp: str, release: str | None) -> None:
        """Take note of a start and of what the session runs with from there on."""
        self.starts = sorted([*self.starts, [timestamp, release]], key=lambda start: start[0] or "")[-_STARTS:]

    def call(self, tool_use_id: str, about: dict[str, Any]) -> None:
        """Take note of a call of the agent tool."""
        if len(self.calls) < _OPEN_CALLS:
            self.calls[tool_use_id] = about


_FIELDS = frozenset(item.name for item in fields(Session))


class Work:
    """One run of ingest."""

    def __init__(self, state: State, writer: Writer, report: Report, now_ns: int, release_of: ReleaseOf) -> None:
        self.state, self.writer, self.report, self.now_ns, self._release_of = state, writer, report, now_ns, release_of
        self.recent = Recent(state.note("recent"))
        self.changed: set[str] = set()
        """Files that may be artifacts and were changed, as the client names them."""
        self._sessions: dict[str, Session] = {}
        self._touched: set[str] = set()
        self._due = set(state.sessions_due())
        """Those as well that an earlier run was killed before: one more event of theirs must not hide them."""

    def session(self, session_id: str, environment: str) -> Session:
        """Return a session, a new one when it was never heard of; what is done to it is kept."""
        self._touched.add(session_id)
        known = self._sessions.get(session_id)
        if known is None:
            doc = self.state.session(session_id)
            if doc is None:
                known = Session(session_id, environment)
            else:
                known = Session(**{name: value for name, value in doc.items() if name in _FIELDS})
            self._sessions[session_id] = known
        if environment and known.environment != environment:
            known.environment = environment  # resumed there: what comes now is that environment's
        return known

    def begun(self, session: Session, at_ns: int) -> None:
        """Find out what a session runs with that begins now."""
        release = self._release_of(session.environment, datetime.fromtimestamp(at_ns / lines.NS, UTC))
        session.begin(lines.stamp(at_ns), release)

    def release_at(self, session_id: str, timestamp: str) -> str | None:
        """Return what a session ran with at a time; None when its start was not seen."""
        known = self._sessions.get(session_id)
        if known is None:
            doc = self.state.session(session_id)
            starts = [] if doc is None else doc.get("starts") or []
        else:
            starts = known.starts
        for began, release in reversed(starts):
            if began <= timestamp:
                found: str | None = release
                return found
        return None

    def known(self, session_id: str) -> Session | None:
        """Return a session that was heard of before."""
        if session_id in self._sessions or self.state.session(session_id) is not None:
            return self.session(session_id, "")
        return None

    def due(self, session: Session) -> None:
        """Have the session's transcript looked at, in this run or the next."""
        self._due.add(session.id)
        self._keep(session)

    def settled(self, session: Session) -> None:
        """Take note that there is nothing more to look at for now."""
        self._due.discard(session.id)
        self._keep(session)

    def _keep(self, session: Session) -> None:
        """Have the session kept as it is now; a commit may have let go of it meanwhile."""
        self._sessions[session.id] = session
        self._touched.add(session.id)

    def commit(self, *, done: bool = False) -> None:
        """Write the records, and keep the sessions and the cursor."""
        for session_id in self._touched:
            session = self._sessions[session_id]
            is_open = session.ended_ns is None
            self.state.put_session(session_id, asdict(session), is_open=is_open, due=session_id in self._due)
        self._touched.clear()
        if len(self._sessions) > _CACHED:
            self._sessions.clear()
        self.recent.prune()
        self.state.put_note("recent", self.recent.remembered())
        artifacts.remember(self)
        self.writer.commit(done=done)

    def at_work(self) -> Iterator[Session]:
        """Yield the sessions that are open or due, as they are when it is their turn."""
        for session_id in self.state.sessions_at_work():
            session = self.known(session_id)
            if session is not None:
                yield session

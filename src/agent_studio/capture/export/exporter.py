"""Sends what is new in our journals to a collector, a request at a time, and remembers how far it came.

Every record is sent at least once: what was acknowledged but not noted is sent again, with the same ids.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent_studio.capture.export import journals, mapping, measures
from agent_studio.capture.export.cursor import Cursor
from agent_studio.capture.export.post import Poster, checked
from agent_studio.storage.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent_studio.capture.export.journals import Chunk, Position
    from agent_studio.capture.export.signals import LogRecord, Metric, Span
    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.storage.folder import Folder

SIGNALS = ("traces", "logs", "metrics")
"""In the order they are sent: what has ids first, because metrics that are sent twice count twice."""
_FEEDS: Mapping[str, tuple[str, ...]] = {
    "traces": ("sessions", "agents", "hooks", "usage"),
    "logs": ("errors",),
    "metrics": ("hooks", "agents", "usage"),
}
_BATCH = 512
_WINDOW = 8_192
"""Records of one window of metrics."""
_REMEMBERED = 20_000
"""Responses whose state is kept at hand: what grows does so soon."""


@dataclass(frozen=True)
class Options:
    """What is sent where."""

    endpoint: str
    signals: tuple[str, ...] = SIGNALS
    since: str | None = None
    """Timestamp from which on records are sent, as records have it."""
    headers: Mapping[str, str] = field(default_factory=dict)
    again: bool = False
    """Send what was sent before too."""


@dataclass
class Sent:
    """What happened to one signal."""

    items: int = 0
    """Spans, log records or data points."""
    requests: int = 0
    rejected: int = 0
    reason: str = ""
    """Why the collector rejected some."""


@dataclass
class Report:
    """What one export did."""

    signals: dict[str, Sent] = field(default_factory=dict)
    retries: int = 0
    damaged: int = 0
    """Lines that are no record of their file."""
    older: int = 0
    """Records from before the time asked for."""


def export(root: EnvironmentRoot, options: Options, *, sleep: Callable[[float], None] = time.sleep) -> Report:
    """Send what is new; raise `CollectorError` when the collector does not take it, `BusyError` when another does.

    What was sent before a fault stays sent.
    """
    from agent_studio.capture.export import wire  # noqa: PLC0415 - needs an optional package, and 40 ms

    endpoint = checked(options.endpoint)
    poster, cursor = Poster(endpoint, options.headers, sleep), Cursor(root.state, endpoint)
    with exclusive(cursor.folder, cursor.lock, doing=f"export to {endpoint}"):
        cursor.load()
        work = _Work(root, options, poster, cursor, wire.resource(str(root.environment), root.project.path.name))
        for signal in SIGNALS:
            if signal in options.signals:
                work.report.signals[signal] = Sent()
                for journal in _FEEDS[signal]:
                    work.send(signal, journal)
    work.report.retries = poster.retries
    work.report.damaged, work.report.older = sum(work.damaged.values()), sum(work.older.values())
    return work.report


@dataclass
class _Work:
    root: EnvironmentRoot
    options: Options
    poster: Poster
    cursor: Cursor
    origin: Any
    """The resource that all signals come from."""
    report: Report = field(default_factory=Report)
    damaged: dict[str, int] = field(default_factory=dict)
    older: dict[str, int] = field(default_factory=dict)
    newest: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """The newest state of responses, by the numbers of their last two records."""

    def send(self, signal: str, journal: str) -> None:
        """Send one journal as one signal."""
        folder, names = journals.files(self.root, journal)
        known = {} if self.options.again else dict(self.cursor.of(signal))
        size = _WINDOW if signal == "metrics" else _BATCH
        seen = [self._send_file(signal, journal, folder, name, size, known) for name in names]
        keys = [key for key in seen if key is not None]
        if keys == seen and journals.files(self.root, journal)[1] == names:  # else one may have been missed as it moved
            self.cursor.forget(signal, journal, but=keys)

    def _send_file(
        self, signal: str, journal: str, folder: Folder, name: str, size: int, known: Mapping[str, Position]
    ) -> str | None:
        """Send what is new in a file; return what its position is kept under, or None when it has moved on."""
        lost = late = 0
        with journals.opened(folder, name, journal) as source:
            if source is None:
                return None
            environment = str(self.root.environment)
            for chunk in source.chunks(
                source.resume(known), environment=environment, since=self.options.since, size=size
            ):
                late += chunk.older
                lost += chunk.damaged + self._send_chunk(signal, journal, chunk)
                if chunk.position.offset and chunk.position != known.get(source.key):
                    self.cursor.save(signal, source.key, chunk.position)
        self.damaged[name] = max(self.damaged.get(name, 0), lost)
        self.older[name] = max(self.older.get(name, 0), late)
        return source.key

    def _send_chunk(self, signal: str, journal: str, chunk: Chunk) -> int:
        """Send some records; return how many of them cannot be sent as anything."""
        mapped = [(record, _mapped(journal, record)) for record in chunk.records]
        whole = [(record, found) for record, found in mapped if not isinstance(found, Exception)]
        if signal == "metrics":
            self._send_metrics(journal, [record for record, _ in whole])
        else:
            self._send_items(signal, [found for _, found in whole if found is not None])
        return len(mapped) - len(whole)

    def _send_items(self, signal: str, items: list[Any]) -> None:
        from agent_studio.capture.export import wire  # noqa: PLC0415 - as above

        if items:
            encode = wire.traces if signal == "traces" else wire.logs
            self._post(signal, encode(items, self.origin), len(items))

    def _send_metrics(self, journal: str, records: list[dict[str, Any]]) -> None:
        from agent_studio.capture.export import wire  # noqa: PLC0415 - as above

        if measured := measures.window(self._metrics(journal, records), records):
            points = sum(len(metric.points) for metric in measured.metrics)
            self._post("metrics", wire.metrics(measured, self.origin), points)

    def _post(self, signal: str, data: bytes, items: int) -> None:
        from agent_studio.capture.export import wire  # noqa: PLC0415 - as above

        refused, reason = wire.rejected(signal, self.poster.send(signal, data))
        sent = self.report.signals[signal]
        sent.items, sent.requests, sent.rejected = sent.items + items, sent.requests + 1, sent.rejected + refused
        sent.reason = reason or sent.reason

    def _metrics(self, journal: str, records: list[dict[str, Any]]) -> list[Metric]:
        if journal == "hooks":
            return measures.hooks(records)
        if journal == "agents":
            return measures.agents(records)
        first = min((record.get("_seq") or 0 for record in records), default=0)
        numbers = {record["amends"] for record in records if 0 < (record.get("amends") or 0) < first}
        if unknown := numbers - self.newest.keys():  # grown since an earlier export
            for earlier in journals.responses(self.root, unknown):
                if earlier["_seq"] < first:
                    self._remember(earlier)
        found = measures.usage(records, self._state_before)
        for number in sorted(self.newest)[:-_REMEMBERED]:
            del self.newest[number]
        return found

    def _state_before(self, record: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return a response's state before a record, and take the record as its newest."""
        before = self.newest.get(record.get("amends") or 0)
        self._remember(record)
        return before

    def _remember(self, record: Mapping[str, Any]) -> None:
        for number in (record.get("_seq"), record.get("amends")):
            if isinstance(number, int):
                self.newest[number] = record


def _mapped(journal: str, record: Mapping[str, Any]) -> Span | LogRecord | Exception | None:
    """Return what a record is sent as, None for nothing, or what is wrong with it."""
    try:
        return mapping.log_of(record) if journal == "errors" else mapping.span_of(journal, record)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        return error

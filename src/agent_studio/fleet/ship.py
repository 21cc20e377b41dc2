"""From this machine's journals to the shared engine, or to the stream before it.

What was sent is sent again until it is acknowledged, and only then is the cursor moved on; ids tell the engine what it
has already. So every record is there once, whatever is killed in between, and the journals are the buffer.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from agent_studio import clock, log
from agent_studio.errors import AgentStudioError, BusyError
from agent_studio.fleet import cursor as cursors
from agent_studio.fleet import homes, ledger, refused
from agent_studio.fleet.address import address
from agent_studio.fleet.batch import Batch
from agent_studio.fleet.delivery import BackOff, Delivery, StoppedError
from agent_studio.fleet.engines import FleetError, UnreachableError
from agent_studio.fleet.identity import identity, rename_origin
from agent_studio.fleet.journals import look
from agent_studio.fleet.rows import Rows
from agent_studio.fleet.stretches import stretches
from agent_studio.fleet.tables import TABLES
from agent_studio.monitor.segments import JOURNALS
from agent_studio.storage.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType

    from agent_studio.environment.context import Context
    from agent_studio.fleet.address import Address
    from agent_studio.fleet.cursor import Cursor
    from agent_studio.fleet.delivery import Sink
    from agent_studio.fleet.engines import Engine
    from agent_studio.fleet.homes import Home
    from agent_studio.fleet.identity import Identity
    from agent_studio.fleet.journals import Look

LOCK = "fleet.lock"
ANSWER_TIMEOUT_S = 150.0
"""Longer than a statement may take: behind it, it is the way there that stalls."""


@dataclass
class Shipped:
    """What was sent, and what was found on the way."""

    rows: dict[str, int] = field(default_factory=dict)
    """Acknowledged, by table."""
    bytes: int = 0
    """Of lines."""
    refused: int = 0
    lost_files: int = 0
    lost_bytes: int = 0
    replaced: list[str] = field(default_factory=list)
    samples: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    """By table one row, as it would be sent; of a dry run."""
    is_stopped: bool = False

    @property
    def total(self) -> int:
        """How many rows there were."""
        return sum(self.rows.values())

    def add(self, rows: Mapping[str, Any]) -> None:
        """Count rows that were taken."""
        for table, found in rows.items():
            self.rows[table] = self.rows.get(table, 0) + len(found)
            if found:
                self.samples.setdefault(table, found[0])


class EngineSink:
    """The engine itself as where batches go."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __enter__(self) -> Self:
        """Connect, and see that the tables are ours and of this version."""
        self._engine.__enter__()
        try:
            self._engine.require()
        except BaseException:
            self._engine.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self._engine.__exit__(kind, error, trace)

    def ask(self) -> None:
        """See that we may write there: to keep no row takes the same right as to keep some."""
        self.send(Batch("", "", dict.fromkeys(TABLES, ())))

    def send(self, batch: Batch) -> None:
        """Keep what is not there yet; an answer that does not come in time counts as none."""
        interrupt = getattr(self._engine, "interrupt", None)  # over HTTP there is a limit already
        if interrupt is None:
            self._engine.insert(batch)
            return
        limit = threading.Timer(ANSWER_TIMEOUT_S, interrupt)
        limit.daemon = True
        limit.start()
        try:
            self._engine.insert(batch)
        finally:
            limit.cancel()


def destination(context: Context, variables: Mapping[str, str]) -> Address:
    """Return where records are shipped to; raise `ConfigurationError` when nothing says so."""
    key = "fleet.ingest" if context.config["fleet.ingest"] else "fleet.engine"
    return address(context.config, key, variables)


def sink(context: Context, variables: Mapping[str, str], project: str) -> Sink:
    """Return what sends batches there; it connects when it is entered."""
    where = destination(context, variables)
    if where.scheme == "nats":
        from agent_studio.fleet.jetstream import Stream  # noqa: PLC0415 - asyncio comes with it

        return Stream(where, int(context.config["fleet.streamMegabytes"]) << 20)
    from agent_studio.fleet.engines.opening import opened  # noqa: PLC0415 - only the engine that is meant

    return EngineSink(opened(where, project))


@contextmanager
def alone(context: Context) -> Iterator[None]:
    """Hold what only one shipper of the same journals may; raise `BusyError` for the second."""
    owner = homes.owner_of(context)
    owner.state.make()
    with exclusive(owner.state, LOCK, doing=f"shipping the records of {owner.environment}"):
        yield


class Shipper:
    """Ships the journals of an environment, of all environments that write to them."""

    def __init__(
        self, context: Context, variables: Mapping[str, str], stop: threading.Event, say: Callable[[str], None], *,
        patient: bool,
    ) -> None:  # fmt: skip
        """Connect to nothing yet; `patient` as for `Delivery`."""
        self._context, self._stop, self._say = context, stop, say
        self._most = int(context.config["fleet.batchRecords"])
        self._texts = str(context.config["fleet.texts"])
        destination(context, variables)
        project = identity(context, "").project
        self._delivery = Delivery(partial(sink, context, variables, project), stop, say, patient=patient)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._delivery.close()

    def round(self, done: Shipped) -> int:
        """Ship what is there now, and count it in `done`; return how many rows were taken.

        Ends early when the end is asked for. Raises what `Delivery.send` does; what was acknowledged stays so.
        """
        before = done.total
        home = homes.current(self._context, draw=True)
        homes.refuse_another_name(self._context, home)
        try:
            for one in (*homes.aside(self._context, home), home):
                for kind in JOURNALS:
                    self._journal(one, kind, done)
                self._ledger(one, done)
                if one.is_aside and not self._stop.is_set():
                    cursors.forget(one.state)
        except StoppedError:
            done.is_stopped = True
        return done.total - before

    def ask(self) -> None:
        """Raise what would keep records from being taken, where none waited that would have shown it."""
        self._delivery.ask()

    def _journal(self, home: Home, kind: str, done: Shipped) -> None:
        sender, cursor = homes.sender(self._context, home), _cursor(home, kind)
        found = look(home.root, home.state, kind, cursor.entries, int(self._context.config["fleet.retentionDays"]))
        self._settle(home, kind, cursor, found, done)
        rows = Rows(kind, sender, home.writers(kind), self._texts)
        for piece in found.pieces:
            if not piece.entry.head or (piece.entry.offset == piece.entry.size and not piece.segment.is_live):
                continue
            try:
                for stretch in stretches(piece, rows, self._most):
                    self._send(home, sender, stretch.rows, cursor, done)
                    cursor.entries[piece.key] = stretch.entry
                    cursor.records += stretch.records
                    cursor.bytes += stretch.bytes
                    done.bytes += stretch.bytes
                    cursors.save(home.state, kind, cursor)
                    if self._stop.is_set():
                        raise StoppedError
            except FileNotFoundError:
                return  # it was sealed or packed since it was listed: the next round finds it

    def _settle(self, home: Home, kind: str, cursor: Cursor, found: Look, done: Shipped) -> None:
        """Note what was found, and tell what nobody can mend any more."""
        before = cursors.copy(cursor)
        found.settle(cursor)
        done.lost_files += len(found.lost)
        done.lost_bytes += cursor.lost_bytes - before.lost_bytes
        done.replaced += found.replaced
        if found.lost:
            text = f"{len(found.lost)} files of {kind} are gone that were not shipped to their end"
            self._tell("fleet.lost", text, bytes=cursor.lost_bytes - before.lost_bytes)
        if found.replaced:
            self._tell("fleet.replaced", f"{', '.join(found.replaced)}: cut or replaced, shipped anew")
        if cursor != before:
            cursors.save(home.state, kind, cursor)

    def _ledger(self, home: Home, done: Shipped) -> None:
        sender, cursor = homes.sender(self._context, home), _cursor(home, homes.LEDGER)
        while told := ledger.changed(home.root, cursor, sender, self._texts, self._most):
            if told.is_anew:
                cursor.replaced += 1
                self._tell("fleet.replaced", "the ledger was cut or replaced, and is shipped anew")
            self._send(home, sender, {homes.LEDGER: told.rows}, cursor, done)
            cursor.ledger, cursor.seq = told.ledger, told.seq
            cursor.records += len(told.rows)
            cursors.save(home.state, homes.LEDGER, cursor)
            if self._stop.is_set():
                raise StoppedError

    def _send(
        self, home: Home, sender: Identity, rows: dict[str, list[tuple[Any, ...]]], cursor: Cursor, done: Shipped
    ) -> None:
        batch = Batch(sender.project, sender.machine, rows)
        left_out = self._sent(home, batch) if batch.size else []
        if left_out:
            refused.keep(home.state, left_out)
            cursor.refused += len(left_out)
            done.refused += len(left_out)
            self._tell("fleet.refused", f"{len(left_out)} rows are refused: {left_out[0].reason}")
        done.add(rows)
        if batch.size:
            cursor.acknowledged = clock.timestamp(clock.now())

    def _sent(self, home: Home, batch: Batch) -> list[refused.Refused]:
        """Send a batch; under which name is noted before it can be there, and not at all where it is turned away."""
        self._delivery.connect()
        is_first = rename_origin(home.root, home.origin, batch.machine)
        try:
            return self._delivery.send(batch)
        except UnreachableError:
            raise  # it may be there
        except FleetError:
            if is_first and not self._delivery.has_sent:
                rename_origin(home.root, home.origin, home.machine)
            raise

    def _tell(self, event: str, text: str, **more: Any) -> None:
        log.warning(self._context, event, message=text, **more)
        self._say(text)


def would_ship(context: Context) -> Shipped:
    """Return what would be sent, and an example of each kind, without an engine and without a trace."""
    done = Shipped()
    home = homes.current(context, draw=False)
    homes.refuse_another_name(context, home)
    sender, texts, most = homes.sender(context, home), str(context.config["fleet.texts"]), 5_000
    for kind in JOURNALS:
        cursor = _cursor(home, kind)
        found = look(home.root, home.state, kind, cursor.entries, int(context.config["fleet.retentionDays"]))
        for piece in found.pieces:
            if piece.entry.head and piece.left:
                for stretch in stretches(piece, Rows(kind, sender, home.writers(kind), texts), most):
                    done.add(stretch.rows)
                    done.bytes += stretch.bytes
    cursor = _cursor(home, homes.LEDGER)
    while told := ledger.changed(home.root, cursor, sender, texts, most):
        done.add({homes.LEDGER: told.rows})
        cursor.ledger, cursor.seq = told.ledger, told.seq
    return done


def _cursor(home: Home, kind: str) -> Cursor:
    """Return a cursor that is of these journals; what one of others had left to ship is lost by now."""
    found = cursors.load(home.state, kind)
    if found.origin == home.origin:
        return found
    gone = [one for one in found.entries.values() if one.offset < one.size]
    return cursors.Cursor(
        origin=home.origin, refused=found.refused, lost_files=found.lost_files + len(gone),
        lost_bytes=found.lost_bytes + sum(one.size - one.offset for one in gone),
    )  # fmt: skip


class Following:
    """Ships again and again, whatever happens."""

    def __init__(
        self, opened: Callable[[], Context], variables: Mapping[str, str], stop: threading.Event,
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        """Take what `opened` returns for the environment as its files are now; `say` is told of what changes."""
        self._opened, self._variables, self._stop, self._say = opened, variables, stop, say
        self._back_off = BackOff(stop)
        self.done = Shipped()
        self.state = "ok"
        """`ok`, or why the last round failed."""

    def run(self, *, guard: Callable[[Context], AbstractContextManager[None]]) -> None:
        """Ship until the end is asked for; `guard` is held for each round."""
        while True:
            wait_s, state = 1.0, "ok"
            try:
                context = self._opened()
                wait_s = float(context.config["fleet.intervalSeconds"])
                with guard(context), Shipper(context, self._variables, self._stop, self._say, patient=False) as one:
                    one.round(self.done)
            except BusyError:
                pass  # somebody else ships
            except AgentStudioError as error:
                state = error.message
            if state not in {"ok", self.state}:
                self._say(f"{state}: what is recorded waits in the journals")
            self.state = state
            if state == "ok":
                self._back_off.failures = 0
            if self._stop.wait(wait_s) if state == "ok" else self._back_off.wait():
                return

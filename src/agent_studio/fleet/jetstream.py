"""NATS JetStream as the stream between machines and engine: replicated, bounded, emptied by `fleet drain`.

A message is a batch on the subject `agent-studio.<project>.<machine>`, so that the server can hold each machine to its
own. It is acknowledged once the stream has it, by a majority of its replicas; one sent twice within minutes is kept
once, one sent later the engine knows by its ids. A full stream refuses, and machines wait.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from agent_studio.errors import ConfigurationError, UsageError
from agent_studio.fleet.batch import decoded, encoded
from agent_studio.fleet.delivery import halves
from agent_studio.fleet.engines import FleetError, RefusedError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType
    from typing import TypeVar

    from agent_studio.fleet.address import Address
    from agent_studio.fleet.batch import Batch

    Found = TypeVar("Found")

STREAM, SUBJECT, CONSUMER = "AGENT_STUDIO", "agent-studio", "agent-studio-drain"
REPLICAS = 3
DUPLICATES_S = 600.0
"""How long the stream remembers what it was sent."""
_PORT = 4_222
_TIMEOUT_S = 5.0
_ACK_WAIT_S = 60.0
_DELIVERIES_MOST = -1
_HEADERS_BYTES = 1 << 10
_NOT_REPLICATED = frozenset((10_074, 10_005))
"""Error codes of a server without a cluster, and of one with too few peers."""
_FULL = frozenset((10_077, 10_122, 10_023, 10_047))
"""Error codes: maximum bytes or messages, too little storage, resources."""
_TLS = ("on", "off")
_FORBIDDEN = "permissions violation"
"""What the server says, in lower case, beside an answer that does not come."""
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")


class Held(NamedTuple):
    """What a stream holds."""

    messages: int
    bytes: int
    limit_bytes: int
    replicas: int


class Message:
    """A message that was taken from the stream, and is given back unless it is acknowledged."""

    def __init__(self, stream: Stream, raw: Any) -> None:
        self._stream, self._raw = stream, raw
        self.subject: str = raw.subject
        self.data: bytes = raw.data

    def batch(self) -> Batch:
        """Return the batch in it; raise `UsageError` for none, and for one of another machine than its subject's."""
        batch = decoded(self.data)
        if subject_of(batch.project, batch.machine) != self.subject:
            raise UsageError(f"a batch of machine {batch.machine!r} of {batch.project!r} on the subject {self.subject}")
        return batch

    def acknowledge(self) -> None:
        """Remove it from the stream; return once the server knows."""
        self._stream.run(self._raw.ack_sync(_TIMEOUT_S))

    def give_back(self) -> None:
        """Have it delivered again."""
        self._stream.run(self._raw.nak(delay=1))

    def terminate(self) -> None:
        """Have it never delivered again."""
        self._stream.run(self._raw.term())


class Stream:
    """A connection to the stream, for one thread; what it waits for runs on an event loop of its own."""

    def __init__(self, address: Address, limit_bytes: int) -> None:
        """Connect to nothing yet; raise `ConfigurationError` for an option that is none."""
        unknown = set(address.options) - {"tls"} or {address.options.get("tls", "on")} - set(_TLS)
        if unknown:
            raise ConfigurationError(f"{address.shown}: unknown option {min(unknown)!r}", hint="tls=off is one")
        self._address, self._limit_bytes = address, limit_bytes
        self._runner: asyncio.Runner | None = None
        self._nats: Any = None
        self._subscription: Any = None
        self._said = ""
        """What the server said beside its answers: that something is not allowed, it does not answer."""

    def __enter__(self) -> Self:
        """Connect."""
        self._runner = asyncio.Runner()
        try:
            self.run(self._connect())
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection; a server that does not answer any more is not waited for."""
        runner, self._runner = self._runner, None
        nats, self._nats, self._subscription = self._nats, None, None
        if runner is None:
            return
        with runner:
            if nats is not None:
                runner.run(_closed(nats))

    def run(self, wanted: Coroutine[Any, Any, Found]) -> Found:
        """Wait for something; raise faults of the library as ours."""
        nats_error = _library().errors.Error
        if self._runner is None:
            wanted.close()
            raise UnreachableError(f"{self._address.shown} is not connected")
        try:
            return self._runner.run(wanted)
        except (nats_error, OSError, TimeoutError) as error:
            raise self._fault(error) from error

    def send(self, batch: Batch) -> None:
        """Publish a batch, in parts where it is larger than a message may be, and wait until the stream has it."""
        data = encoded(batch)
        most = self._nats.max_payload - _HEADERS_BYTES
        if len(data) > most:
            if batch.size == 1:
                raise RefusedError(f"{self._address.shown} takes no message of {len(data):,} bytes")
            for half in halves(batch):
                self.send(half)
            return
        self.run(self._publish(batch, data))

    def ask(self) -> None:
        """Find nothing more than connecting did: what may be published is known when it is."""

    def take(self, most: int, wait_s: float) -> list[Message]:
        """Return the next messages, none when none came in time."""
        return [Message(self, raw) for raw in self.run(self._fetch(most, wait_s))]

    def held(self) -> Held | None:
        """Return what the stream holds, None to who may not know."""
        try:
            return self.run(self._held())
        except FleetError:
            if _FORBIDDEN in self._said.lower():
                return None
            raise

    async def _connect(self) -> None:
        nats = _library()
        address, scheme = self._address, "tls" if self._context() else "nats"
        self._nats = nats.NATS()  # kept before it connects: what fails half-way is closed as well
        await asyncio.wait_for(
            self._nats.connect(
                [f"{scheme}://{host}:{port or _PORT}" for host, port in address.hosts], user=address.user,
                password=address.password, tls=self._context(), connect_timeout=_TIMEOUT_S,
                allow_reconnect=False, max_reconnect_attempts=1,
                reconnect_time_wait=0.1, error_cb=self._told, name="agent-studio",
            ),
            _TIMEOUT_S * 4,
        )  # fmt: skip

    async def _create(self) -> None:
        from nats.js import api, errors  # noqa: PLC0415 - an extra, imported only for the stream

        for replicas in (REPLICAS, 1):
            config = api.StreamConfig(
                name=STREAM, subjects=[f"{SUBJECT}.>"], storage=api.StorageType.FILE, num_replicas=replicas,
                retention=api.RetentionPolicy.WORK_QUEUE, discard=api.DiscardPolicy.NEW,
                max_bytes=self._limit_bytes, duplicate_window=DUPLICATES_S,
            )  # fmt: skip
            try:
                await self._nats.jetstream().add_stream(config)
            except errors.APIError as error:
                if error.err_code not in _NOT_REPLICATED or replicas == 1:
                    raise
            else:
                return

    async def _told(self, error: Exception) -> None:
        self._said = str(error)

    async def _publish(self, batch: Batch, data: bytes) -> None:
        """Publish; where there is no stream yet, who may create it does so, and who may not waits for one who may."""
        self._said = ""
        subject, headers = subject_of(batch.project, batch.machine), {"Nats-Msg-Id": batch.id}
        stream = self._nats.jetstream()
        try:
            await stream.publish(subject, data, timeout=_TIMEOUT_S, stream=STREAM, headers=headers)
        except _library().js.errors.NoStreamResponseError:
            try:
                await self._create()
            except (_library().errors.Error, TimeoutError) as error:
                if _FORBIDDEN not in self._said.lower():
                    raise
                raise UnreachableError(
                    f"{self._address.shown} has no stream yet", hint="agent-studio fleet drain creates it"
                ) from error
            await stream.publish(subject, data, timeout=_TIMEOUT_S, stream=STREAM, headers=headers)

    async def _fetch(self, most: int, wait_s: float) -> list[Any]:
        from nats.js import api  # noqa: PLC0415 - as above

        if self._subscription is None:
            try:
                await self._nats.jetstream().stream_info(STREAM)
            except _library().js.errors.NotFoundError:
                await self._create()
            config = api.ConsumerConfig(
                durable_name=CONSUMER, ack_policy=api.AckPolicy.EXPLICIT, ack_wait=_ACK_WAIT_S,
                max_deliver=_DELIVERIES_MOST,
            )  # fmt: skip
            self._subscription = await self._nats.jetstream().pull_subscribe(
                f"{SUBJECT}.>", durable=CONSUMER, stream=STREAM, config=config
            )
        try:
            found: list[Any] = await self._subscription.fetch(most, timeout=wait_s)
        except _library().errors.TimeoutError:
            if not self._nats.is_connected:
                raise
            return []
        return found

    async def _held(self) -> Held:
        info = await self._nats.jetstream().stream_info(STREAM)
        state, config = info.state, info.config
        return Held(state.messages, state.bytes, config.max_bytes or 0, config.num_replicas or 1)

    def _context(self) -> ssl.SSLContext | None:
        """Return how the server has to prove who it is; nothing for one on this machine, unless asked for."""
        wanted = self._address.options.get("tls", "off" if self._address.is_local else "on")
        if wanted == "off":
            return None
        try:
            context = ssl.create_default_context(cafile=self._address.ca)
            if self._address.certificate:
                context.load_cert_chain(self._address.certificate, self._address.key)
        except OSError as error:
            raise ConfigurationError(f"fleet.tls: a file cannot be used: {error}", hint="name PEM files") from error
        return context

    def _fault(self, error: BaseException) -> FleetError:
        nats, where = _library(), self._address.shown
        text = str(error).strip() or type(error).__name__
        if isinstance(error, nats.js.errors.APIError):
            if error.err_code in _FULL:
                return UnreachableError(f"{where}: the stream is full")
            return UnreachableError(f"{where}: {error.description or text}")
        if _FORBIDDEN in self._said.lower():
            return FleetError(f"{where} does not let us: {self._said}", hint="is fleet.machine the credential's own?")
        if isinstance(error, nats.errors.AuthorizationError) or "authorization" in text.lower():
            return FleetError(f"{where} does not let us in", hint="set AGENT_STUDIO_FLEET_INGEST_PASSWORD")
        if isinstance(error, ssl.SSLError):
            return FleetError(f"{where}: no trusted connection: {text}", hint="fleet.tls.ca: its authority's file")
        return UnreachableError(f"{where} cannot be reached: {text}")


def subject_of(project: str, machine: str) -> str:
    """Return the subject of a machine's batches; what a subject cannot have is written as `=` and its hex digits."""
    return ".".join((SUBJECT, _token(project), _token(machine)))


def _token(name: str) -> str:
    if _PLAIN.fullmatch(name):
        return name
    return "".join(one if _PLAIN.fullmatch(one) else f"={one.encode().hex()}=" for one in name) or "="


async def _closed(nats: Any) -> None:
    with suppress(OSError, TimeoutError, _library().errors.Error):
        await asyncio.wait_for(nats.close(), 2)
    await asyncio.sleep(0)  # the transport ends in a turn of its own


def _library() -> Any:
    try:
        import nats  # noqa: PLC0415 - an extra, imported only for the stream
        import nats.js.errors  # noqa: PLC0415 - the same
    except ImportError as error:
        raise FleetError(f"the stream needs nats-py: {error}", hint="pip install 'agent-studio[nats]'") from error
    return nats

"""How ClickHouse is reached, in process or over HTTP, and what its faults mean for who sends records."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agent_studio.errors import ConfigurationError
from agent_studio.fleet.engines import FleetError, RefusedError, SchemaError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.fleet.address import Address

CONNECT_TIMEOUT_S = 10
ANSWER_TIMEOUT_S = 120
_OPTIONS = ("cluster", "secure")
_PORTS = {True: 8443, False: 8123}
_LATER = frozenset((
    3, 159, 160, 164, 202, 209, 210, 236, 241, 242, 243, 252, 254, 265, 279, 285, 286, 289, 290, 319, 341, 364, 425,
    439, 999,
))  # fmt: skip
"""Time, connections, memory, disk, parts, replicas, Keeper, an insertion of unknown outcome, a read-only server."""
_NO_SCHEMA = frozenset((8, 16, 36, 47, 60, 81))
_NOT_LET_IN = frozenset((192, 193, 194, 195, 516))
_NO_RIGHT = frozenset((497,))
_WRONG = frozenset((6, 26, 27, 32, 33, 38, 41, 53, 69, 70, 72, 117, 131, 190, 321, 349, 376, 467, 469))
"""Values that cannot be read or do not fit, and constraints that they break."""


def library() -> Any:
    """Return clickhouse-connect; raise `FleetError` where it is not installed."""
    try:
        import clickhouse_connect  # noqa: PLC0415 - an extra, imported only for this engine
    except ImportError as error:
        raise FleetError(
            f"ClickHouse needs clickhouse-connect: {error}", hint="pip install 'agent-studio[clickhouse]'"
        ) from error
    logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())  # what it logs it also raises
    return clickhouse_connect


def client(address: Address) -> Any:
    """Return a client of the library's; a server elsewhere is reached by verified TLS without another word."""
    clickhouse_connect = library()
    address.refuse_unknown(_OPTIONS)
    if address.scheme == "chdb":
        return _in_process(address)
    is_secure = _is_secure(address)
    faults = []
    for host, port in address.hosts:
        try:
            return clickhouse_connect.get_client(
                host=host or "localhost", port=port or _PORTS[is_secure], secure=is_secure, verify=True,
                username=address.user, password=address.password or "", database=address.path.strip("/") or "default",
                ca_cert=address.ca, client_cert=address.certificate, client_cert_key=address.key,
                connect_timeout=CONNECT_TIMEOUT_S, send_receive_timeout=ANSWER_TIMEOUT_S, compress=True,
                autogenerate_session_id=False, query_retries=0, client_name="agent-studio",
                settings=_settings(address),
            )  # fmt: skip
        except clickhouse_connect.driver.exceptions.OperationalError as error:
            faults.append(error)
    raise faults[-1]


def _is_secure(address: Address) -> bool:
    said = address.options.get("secure", "false" if address.is_local else "true")
    if said not in {"true", "false"}:
        raise ConfigurationError(f"{address.shown}: secure={said}", hint="secure=true or secure=false")
    return said == "true"


def _settings(address: Address) -> dict[str, Any]:
    """Return what every statement is run with: an insertion counts when most replicas have it."""
    return {"insert_quorum": "auto"} if address.options.get("cluster") else {}


def _in_process(address: Address) -> Any:
    clickhouse_connect = library()
    try:
        return clickhouse_connect.get_client(dsn=f"chdb://{address.path}")
    except (ImportError, clickhouse_connect.driver.exceptions.NotSupportedError) as error:
        raise FleetError(f"ClickHouse in process needs chDB: {error}", hint="pip install chdb-core") from error


@contextmanager
def faults_as_ours(where: str) -> Iterator[None]:
    """Raise what the library raises as a fault of ours."""
    exceptions = library().driver.exceptions
    try:
        yield
    except exceptions.DataError as error:
        raise RefusedError(f"{where} refuses: {_said(error)}") from error
    except exceptions.Error as error:
        raise _fault(error, where) from error
    except OSError as error:
        raise UnreachableError(f"{where} cannot be reached: {error}") from error


def _fault(error: Any, where: str) -> FleetError:
    code, said = error.code, _said(error)
    if code in _LATER or (code is None and type(error).__name__ in {"OperationalError", "StreamFailureError"}):
        return UnreachableError(f"{where} cannot do it now: {said}")
    if code in _WRONG:
        return RefusedError(f"{where} refuses: {said}")
    if code in _NO_SCHEMA:
        return SchemaError(f"{where}: {said}", hint="agent-studio fleet init creates and migrates the tables")
    if code in _NOT_LET_IN:
        return FleetError(f"{where} does not let us in: {said}", hint="set AGENT_STUDIO_FLEET_PASSWORD")
    if code in _NO_RIGHT:
        return FleetError(f"{where}: {said}", hint="agent-studio fleet access shows who may do what")
    return FleetError(f"{where}: {said}")


def _said(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or ["no reason given"]
    return lines[0][:400]

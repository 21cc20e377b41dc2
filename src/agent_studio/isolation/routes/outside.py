"""A process that stays outside: it holds a planted file open and in memory, and answers whoever reaches its sockets.

`python -I -S outside.py FILE NAME`: writes one JSON line with all that a route needs to find it, and ends when its
input does. A signal that reaches it is written as a second line.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
import threading

_BYTES = 1 << 13


def main() -> None:
    """Hold the file until the input ends."""
    file, name = sys.argv[1:3]
    os.chdir(os.path.dirname(file))
    descriptor = os.open(file, os.O_RDONLY)
    content = os.pread(descriptor, _BYTES, 0)
    buffer = ctypes.create_string_buffer(content, len(content))
    places = {"abstract": f"\0agent-studio-{name}", "socket": f"{os.path.basename(file)}-socket"}
    signal.signal(signal.SIGUSR1, lambda *_: _say({"signalled": True}))
    for place in places.values():
        threading.Thread(target=_answer, args=(_listening(place), content), daemon=True).start()
    _say({
        "pid": os.getpid(), "descriptor": descriptor, "address": ctypes.addressof(buffer), "size": len(content),
        **places,
    })  # fmt: skip
    while os.read(0, 1):
        pass


def _listening(place: str) -> socket.socket:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(place)
    server.listen()
    return server


def _answer(server: socket.socket, content: bytes) -> None:
    while True:
        connection, _ = server.accept()
        with connection:
            connection.sendall(content)


def _say(found: dict[str, object]) -> None:
    os.write(1, json.dumps(found).encode() + b"\n")


if __name__ == "__main__":
    main()

"""A filter of system calls that keeps a command from typing into the terminal that it shares with us.

With TIOCSTI or TIOCLINUX it could put characters into the input that our shell reads once it has ended. A session of
its own would prevent that as well, and would take the terminal's keys and size from an interactive program.
"""

from __future__ import annotations

import struct
import sys

_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_ARCHITECTURE, _NUMBER, _REQUEST = 4, 0, 24
"""Offsets in `struct seccomp_data`; the request is the low half of the second argument."""
_IOCTLS = (
    (0xC000003E, 16),  # x86-64
    (0xC000003E, 0x40000000 | 514),  # x32
    (0x40000003, 54),  # i386
    (0xC00000B7, 29),  # arm64
    (0x40000028, 54),  # arm
    (0xC00000F3, 29),  # riscv64
)
"""Architectures as the kernel's audit has them, and the number of `ioctl`."""
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
"""BPF: load an absolute word, jump if equal, return."""
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 1
"""Refused with EPERM."""


def program() -> bytes:
    """Return the filter as `struct sock_filter[]`, empty where the words of an argument lie the other way round."""
    if sys.byteorder != "little":
        return b""
    steps = []
    for architecture, number in _IOCTLS:
        steps += [
            (_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 0, 6, architecture),
            (_LOAD, 0, 0, _NUMBER), (_EQUAL, 0, 4, number),
            (_LOAD, 0, 0, _REQUEST), (_EQUAL, 1, 0, _TIOCSTI), (_EQUAL, 0, 1, _TIOCLINUX),
            (_RETURN, 0, 0, _REFUSE),
        ]  # fmt: skip
    steps.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *step) for step in steps)

"""The recorder in Python, for where there is no C compiler: the same bytes and behaviour as recorder.c.

Run by file path, `python -I -S twin.py`, and imports only what costs nothing: a process is all a hook can afford.
What only `exec` needs is in twin_exec.py for the same reason. Change the three together.
"""

# ruff: noqa: PLC0415 - what only some calls need is imported by them
import sys
import time

if sys.platform == "win32":
    import os as posix
else:
    import posix

_KEPT, _ENV_KEPT = 1024, 64
_PAYLOAD_MAX = 16 << 20  # what is beyond is counted, not kept
_UNROUTED_LIMIT = 64 << 20
_REOPENED = 8
_LOCK_WAIT_US = 100_000
_LOCK_PAUSE_US = 1600
_SPACE = b" \t\n\r"
_TYPE, _REGULAR = 0o170000, 0o100000
_LIMIT_DIGITS = 18
_NAMES = (b"development", b"staging", b"production")
_ESCAPES = {
    **{code: f"\\u{code:04x}" for code in range(0x20)},
    **dict.fromkeys(range(0xDC80, 0xDD00), "\\ufffd"),
    ord('"'): '\\"',
    ord("\\"): "\\\\",
}


def _variable(name: str) -> bytes | None:
    if sys.platform == "win32":
        text = posix.environ.get(name)
        return None if text is None else text.encode("utf-8", "surrogateescape")
    return posix.environ.get(name.encode())


def _string(data: bytes, kept: int = _KEPT) -> bytes:
    return b'"' + data[:kept].decode("utf-8", "surrogateescape").translate(_ESCAPES).encode() + b'"'


def _try_lock(descriptor: int) -> bool:
    """Wait a little for the lock: a stopped process must not stop the agent."""
    wait = 50
    waited = 0
    while True:
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            else:
                posix.lockf(descriptor, posix.F_TLOCK, 0)
        except (BlockingIOError, PermissionError):
            if waited >= _LOCK_WAIT_US:
                return False
        except OSError:
            return False
        else:
            return True
        time.sleep(wait / 1e6)
        waited += wait
        wait = 2 * wait if wait < _LOCK_PAUSE_US else wait


def _open_plain(path: bytes) -> tuple[int, int, bool]:
    """Open a plain file that still has its name once it is locked; return it, its size and whether its end is torn.

    A segment that was sealed meanwhile is left alone. A writer killed in the middle of a write leaves a line
    without an end; without the lock that cannot be known, and an empty line too many is read as nothing.
    """
    flags = posix.O_RDWR | posix.O_APPEND | posix.O_CREAT
    for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK", "O_BINARY"):
        flags |= getattr(posix, name, 0)
    for _ in range(_REOPENED):
        descriptor = posix.open(path, flags, 0o600)
        locked = _try_lock(descriptor)
        opened = posix.fstat(descriptor)
        plain = opened.st_mode & _TYPE == _REGULAR and opened.st_nlink <= 1
        if plain and _has_name(path, opened):
            torn = not locked
            if locked and opened.st_size > 0 and sys.platform != "win32":
                torn = posix.pread(descriptor, 1, opened.st_size - 1) not in (b"\n", b"")
            return descriptor, opened.st_size, torn
        posix.close(descriptor)
        if not plain:
            raise OSError(0, "not a plain file")
    raise OSError(0, "moved away again and again")


def _has_name(path: bytes, opened: posix.stat_result) -> bool:
    try:
        named = posix.lstat(path)
    except OSError:
        return False
    return (named.st_ino, named.st_dev) == (opened.st_ino, opened.st_dev)


class _Event:
    def __init__(self, kind: bytes, ts: int, payload: bytes, size: int, *, whole: bool) -> None:
        self.kind, self.ts, self.payload, self.size, self.whole = kind, ts, payload, size, whole

    def line(self, env: bytes | None, reason: bytes | None, *, whole: bool) -> bytes:
        """Return the event's line; `whole` embeds the payload, otherwise its first bytes are kept as a string."""
        parts = [b'{"ts":%d,"pid":%d,"kind":"%s"' % (self.ts, posix.getpid(), self.kind)]
        if env is not None:
            parts.append(b',"env":' + _string(env, _ENV_KEPT))
        if reason is not None:
            parts.append(b',"reason":' + _string(reason))
        if whole:
            parts += [b',"payload":', self.payload.replace(b"\n", b" ").replace(b"\r", b" ")]
        else:
            parts += [b',"bytes":%d,"payload":' % self.size, _string(self.payload)]
        return b"".join([*parts, b"}\n"])


def _append(path: bytes, event: _Event, env: bytes | None, reason: bytes | None, limit: int | None) -> None:
    descriptor, size, torn = _open_plain(path)
    try:
        start = b"\n" if torn else b""
        line = start + event.line(env, reason, whole=event.whole)
        if event.whole and limit is not None and size + len(line) > limit:
            line = start + event.line(env, reason, whole=False)
        if posix.write(descriptor, line) < len(line):
            raise OSError(0, "written in part")
    finally:
        posix.close(descriptor)


def _find_route(state: bytes, name: bytes) -> tuple[bytes | None, int | None, bool]:
    """Return an environment's inbox, its limit, and whether another environment shares it."""
    try:
        descriptor = posix.open(
            state + b"/routes",
            posix.O_RDONLY | getattr(posix, "O_NOFOLLOW", 0) | getattr(posix, "O_NONBLOCK", 0),
        )
        try:
            table = posix.read(descriptor, 65535)
        finally:
            posix.close(descriptor)
    except OSError:
        return None, None, False
    inbox, limit, others = None, None, []
    for line in table.split(b"\n"):
        written, _, rest = line.partition(b"\t")
        place, _, digits = rest.partition(b"\t")
        if not (place.startswith(b"/") or (place and sys.platform == "win32")):
            continue
        if written != name:
            others.append(place)
        elif inbox is None:
            inbox = place
            if digits.isdigit() and len(digits) <= _LIMIT_DIGITS:
                limit = int(digits)
    return inbox, limit, inbox in others


def _record(state: bytes, event: _Event) -> None:
    env = _variable("AGENT_STUDIO_ENV")
    if env is None:
        env = b"development"
    name = env.strip(b" \t\n\r\v\f").lower()
    reason = b"unknown environment"
    if name in _NAMES:
        reason = b"no route"
        inbox, limit, shared = _find_route(state, name)
        if inbox is not None:
            try:
                _append(inbox, event, name if shared else None, None, limit)
            except OSError as error:
                reason = b"inbox: " + (error.strerror or "").encode()
            else:
                return
    _append(state + b"/unrouted.jsonl", event, env, reason, _UNROUTED_LIMIT)


def _read_all() -> tuple[bytes, int]:
    """Return what is kept of stdin and how long it was."""
    chunks: list[bytes] = []
    size = 0
    while True:
        try:
            chunk = posix.read(0, 1 << 20)
        except BlockingIOError:
            time.sleep(0.001)
            continue
        except OSError:
            break
        if not chunk:
            break
        size += len(chunk)
        if size <= _PAYLOAD_MAX:
            chunks.append(chunk)
    return b"".join(chunks), size


def _record_payload(state: bytes, started: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(0, posix.O_BINARY)
    payload, size = _read_all()
    first = payload.lstrip(_SPACE)[:1]
    if not first and len(payload) == size:
        event = _Event(b"hook", started, b"null", size, whole=True)
    else:
        plausible = bool(first) and first in b'{["0123456789tfn-' and b"\0" not in payload
        event = _Event(b"hook", started, payload, size, whole=plausible and size <= _PAYLOAD_MAX)
    _record(state, event)


def _others_record(state: bytes) -> bool:
    """Tell whether `agent-studio run` or the settings record; what runs a command under the clock records no events."""
    if _variable("AGENT_STUDIO_ISOLATION") is not None:
        return True
    for name in (b"settings.json", b"settings.local.json"):
        try:
            descriptor = posix.open(state + b"/../.claude/" + name, posix.O_RDONLY)
            text = b"".join(iter(lambda: posix.read(descriptor, 1 << 20), b""))  # noqa: B023 - called here
            posix.close(descriptor)
        except OSError:
            continue
        for part in text.replace(b"\\\\", b"/").split(b"/.agent-studio/bin/recorder")[1:]:
            if not part.removeprefix(b".py").startswith((b'\\" ]', b'\\" exec ')):
                return True
    return False


def _execute(folder: bytes, state: bytes, started: int) -> int:
    sys.dont_write_bytecode = True
    sys.path.insert(0, folder.decode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()))
    import twin_exec  # type: ignore[import-not-found]  # found beside this file

    def record(payload: bytes) -> None:
        _record(state, _Event(b"exec", started, payload, len(payload), whole=True))

    code: int = twin_exec.execute(sys.argv[2:], string=_string, variable=_variable, record=record)
    return code


def _main() -> None:
    started = time.time_ns()
    code = 0
    try:
        place = __file__.encode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())
        if sys.platform == "win32":
            place = place.replace(b"\\", b"/")
        folder = place.rpartition(b"/")[0]
        state = folder.rpartition(b"/")[0]
        if sys.argv[1:2] == ["exec"]:
            code = 127
            code = _execute(folder, state, started)
        elif sys.argv[1:2] != ["plugin"] or not _others_record(state):
            _record_payload(state, started)
    finally:
        posix._exit(code)  # noqa: SLF001 - nothing is left to be flushed or said


if __name__ == "__main__":
    _main()

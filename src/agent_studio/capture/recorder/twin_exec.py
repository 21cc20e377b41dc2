"""`exec` of the recorder in Python: run one hook command untouched and record how it went, as recorder.c does.

Loaded by twin.py and lives beside it; imports only what costs nothing. Where the two differ from recorder.c: the
command outlives a recorder that is killed by SIGKILL, and the signals Python ignores for itself (SIGPIPE, SIGXFSZ)
are at their defaults in the command.
"""

import _signal  # type: ignore[import-not-found]  # what `signal` wraps
import sys
import time

if sys.platform == "win32":
    import os as posix
else:
    import posix

TYPE_CHECKING = False  # importing typing costs more than all of this
if TYPE_CHECKING:
    from collections.abc import Callable

_ARGUMENTS_KEPT = 64
_ENOEXEC = 8
_WATCHED_AFTER_S = 0.5
_FOLLOWED_WITHIN_S = 0.2
_USAGE = b"usage: recorder exec --hook NAME (-- CMD [ARG...] | --shell LINE)\n"
_CANNOT_START = 127  # not 2, which would block the agent
_NOT_EXECUTABLE = 126


class _Run:
    """A command that is waited for."""

    def __init__(self, hook: str, words: list[str], keep: "Callable[[_Run, int | None], None]") -> None:
        self.hook = _bytes(hook)
        self.command = [_bytes(word) for word in words]
        self.started = time.monotonic_ns()
        self.child = 0
        self.timed_out = False
        self._watcher: int | None = None
        self._keep = keep

    def on_signal(self, number: int, _frame: object) -> None:
        """Pass a signal on; a client that gives up on a hook ends us, and means the command."""
        if self.child:
            posix.kill(self.child, number)
        if number == _signal.SIGTERM:
            self.timed_out = True
            self.watch()

    def watch(self, _number: int = 0, _frame: object = None) -> None:
        """Leave someone behind who outlives us: who ends a slow hook by force leaves us no time to record it."""
        if self._watcher is not None or not self.child:
            return
        reads, self._watcher = posix.pipe()
        middle = posix.fork()
        if middle:
            posix.close(reads)
            posix.waitpid(middle, 0)
            return
        try:
            if not posix.fork():
                self._stand_by(reads, self._watcher)
        finally:
            posix._exit(0)  # noqa: SLF001 - a copy of us must not go on

    def _stand_by(self, reads: int, writes: int) -> None:
        posix.setsid()
        null = posix.open("/dev/null", posix.O_RDWR)
        for descriptor in range(3):  # the client waits for whoever holds its pipes
            posix.dup2(null, descriptor)
        posix.close(writes)
        if not posix.read(reads, 1):
            self.timed_out = True
            self._keep(self, None)

    def record(self, code: int) -> None:
        """Append how the command went; a negative code is the signal that ended it.

        A client that ends a slow hook by force may reach the command before us: then our watcher is to tell of it.
        """
        try:
            if self._watcher is not None and code == -_signal.SIGKILL:
                time.sleep(_FOLLOWED_WITHIN_S)
            self._keep(self, code)
            if self._watcher is not None:
                posix.write(self._watcher, b"x")
        except Exception:  # noqa: BLE001 - what cannot be recorded must not change how the command ended
            return


def execute(
    arguments: list[str],
    *,
    string: "Callable[[bytes], bytes]",
    variable: "Callable[[str], bytes | None]",
    record: "Callable[[bytes], None]",
) -> int:
    """Run a command untouched, record how it went, and return the code to exit with."""
    hook, line, words = _parsed(arguments)
    if not words:
        posix.write(2, _USAGE)
        return _CANNOT_START

    def keep(run: _Run, code: int | None) -> None:
        record(_payload(run, code, string, variable))

    run = _Run(hook, words, keep)
    if sys.platform == "win32":
        import subprocess  # noqa: PLC0415

        code = subprocess.run(line or words, shell=line is not None, check=False).returncode
    else:
        code = _spawn(run) or _wait(run)
    run.record(code)
    return code if code >= 0 else 128 - code


def _parsed(arguments: list[str]) -> tuple[str, str | None, list[str]]:
    """Return the hook's name, its shell line if it is one, and the words to run."""
    hook, line, at = "", None, 0
    while at + 1 < len(arguments) and arguments[at] in {"--hook", "--shell"}:
        if arguments[at] == "--hook":
            hook = arguments[at + 1]
        else:
            line = arguments[at + 1]
        at += 2
    if line is not None:
        return hook, line, ["/bin/sh", "-c", line]
    return hook, None, arguments[at + 1 :] if arguments[at : at + 1] == ["--"] else []


def _bytes(text: str) -> bytes:
    return text.encode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())


def _payload(
    run: _Run, code: int | None, string: "Callable[[bytes], bytes]", variable: "Callable[[str], bytes | None]"
) -> bytes:
    us = (time.monotonic_ns() - run.started) // 1000
    exit_code = b"null" if code is None or code < 0 else b"%d" % code
    number = b"%d" % -code if code is not None and code < 0 else b"null"
    words = b",".join(string(word) for word in run.command[:_ARGUMENTS_KEPT])
    text = b'{"hook":%s,"exit":%s,"signal":%s,"duration_ms":%d.%03d,"command":[%s]' % (
        string(run.hook), exit_code, number, us // 1000, us % 1000, words,
    )  # fmt: skip
    if run.timed_out:
        text += b',"timedOut":true'
    for key, name in ((b"session_id", "CLAUDE_CODE_SESSION_ID"), (b"project_dir", "CLAUDE_PROJECT_DIR")):
        value = variable(name)
        if value is not None:
            text += b',"%s":%s' % (key, string(value))
    return text + b"}"


def _spawn(run: _Run) -> int:
    """Start the command with everything we inherited; return 0, or the exit code when it cannot be started."""
    forwarded = (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP)
    before = _signal.pthread_sigmask(_signal.SIG_BLOCK, forwarded)
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)  # ignored, there would be nothing to wait for
    for number in forwarded:
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, run.on_signal)
    _signal.signal(_signal.SIGALRM, run.watch)
    try:
        run.child = _started(run.command, before)
    except OSError as error:
        reason = (error.strerror or "").encode()
        posix.write(2, b"recorder: cannot run %s: %s\n" % (run.command[0], reason))
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        return _CANNOT_START if missing else _NOT_EXECUTABLE
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
    return 0


def _started(command: list[bytes], mask: "set[int]") -> int:
    defaults = (_signal.SIGPIPE, _signal.SIGXFSZ)
    variables = _variables()
    try:
        return posix.posix_spawnp(command[0], command, variables, setsigmask=mask, setsigdef=defaults)
    except OSError as error:
        if error.errno != _ENOEXEC or b"/" not in command[0]:
            raise
    words = [b"/bin/sh", *command]  # a script without a first line is the shell's
    return posix.posix_spawn(words[0], words, variables, setsigmask=mask, setsigdef=defaults)


def _variables() -> dict[bytes, bytes]:
    """Return the variables as they were handed to us: Python sets LC_CTYPE for itself in a bare locale."""
    variables = dict(posix.environ)
    if variables.get(b"LC_CTYPE") != b"C.UTF-8":
        return variables
    try:
        descriptor = posix.open("/proc/self/environ", posix.O_RDONLY)
        inherited = b"\0"
        while chunk := posix.read(descriptor, 1 << 16):
            inherited += chunk
        posix.close(descriptor)
    except OSError:
        return variables
    if b"\0LC_CTYPE=" not in inherited:
        del variables[b"LC_CTYPE"]
    return variables


def _wait(run: _Run) -> int:
    _signal.setitimer(_signal.ITIMER_REAL, _WATCHED_AFTER_S, _WATCHED_AFTER_S)
    if hasattr(posix, "waitid"):
        posix.waitid(posix.P_PID, run.child, posix.WEXITED | posix.WNOWAIT)
    child, run.child = run.child, 0  # before its number is free for another process, which no signal may reach
    _, status = posix.waitpid(child, 0)
    return posix.waitstatus_to_exitcode(status)

"""A process of its own that is forked off the test's, for what is asked a hundred times: no interpreter starts.

What the start of an interpreter proves by itself is for tests that start one.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import tempfile
import traceback
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.conftest import Finished

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


def forked(call: Callable[[], object], *, cwd: Path, variables: Mapping[str, str], given: bytes = b"") -> Finished:
    """Call something in a process of its own, and return how that ended and what it wrote."""
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        stdin.write(given)
        stdin.seek(0)
        child = _fork()
        if not child:
            _become(call, cwd, variables, [file.fileno() for file in (stdin, out, err)])
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        for file in (out, err):
            file.seek(0)
        return Finished(code, out.read().decode(errors="surrogateescape"), err.read().decode(errors="surrogateescape"))


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the threads of pytest hold no lock of ours
        return os.fork()


def _become(call: Callable[[], object], cwd: Path, variables: Mapping[str, str], files: Sequence[int]) -> None:
    """Call with standard files, folder and variables exchanged, and end the process."""
    code: object = 70
    signal.alarm(120)  # what hangs is killed
    try:
        for target, file in enumerate(files):
            os.dup2(file, target)
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(variables)
        sys.stdin, sys.stdout, sys.stderr = (
            io.TextIOWrapper(os.fdopen(number, mode), "utf-8", errors, write_through=True)
            for number, mode, errors in ((0, "rb", "strict"), (1, "wb", "strict"), (2, "wb", "backslashreplace"))
        )
        code = call() or 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:  # noqa: BLE001 - the child of a fork never returns
        with suppress(OSError):
            traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(code if isinstance(code, int) else 1)

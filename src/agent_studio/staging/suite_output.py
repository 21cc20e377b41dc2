"""The suite's output on its way: echoed live, counted by the line, logged redacted; little of it is ever held."""

from __future__ import annotations

import codecs
from typing import IO, TYPE_CHECKING

from agent_studio.redaction import redact
from agent_studio.staging.counting import LineCounter

if TYPE_CHECKING:
    from collections.abc import Callable

_LOG_LIMIT_BYTES = 64 << 20
_LINE_LIMIT_CHARACTERS = 1 << 20
_HELD_CHARACTERS = 1 << 16


class SuiteOutput:
    """Takes the suite's bytes: echoes them, counts their lines, and logs them redacted and up to a limit."""

    def __init__(self, log: IO[bytes], echo: Callable[[str], None]) -> None:
        self.counter = LineCounter()
        self._log = log
        self._echo = echo
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line = ""
        self._pending = ""
        self._room = _LOG_LIMIT_BYTES

    def take(self, chunk: bytes, *, last: bool = False) -> None:
        """Take what was read, cut anywhere."""
        text = self._decoder.decode(chunk, last)
        self._echo(text)
        *lines, self._line = (self._line + text).split("\n")
        if last or len(self._line) > _LINE_LIMIT_CHARACTERS:
            lines.append(self._line)
            self._line = ""
        for line in lines:
            self.counter.feed(line)
        self._pending += text
        if last or len(self._pending) > _HELD_CHARACTERS:
            self._write(last=last)

    def finish(self) -> None:
        """Take the end of the output."""
        self.take(b"", last=True)

    def _write(self, *, last: bool) -> None:
        """Log whole lines; a key's many lines are held until it ends, so that it is redacted as one."""
        cut = len(self._pending) if last else self._pending.rfind("\n") + 1
        begin = self._pending.rfind("-----BEGIN", 0, cut)
        if not last and begin >= 0 and "-----END" not in self._pending[begin:cut]:
            cut = begin
        if len(self._pending) - cut > 2 * _HELD_CHARACTERS:
            cut = len(self._pending)
        data = redact(self._pending[:cut]).encode("utf-8", "replace")
        self._pending = self._pending[cut:]
        if self._room > 0:
            self._log.write(data[: self._room])
            if len(data) > self._room:
                self._log.write(f"\n[cut here: over {_LOG_LIMIT_BYTES >> 20} MiB]\n".encode())
            self._room -= len(data)

"""The suite's output on its way: counted by the line, echoed live and logged, both redacted; little is ever held."""

from __future__ import annotations

import codecs
from typing import IO, TYPE_CHECKING

from agent_studio.redaction.stream import Stream
from agent_studio.staging.counting import LineCounter
from agent_studio.staging.missing import Missing

if TYPE_CHECKING:
    from collections.abc import Callable

_LOG_LIMIT_BYTES = 64 << 20
_LINE_LIMIT_CHARACTERS = 1 << 20


class SuiteOutput:
    """Takes the suite's bytes: counts their lines, echoes them, and logs them up to a limit, without secrets."""

    def __init__(self, log: IO[bytes], echo: Callable[[str], None]) -> None:
        self.counter = LineCounter()
        self.missing = Missing()
        self._log = log
        self._echo = echo
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line = ""
        self._redacted = Stream()
        self._room = _LOG_LIMIT_BYTES

    def take(self, chunk: bytes, *, last: bool = False) -> None:
        """Take what was read, cut anywhere."""
        text = self._decoder.decode(chunk, last)
        *lines, self._line = (self._line + text).split("\n")
        if last or len(self._line) > _LINE_LIMIT_CHARACTERS:
            lines.append(self._line)
            self._line = ""
        for line in lines:
            self.counter.feed(line)
            self.missing.feed(line)
        self._pass_on(self._redacted.feed(text))
        if last:
            self._pass_on(self._redacted.finish())

    def finish(self) -> None:
        """Take the end of the output."""
        self.take(b"", last=True)

    def _pass_on(self, text: str) -> None:
        self._echo(text)
        data = text.encode("utf-8", "replace")
        if self._room > 0:
            self._log.write(data[: self._room])
            if len(data) > self._room:
                self._log.write(f"\n[cut here: over {_LOG_LIMIT_BYTES >> 20} MiB]\n".encode())
            self._room -= len(data)

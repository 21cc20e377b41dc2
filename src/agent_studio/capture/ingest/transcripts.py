"""Reads the client's transcripts from where the last reading ended, and tells what their lines say.

A file's document: `device, inode, offset`; `pending` responses; `tools` (names by tool_use_id); `first, last` (ns);
`ending` and `error` (how it ends now); `tokens`; `warmup`; `costs`; `held` (an API error that may end the session).
Lines of types we do not know are passed over, as are lines that are no JSON objects.
"""

from __future__ import annotations

import os
import stat
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from agent_studio.capture.ingest import agents, errors, hooks, lines, usage
from agent_studio.records import ErrorEvent, event_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.capture.ingest.work import Session, Work

_CHUNK_BYTES = 1 << 20
_LINE_MAX_BYTES = 64 << 20
_HELD = 2_000
_TOOLS = 500
_REPEATED = 2
_ENDING_NS = 10 * lines.NS
"""An API error that near before the end of a session has ended it."""
_COST = Decimal("0.000000001")


def new_file() -> dict[str, Any]:
    """Return the document of a file that was not read yet."""
    return {"offset": 0, "pending": {}, "tools": {}, "tokens": 0, "costs": [], "row": 0}


class Transcript:
    """One file of a session: the main one, or an agent's."""

    def __init__(self, work: Work, session: Session, path: str, agent: dict[str, Any] | None = None) -> None:
        self._work, self._session, self._path = work, session, path
        self.agent = agent
        """What is known about the agent whose file it is."""
        self.file: dict[str, Any] = work.state.transcript(path) or new_file()
        self.found = False
        """Whether it is a file that can be read."""
        self.modified_ns = 0

    @property
    def _type(self) -> str | None:
        return self.agent.get("type") or None if self.agent else None

    def read(self) -> bool:
        """Read what is new; return whether there is such a file."""
        descriptor = _opened(self._path)
        if descriptor is None:
            return False
        try:
            status = os.fstat(descriptor)
            self.found, self.modified_ns = True, status.st_mtime_ns
            same = [self.file.get("device"), self.file.get("inode")] == [status.st_dev, status.st_ino]
            if not same or status.st_size < self.file["offset"]:
                self.file = new_file()
            self.file["device"], self.file["inode"] = status.st_dev, status.st_ino
            if status.st_size > self.file["offset"]:
                self._read(descriptor)
        finally:
            os.close(descriptor)
        return True

    def _read(self, descriptor: int) -> None:
        for data, end in _whole_lines(descriptor, self.file["offset"]):
            self.file["offset"] = end
            if data.strip():
                self._line(data)
            if self._work.writer.held > _HELD:
                self.keep()
                self._work.commit()
        self.keep()

    def keep(self) -> None:
        """Remember the cursor and what is open at it."""
        self._work.state.put_transcript(self._path, self._session.id, self.file)

    def _line(self, data: bytes) -> None:
        try:
            line = lines.decode(data.removeprefix(b"\xef\xbb\xbf"))
            if isinstance(line, dict):
                self._take(line)
        except (
            lines.DamagedLineError,
            RecursionError,
            ArithmeticError,
            TypeError,
            ValueError,
            KeyError,
            AttributeError,
        ):
            self._work.report.damaged += 1  # a line of a shape nobody foresaw must not stop the others

    def _take(self, line: dict[str, Any]) -> None:
        at_ns = lines.instant(line.get("timestamp"))
        if at_ns is not None:
            self.file.setdefault("first", at_ns)
            self.file["last"] = max(at_ns, self.file.get("last", 0))
        kind = line.get("type")
        message = line.get("message")
        if kind == "assistant" and isinstance(message, dict):
            self._assistant(line, message)
        elif kind == "user" and isinstance(message, dict):
            self._user(line, message.get("content"))
        elif kind == "attachment" and isinstance(line.get("attachment"), dict):
            hooks.attached(self._work, self._session, line, self._type)
        elif kind == "system" and line.get("subtype") == "stop_hook_summary":
            hooks.at_stop(self._work, self._session, line, self._type)
        elif kind == "cost-state":
            self._cost(line.get("totalCostUSD"))

    def _assistant(self, line: dict[str, Any], message: dict[str, Any]) -> None:
        content = message.get("content")
        if line.get("isApiErrorMessage") is True:
            self._api_error(line, _text(content))
            return
        self.release(ended_ns=None)
        self.file["row"] = 0
        self.file["ending"] = message.get("stop_reason") if isinstance(message.get("stop_reason"), str) else None
        tools: dict[str, str] = self.file["tools"]
        for item in content if isinstance(content, list) else []:
            if lines.at(item, "type") == "tool_use" and isinstance(item.get("id"), str) and len(tools) < _TOOLS:
                tools[lines.name(item["id"])] = lines.name(item.get("name"))
        usage.take(self._work, self.file, line, message)
        if self.file["pending"]:
            self.finish(but=usage.key_of(line, message))

    def finish(self, *, but: str = "", stopped: bool = False) -> None:
        """Record the responses that are complete."""
        task = self.agent.get("task") if self.agent else None
        usage.finish(self._work, self._session, self.file, but=but, stopped=stopped, agent=self._type, task=task)

    def _user(self, line: dict[str, Any], content: Any) -> None:
        self.release(ended_ns=None)
        said = _text(content)
        if self.agent is not None and "warmup" not in self.file:
            self.file["warmup"] = said == "Warmup"
            self.file["asked"] = agents.mark(said)
        if said.startswith("<task-notification>"):
            at_ns = lines.instant(line.get("timestamp")) or self._work.now_ns
            agents.notified(self._work, self._session, said, at_ns)
        self.file["ending"] = "interrupted" if errors.by_user(said) else None
        for item in content if isinstance(content, list) else []:
            if lines.at(item, "type") == "tool_result":
                self._result(line, item)

    def _result(self, line: dict[str, Any], item: dict[str, Any]) -> None:
        tool_use_id = lines.name(item.get("tool_use_id"))
        tool = self.file["tools"].pop(tool_use_id, None) or None
        agent_id = lines.name(lines.at(line.get("toolUseResult"), "agentId"))
        if agent_id and tool in agents.TOOLS:
            launched = lines.at(line["toolUseResult"], "status") == "async_launched"
            at_ns = None if launched else lines.instant(line.get("timestamp"))
            agents.join(self._work, self._session, agent_id, tool_use_id or None, returned_ns=at_ns)
        if item.get("is_error") is True:
            self._tool_error(line, tool_use_id, tool, _text(item.get("content")))

    def _tool_error(self, line: dict[str, Any], tool_use_id: str, tool: str | None, said: str) -> None:
        at_ns = lines.instant(line.get("timestamp")) or self._work.now_ns
        by_user = errors.by_user(said)
        kind = errors.of_tool(said, tool, lines.at(line.get("permissionDecision"), "decision"))
        if tool in agents.TOOLS:
            denied = kind is errors.DENIED
            agents.call_failed(self._work, self._session, tool_use_id, said, at_ns, by_user=by_user, denied=denied)
        if by_user:
            self.file["ending"] = "interrupted"
            return
        if tool in agents.TOOLS and said.startswith(errors.AGENT_API_ERROR):
            return  # the agent's own file tells of it
        if not self._work.state.see(event_id("line", lines.name(line.get("uuid")) or tool_use_id, tool_use_id)):
            return  # a copy of the line, in the transcript of a session that was forked off
        record = ErrorEvent(
            timestamp=lines.stamp(at_ns), error_type=kind.type, severity=kind.severity, source="tool",
            message=lines.text(said, lines.MESSAGE_MAX) or "it failed", tool=tool, session_id=self._session.id,
            metadata={"agent": self._type} if self._type else {},
        )  # fmt: skip
        hooks.blocked(self._work, self._session, line, said, self._type)
        unique = event_id("tool-failure", self._session.id, tool_use_id or lines.name(line.get("uuid")))
        if self._work.writer.once(record, unique, self._session.environment) and kind is errors.DENIED:
            self._session.denials[:1] = []

    def _api_error(self, line: dict[str, Any], said: str) -> None:
        self.release(ended_ns=None)
        self.file["row"] += 1
        self.file["ending"], self.file["error"] = "api_error", lines.text(said, lines.MESSAGE_MAX)
        at_ns = lines.instant(line.get("timestamp")) or self._work.now_ns
        uuid = lines.name(line.get("uuid"))
        self.file["held"] = {
            "ns": at_ns, "text": self.file["error"], "name": lines.text(line.get("error")),
            "status": errors.status_of(said, line.get("apiErrorStatus")), "row": self.file["row"],
            "id": event_id("api-error", uuid or f"{self._session.id} {at_ns}"),
            "request": lines.text(line.get("requestId")),
        }  # fmt: skip
        if self.agent is None:
            if self._session.failures:
                del self._session.failures[0]
            else:
                self._session.failures_told += 1
        else:
            self.release(ended_ns=None)

    def release(self, *, ended_ns: int | None) -> None:
        """Record the API error that was held back, now that it is known whether it ended the session."""
        held = self.file.pop("held", None)
        if held is None:
            return
        ended = ended_ns is not None and abs(ended_ns - held["ns"]) <= _ENDING_NS
        kind = errors.of_api(
            held["text"] or "", held["name"], held["status"], ended=ended, repeated=held["row"] > _REPEATED
        )
        metadata = {"status": held["status"], "request": held["request"], "agent": self._type, "endedSession": ended}
        record = ErrorEvent(
            timestamp=lines.stamp(held["ns"]), error_type=kind.type, severity=kind.severity, source="api",
            message=held["text"] or "the API failed", tool=None, session_id=self._session.id,
            metadata={name: value for name, value in metadata.items() if value not in {None, False}},
        )  # fmt: skip
        self._work.writer.once(record, held["id"], self._session.environment)

    def release_old(self, ended_ns: int | None) -> None:
        """Record the API error that was held back, unless the session may end any moment."""
        held = self.file.get("held")
        if held and (ended_ns is not None or self._work.now_ns - held["ns"] > _ENDING_NS):
            self.release(ended_ns=ended_ns)

    def _cost(self, total: Any) -> None:
        if isinstance(total, int | float) and not isinstance(total, bool) and total >= 0:
            try:
                amount = Decimal(str(total)).quantize(_COST).normalize()
            except InvalidOperation:
                return
            self.file["costs"] = [*self.file["costs"][-100:], f"{amount:f}"]


def _opened(path: str) -> int | None:
    """Open a transcript to read it; None for what is none: another kind of file, a device, a pipe, nothing."""
    if not path.endswith(".jsonl") or not os.path.isabs(path):  # noqa: PTH117 - it stays text
        return None
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError):
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None


def _whole_lines(descriptor: int, offset: int) -> Iterator[tuple[bytes, int]]:
    """Yield each whole line from an offset on, and where it ends; one too long to hold is empty."""
    os.lseek(descriptor, offset, os.SEEK_SET)
    parts: list[bytes] = []
    held = 0
    while chunk := os.read(descriptor, _CHUNK_BYTES):
        *whole, rest = chunk.split(b"\n")
        for piece in whole:
            offset += held + len(piece) + 1
            yield (b"" if held > _LINE_MAX_BYTES else b"".join((*parts, piece))), offset
            parts, held = [], 0
        held += len(rest)
        if held <= _LINE_MAX_BYTES:
            parts.append(rest)
        else:
            parts = []


def _text(content: Any) -> str:
    """Return the text of a message's or a result's content."""
    if isinstance(content, str):
        return content
    for item in content if isinstance(content, list) else []:
        said = lines.at(item, "text")
        if isinstance(said, str):
            return said
    return ""

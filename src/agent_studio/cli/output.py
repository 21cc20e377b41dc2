"""The only module that prints: results to stdout, everything else to stderr, people and programs alike."""

from __future__ import annotations

import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from agent_studio.errors import AgentStudioError, ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from rich.console import Console

_BOX_WIDTH = 64
_NARROWEST = 20
_MARKS = {"ok": ("✓", "[ok]"), "bad": ("✗", "[!!]"), "none": ("-", "[--]"), "note": ("•", "[..]")}


class Problem(NamedTuple):
    """Something that went wrong or deserves attention, as programs and people are told of it."""

    code: str
    message: str
    hint: str = ""
    is_note: bool = False
    """It is not why the command failed, if it did."""


class Result(NamedTuple):
    """What a command found: data for programs, a rendering of the same for people."""

    data: dict[str, Any]
    render: Callable[[Screen], None]
    code: int = ExitCode.DONE
    problems: Sequence[Problem] = ()
    is_told: bool = False
    """All there is to say has been written, line by line, in a form for programs."""


class Screen:
    """Where results are written for people; falls back to ASCII where the stream cannot carry more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="backslashreplace")
        self.unicode = _carries("✓╔═║", stream)

    def line(self, text: str = "") -> None:
        """Write one line without secrets, in which no text of others can act on the terminal or begin a line.

        Empty lines may stand before and after it.
        """
        from agent_studio.redaction import redact  # noqa: PLC0415 - compiled only when something is to be said

        line = text.strip("\n")
        before, _, after = text.partition(line) if line else (text, "", "")
        self._stream.write(before + one_line(redact(line)) + after + "\n")

    def block(self, text: str) -> None:
        """Write lines that the caller has made harmless, without secrets."""
        from agent_studio.redaction import redact  # noqa: PLC0415 - as above

        self._stream.write(redact(text) + "\n")

    def verbatim(self, data: bytes) -> None:
        """Write a text that holds no secret, byte for byte; on a terminal only what cannot act on it."""
        buffer = None if self.is_terminal else getattr(self._stream, "buffer", None)
        if buffer is None:
            self.block(harmless_lines(data.decode("utf-8", "replace").rstrip("\n")))
            return
        self._stream.flush()
        buffer.write(data)

    def json(self, value: Mapping[str, Any]) -> None:
        """Write a value as JSON, without secrets and whole."""
        from agent_studio.redaction.structure import redacted_json  # noqa: PLC0415 - as above

        indent = 2 if self.is_terminal else None
        self._stream.write(redacted_json(value, ensure_ascii=not self.unicode, indent=indent, default=str) + "\n")

    def mark(self, kind: str, text: str) -> None:
        """Write a line with a mark: `ok`, `bad`, `none` or `note`."""
        self.line(f"{_MARKS[kind][0 if self.unicode else 1]} {text}")

    def told(self, kind: str, text: str) -> None:
        """Write a sentence with a mark, folded at words to the terminal's width."""
        first, *more = self.folded(text)
        self.mark(kind, first)
        for line in more:
            self.line(f"  {line}")

    def folded(self, text: str, indent: int = 2) -> list[str]:
        """Return the lines of a text that fit a terminal after an indent, whole where there is none.

        A word is never broken.
        """
        if not self.is_terminal:
            return [text]
        import textwrap  # noqa: PLC0415 - only for sentences

        fits = max(self.width - indent, _NARROWEST)
        return textwrap.wrap(text, fits, break_long_words=False, break_on_hyphens=False) or [""]

    def box(self, title: str) -> None:
        """Write a title in a box."""
        corners, bar, side = ("╔╗╚╝", "═", "║") if self.unicode else ("++++", "-", "|")
        self.line(corners[0] + bar * _BOX_WIDTH + corners[1])
        self.line(side + title.center(_BOX_WIDTH) + side)
        self.line(corners[2] + bar * _BOX_WIDTH + corners[3])

    @property
    def width(self) -> int:
        """Columns of the terminal; 80 where there is none."""
        import shutil  # noqa: PLC0415 - only for tables

        return shutil.get_terminal_size().columns if self.is_terminal else 80

    @property
    def is_terminal(self) -> bool:
        """Whether a person looks at it."""
        return self._stream.isatty()

    def table(
        self, headings: Iterable[str], rows: Iterable[Sequence[object]], *, numbers: Collection[str] = ()
    ) -> None:
        """Write a plain table that fits its terminal; cells are text, never markup.

        Columns named in `numbers` stand right and are never folded.
        """
        from rich import box  # noqa: PLC0415 - 60 ms that most commands need not pay
        from rich.console import Console  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        from agent_studio.redaction import redact  # noqa: PLC0415 - as above

        table = Table(
            box=box.SIMPLE_HEAD if self.unicode else box.ASCII, pad_edge=False, collapse_padding=bool(numbers)
        )
        for heading in headings:
            number = heading in numbers
            table.add_column(heading, overflow="fold", no_wrap=number, justify="right" if number else "left")
        for row in rows:
            table.add_row(*(Text("-" if cell is None else harmless(redact(str(cell)))) for cell in row))
        Console(file=self._stream, highlight=False).print(table)

    def columns(
        self,
        headings: Sequence[str],
        rows: Iterable[Sequence[object]],
        *,
        numbers: Collection[str] = (),
        has_paths: bool = False,
    ) -> None:
        """Write one line a row without drawing a table, which costs more than many a command.

        On a terminal the last column is cut where the line would not fit: at its end, paths in their middle.
        """
        cells = [
            tuple(headings),
            *(tuple("-" if cell is None else harmless(str(cell)) for cell in row) for row in rows),
        ]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)][:-1]
        width = self.width if self.is_terminal else None
        for row in cells:
            padded = (
                cell.rjust(size) if heading in numbers else cell.ljust(size)
                for heading, cell, size in zip(headings, row, widths, strict=False)
            )
            start = "".join(f"{cell}  " for cell in padded)
            self.line(start + (row[-1] if width is None else cut(row[-1], width - len(start), middle=has_paths)))

    def console(self) -> Console:
        """Return what draws more than lines and tables: colours and the terminal's width only where there is one."""
        from rich.console import Console  # noqa: PLC0415 - as above

        return Console(file=self._stream, width=None if self.is_terminal else self.width, highlight=False, emoji=False)


def cut(text: str, width: int, *, middle: bool) -> str:
    """Return a text in at most `width` letters, or `…`, with a mark where letters are missing."""
    if len(text) <= width:
        return text
    tail = width // 2 if middle else 0
    return text[: max(width - 1 - tail, 0)].rstrip() + "…" + text[len(text) - tail :]


def report(screen: Screen, schema: str, environment: str, result: Result, *, as_json: bool) -> None:
    """Write a result; problems go to stderr, or into the object."""
    if as_json and not result.is_told:
        _write_envelope(screen, schema, environment, result.data, result.problems, ok=result.code == ExitCode.DONE)
        return
    result.render(screen)
    sys.stdout.flush()
    for problem in result.problems:
        warn(f"{'error' if result.code and not problem.is_note else 'warning'}: {problem.message}", problem.hint)


def report_fault(
    screen: Screen, schema: str, environment: str | None, error: AgentStudioError, *, as_json: bool
) -> None:
    """Write one clear error: what, where, what would be right."""
    if as_json:
        problem = Problem(error.code, error.message, error.hint)
        _write_envelope(screen, schema, environment, {}, [problem], ok=False)
    else:
        warn(f"error: {error.message}", error.hint)


def report_bug(screen: Screen, schema: str, argv: list[str], error: Exception, *, as_json: bool) -> None:
    """Write a report that can be pasted, and say where it is."""
    import platform  # noqa: PLC0415 - only for a bug
    import tempfile  # noqa: PLC0415
    import traceback  # noqa: PLC0415

    from agent_studio import __version__  # noqa: PLC0415
    from agent_studio.redaction import redact  # noqa: PLC0415 - the same

    text = redact(
        f"agent-studio {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"command: agent-studio {' '.join(argv)}\n\n{''.join(traceback.format_exception(error))}"
    )
    with tempfile.NamedTemporaryFile(
        "w", prefix="agent-studio-bug-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
    ) as file:
        file.write(text)
    fault = AgentStudioError(
        f"a bug in agent-studio: {type(error).__name__}: {error}", hint=f"please report it with this file: {file.name}"
    )
    fault.code = "bug"
    report_fault(screen, schema, None, fault, as_json=as_json)


def warn(message: str, hint: str = "") -> None:
    """Write to stderr; a second line gives the hint."""
    from agent_studio.redaction import redact  # noqa: PLC0415 - compiled only when something is to be said

    text = f"agent-studio: {_below(redact(message))}\n" + (f"  {_below(redact(hint))}\n" if hint else "")
    encoding = sys.stderr.encoding or "utf-8"
    sys.stderr.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _below(text: str) -> str:
    """Return a text whose further lines stand below its first, so that none can pass for a message of its own."""
    return "\n    ".join(map(one_line, text.split("\n")))


@contextmanager
def working(doing: str) -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal that work goes on, once it has taken a second; what is yielded is told how many are done."""
    if not sys.stderr.isatty():
        yield _untold
        return
    import threading  # noqa: PLC0415 - only on a terminal

    from rich.console import Console  # noqa: PLC0415

    status = Console(stderr=True).status(doing)
    timer = threading.Timer(1.0, status.start)
    timer.start()
    try:
        yield lambda done, total: status.update(f"{doing}: {done:,} of {total:,}")
    finally:
        timer.cancel()
        timer.join()
        status.stop()


def _untold(done: int, total: int) -> None:
    """Tell nobody."""


def echo(text: str) -> None:
    """Pass on what a command that runs inside ours says, as it comes and redacted by who hands it in.

    A stderr that is gone ends nothing.
    """
    encoding = sys.stderr.encoding or "utf-8"
    with suppress(OSError, ValueError):
        sys.stderr.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stderr.flush()


def announce(text: str) -> bool:
    """Write to stdout at once, while the command goes on; return whether somebody still reads."""
    try:
        Screen(sys.stdout).block(text)
        sys.stdout.flush()
    except (OSError, ValueError):
        return False
    return True


def ask(question: str, *, yes: bool) -> None:
    """Return when the user agrees; raise `UsageError` when not, or when there is nobody to ask."""
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"nobody is there to answer: {question}", hint="add --yes to do it, or --dry-run to see what it would do"
        )
    if not agrees(question):
        raise UsageError("not done; nothing was changed")


def agrees(question: str) -> bool:
    """Ask for something that may be left out; nobody to ask means no."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    from agent_studio.redaction import redact  # noqa: PLC0415 - as above

    sys.stderr.write(f"{one_line(redact(question))} [y/N] ")
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _write_envelope(
    screen: Screen,
    schema: str,
    environment: str | None,
    data: dict[str, Any],
    problems: Sequence[Problem],
    *,
    ok: bool,
) -> None:
    envelope = {
        "schema": f"agent-studio/{schema}/1",
        "ok": ok,
        "environment": environment,
        "data": data,
        "problems": [{"code": one.code, "message": one.message, "hint": one.hint} for one in problems],
    }
    screen.json(envelope)


def one_line(text: str) -> str:
    """Return a text as one line without what could act on a terminal; a name's undecodable bytes stay."""
    if text.isprintable():
        return text
    spaced = "".join(" " if one.isspace() else one for one in text.replace("\t", "    "))
    return "".join(one if "\ud800" <= one <= "\udfff" else harmless(one) for one in spaced)


def harmless(text: str) -> str:
    """Return a text without what could act on a terminal."""
    return text if text.isprintable() else "".join(one if one.isprintable() else "\ufffd" for one in text)


def harmless_lines(text: str) -> str:
    """Return lines of which none can act on a terminal; tabs stay."""
    return "\n".join("\t".join(map(harmless, line.split("\t"))) for line in text.split("\n"))


def _carries(text: str, stream: TextIO) -> bool:
    try:
        text.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True

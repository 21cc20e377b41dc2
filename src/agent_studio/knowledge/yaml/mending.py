"""Front matter that a strict reader refuses, read for what it plainly means, and how it would have to be written.

What a strict reader accepts, key by key, is kept as it reads it; only the rest is guessed. Every guess is a `Repair`,
and what it proposes is read by a strict reader as what we have taken.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.knowledge.yaml.reader import UNPRINTABLE, Reader, mapping
from agent_studio.knowledge.yaml.scalars import NULLS, FaultError

if TYPE_CHECKING:
    from agent_studio.knowledge.yaml.reader import Node

USUAL_KEYS = frozenset((
    "name", "description", "tools", "model", "license", "version", "metadata", "allowed-tools", "argument-hint", "tags",
    "color", "skills", "when_to_use", "disable-model-invocation", "user-invocable", "category", "triggers", "hooks",
))  # fmt: skip
_KEY = re.compile(r"""( *)(["']?)([A-Za-z_][\w.-]*(?: [\w.-]+){0,2})\2 *:(?:[ \t]+(.*)|)$""")
_CLOSE_KEY = re.compile(r"( *)()([A-Za-z_][\w-]*):([^ \t].*)$")
_HEADER = re.compile(r"[|>][+-]?[1-9]?[+-]?[ \t]*")
_COMMENT = re.compile(r"[ \t]#.*$")
_ESCAPES = re.compile(r"\\+([nrt])|\\+(?=[\"' ]|$)|\\\\")
_DEPTH_MAX = 8


class Repair(NamedTuple):
    """One place where a strict reader fails, and how it would look repaired."""

    line: int
    """Counted from 1, in the file."""
    code: str
    message: str
    repaired: str
    """What belongs there, without the last line break; empty where the lines go."""
    lines: int = 1
    """How many lines it replaces."""


def mended(text: str, first_line: int, depth: int = 0) -> tuple[dict[str, Node], list[Repair]]:
    """Read a mapping key by key; `first_line` is the number of the text's first line in its file."""
    work = _Work(text, first_line, depth)
    work.run()
    return work.found, work.repairs


def written(value: Node) -> str:
    """Return a value in one line, so that a strict reader reads it as it is."""
    if isinstance(value, list):
        return f"[{', '.join(map(_inside, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_quoted(key)}: {_inside(inner)}' for key, inner in value.items())}}}"
    try:
        plain = value == "" or ("\n" not in value and mapping(f"k: {value}\n") == {"k": value})
    except FaultError:
        plain = False
    return value if plain else _quoted(value)


def _inside(value: Node) -> str:
    return _quoted(value) if isinstance(value, str) else written(value)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


class _Work:
    """One mapping that is read key by key."""

    def __init__(self, text: str, first_line: int, depth: int) -> None:
        self.found: dict[str, Node] = {}
        self.repairs: list[Repair] = []
        self._text = text
        self._first_line = first_line
        self._depth = depth
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._base = min((len(line) - len(line.lstrip(" ")) for line in text.split("\n") if _is_key(line)), default=0)

    def run(self) -> None:
        """Read every key; what has none belongs to the key before it."""
        at = 0
        while not (reader := Reader(self._text, at)).at_end():
            at = reader.line
            taken = self._strict(reader)
            if taken is None:
                at = self._guessed(at)
            else:
                self._keep(at, reader.line if reader.at < len(self._text) else len(self._text), *taken)
                at = reader.line if reader.at < len(self._text) else len(self._text)

    def _strict(self, reader: Reader) -> tuple[str, Node] | None:
        """Return a key and its value where a strict reader takes both and another key follows."""
        self._fault: FaultError | None = None
        start = reader.at
        if reader.column != self._base:
            self._fault = FaultError(start, "indentation", "a key that does not stand below the others")
            return None
        try:
            taken = reader.pair()
        except FaultError as fault:
            self._fault = fault
            return None
        if reader.at == len(self._text) or _is_key(self._line(reader.line)):
            return taken
        self._fault = FaultError(reader.at, "no-key", "a line without a key")
        return None

    def _line(self, at: int) -> str:
        end = self._text.find("\n", at)
        return self._text[at : end if end >= 0 else len(self._text)]

    def _number(self, at: int) -> int:
        return bisect_right(self._starts, at) - 1

    def _keep(self, start: int, end: int, key: str, value: Node) -> None:
        if key not in self.found:
            self.found[key] = value
            return
        lines = self._text[start:end].rstrip("\n").split("\n")
        repaired = "\n".join(f"# {line}" for line in lines)
        message = f"{key} is there twice; the first one counts"
        self._report(start, Repair(0, "duplicate-key", message, repaired, len(lines)))

    def _report(self, start: int, repair: Repair) -> None:
        self.repairs.append(repair._replace(line=self._first_line + self._number(start)))

    def _guessed(self, start: int) -> int:
        """Read the lines up to the next key for what they mean; return where that key stands."""
        lines = self._extent(start)
        end = min(start + sum(len(line) + 1 for line in lines), len(self._text))
        fault = self._fault or FaultError(start, "no-key", "a line without a key")
        while len(lines) > 1 and not lines[-1].strip(" "):
            lines.pop()
        if fault.code in {"no-key", "indentation"} and any("\t" in line for line in lines):
            fault = FaultError(start, "tab", "a tab where only spaces may stand")
        key = _KEY.match(lines[0].replace("\t", " ")) or _CLOSE_KEY.match(lines[0])
        if key is None:
            repaired = "\n".join(f"# {line.strip()}" for line in lines)
            self._report(start, Repair(0, "no-key", "a line without a key", repaired, len(lines)))
            return end
        if key.re is _CLOSE_KEY:
            fault = FaultError(start, "colon-space", "a colon without a space after it")
        self._entry(start, "" if key[3] in NULLS else key[3], [(key[4] or "").strip(), *lines[1:]], fault)
        return end

    def _extent(self, start: int) -> list[str]:
        first = self._number(start)
        lines = [self._line(start)]
        key = _KEY.match(lines[0])
        open_value = key is not None and not _COMMENT.sub("", key[4] or "").strip()
        for number in range(first + 1, len(self._starts)):
            at = self._starts[number]
            line = self._line(at)
            if at >= len(self._text) or (_is_key(line) and self._ends(line, open_value=open_value)):
                break
            lines.append(line)
        return lines

    def _ends(self, line: str, *, open_value: bool) -> bool:
        """Tell whether a line with a key ends what stands above; a usual key does even where it stands too deep."""
        depth = len(line) - len(line.lstrip(" "))
        return depth <= self._base or (not open_value and line.strip().partition(":")[0] in USUAL_KEYS)

    def _entry(self, start: int, key: str, lines: list[str], fault: FaultError) -> None:
        count = len(lines)
        if key in self.found:
            first = self._number(start)
            repaired = "\n".join(f"# {self._line(at)}" for at in self._starts[first : first + count])
            self._report(start, Repair(0, "duplicate-key", f"{key} is there twice", repaired, count))
            return
        inner = [line for line in lines[1:] if line.strip()]
        if not lines[0] and inner and _is_key(inner[0]) and self._depth < _DEPTH_MAX:
            self._mapping(start, key, lines[1:], fault)
            return
        guess = _list(inner) if not lines[0] and inner and _is_item(inner[0]) else _scalar(lines)
        self.found[key] = guess
        repaired = f"{' ' * self._base}{key}: {written(guess)}".rstrip()
        self._report(start, Repair(0, fault.code, fault.message, repaired, count))

    def _mapping(self, start: int, key: str, lines: list[str], fault: FaultError) -> None:
        """Take a mapping inside, its own lines repaired; where its lines do not stand together, all of it in one."""
        first = next(line for line in lines if line.strip())
        margin = len(first) - len(first.lstrip(" "))
        together = not any(line[:margin].strip(" ") for line in lines)
        shifted = "\n".join(line[margin:] if together else line.strip() for line in lines)
        value, repairs = mended(f"{shifted}\n", self._first_line + self._number(start) + 1, self._depth + 1)
        self.found[key] = value
        if together and repairs:
            self.repairs += [one._replace(repaired=_shifted(one.repaired, margin)) for one in repairs]
        else:
            repaired = f"{' ' * self._base}{key}: {written(value)}"
            self._report(start, Repair(0, fault.code, fault.message, repaired, len(lines) + 1))


def _shifted(text: str, margin: int) -> str:
    return "\n".join(" " * margin + line for line in text.split("\n"))


def _is_key(line: str) -> bool:
    return _KEY.match(line) is not None or (
        (close := _CLOSE_KEY.match(line)) is not None and close[3].casefold() in USUAL_KEYS
    )


def _is_item(line: str) -> bool:
    return line.strip() == "-" or line.lstrip().startswith(("- ", "-\t"))


def _list(lines: list[str]) -> list[Node]:
    items: list[list[str]] = []
    for line in lines:
        if _is_item(line) or not items:
            items.append([line.strip()[1:].strip()])
        else:
            items[-1].append(line)
    return [_scalar(item) for item in items]


def _scalar(lines: list[str]) -> Node:
    """Return what the text after a key or a dash means."""
    header = _HEADER.match(lines[0])
    if header:
        joint = "\n" if lines[0].startswith("|") else " "
        first = lines[0][header.end() :].strip()
        return joint.join(filter(None, [first, *(line.strip() for line in lines[1:])]))
    return _meant(" ".join(filter(None, (line.replace("\t", " ").strip() for line in lines))))


def _meant(text: str) -> Node:
    if text[:1] in {'"', "'"}:
        return _between_quotes(text)
    bare = _COMMENT.sub("", f" {text}").strip()
    if bare.startswith("[") and _closing(bare) == len(bare) - 1:
        return [_meant(item) for item in _items(bare[1:-1])]
    return bare


def _between_quotes(text: str) -> str:
    """Return a text whose quotes are not closed, or closed before its end."""
    quote = text[0]
    second, last = text.find(quote, 1), text.rfind(quote)
    if second < 0:
        return _plainly(text[1:], quote) or text
    tail = text[last + 1 :]
    closes = text[second - 1 : second] not in {" ", "\\"} and text[second + 1 : second + 2] in {" ", ",", ";", "."}
    if (tail.strip() and not tail.lstrip().startswith("#")) or (closes and second != last):
        return text  # a quoted word at the beginning of a text
    return _plainly(text[1:last], quote) or text


def _plainly(text: str, quote: str) -> str:
    if quote == "'":
        return text.replace("''", "'").strip()
    return _ESCAPES.sub(lambda match: " " if match[1] else "", text.removesuffix('\\"')).strip(" \\")


def _closing(text: str) -> int:
    """Return where the bracket that opens a text is closed, or -1."""
    depth = 0
    for at, character in enumerate(text):
        depth += (character in "[{(") - (character in ")}]")
        if not depth:
            return at
    return -1


def _items(text: str) -> list[str]:
    """Return what stands between commas that are in no brackets."""
    items, depth, start = [], 0, 0
    for at, character in enumerate(text):
        depth += (character in "[{(") - (character in ")}]")
        if character == "," and depth <= 0:
            items.append(text[start:at])
            start = at + 1
    return [one.strip() for one in (*items, text[start:]) if one.strip()]


def without_controls(text: str, first_line: int) -> tuple[str, list[Repair]]:
    """Return a text without the characters that may not stand in YAML, and the lines they stood in."""
    repairs = []
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if found := UNPRINTABLE.search(line):
            lines[number] = UNPRINTABLE.sub("", line)
            message = f"the character U+{ord(found.group()):04X} may not stand here"
            repairs.append(Repair(first_line + number, "control", message, lines[number]))
    return "\n".join(lines), repairs

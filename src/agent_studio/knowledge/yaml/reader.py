"""Mappings, sequences and what stands in them, read as a strict reader of YAML 1.2 does or refused with the place.

Every value is a text, a list or a mapping; null is an empty text. Tags but the core ones and keys that are no text are
refused. Time and memory are linear: aliases that would multiply are refused too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from agent_studio.knowledge.yaml import scalars
from agent_studio.knowledge.yaml.scalars import NULLS, FaultError, Text

if TYPE_CHECKING:
    from collections.abc import Callable

Node: TypeAlias = "str | list[Node] | dict[str, Node]"

_GAP = re.compile(r"(?: *(?:#[^\n]*)?\n)* *(?:#[^\n]*)?")
_FLOW_GAP = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*[ \t]*(?:#[^\n]*)?")
_ENTRY = re.compile(r"-(?=[ \t\n]|$)")
_COLON = re.compile(r" *:(?=[ \t\n]|$)")
_QUESTION = re.compile(r"\?(?=[ \t\n]|$)")
_ANCHOR = re.compile(r"&([^ \t\n,\[\]{}]+)(?=[ \n]|$|[?:,\[\]{}%@`])")
_ALIAS = re.compile(r"\*([^ \t\n,\[\]{}]+)")
_TAG = re.compile(r"!(?:!(?:str|int|float|bool|null|seq|map))?(?=[ \n]|$)")
_MARKER = re.compile(r"(?:---|\.\.\.)(?=[ \t\n]|$)")
_SIMPLE = re.compile(r"([A-Za-z_][\w-]*): +((?:[A-Za-z0-9/(][^ \t\n:#]*)(?: (?! |#)[^ \t\n:#]+)*)\n(?=[A-Za-z_])")
UNPRINTABLE = re.compile("[^\t\n\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_KEY_MAX = 1024
_DEPTH_MAX = 24
_LEAVES_MAX = 20_000


def mapping(text: str) -> dict[str, Node]:
    """Return a whole text as a mapping, empty for an empty text; raise `FaultError` where a strict reader fails.

    Lines end with a line feed.
    """
    if strange := UNPRINTABLE.search(text):
        raise FaultError(strange.start(), "control", f"the character U+{ord(strange.group()):04X} may not stand here")
    reader = Reader(text)
    if reader.at_end():
        return {}
    found = reader.top()
    if not reader.at_end():
        raise reader.fault("trailing", "a text after the end of a value")
    return found


class Reader:
    """A position in a text, and what is read from there."""

    def __init__(self, text: str, at: int = 0) -> None:
        """Begin at the start of a line."""
        self.text = text
        self.at = at
        self.line = at
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._leaves = 0
        self._depth = 0

    def fault(self, code: str, message: str) -> FaultError:
        """Return a fault at the position."""
        return FaultError(self.at, code, message)

    def at_end(self) -> bool:
        """Pass over blanks and comments; tell whether nothing follows."""
        self._gap(_GAP)
        return self.at == len(self.text)

    @property
    def column(self) -> int:
        """How deep the position stands in its line."""
        return self.at - self.line

    def top(self) -> dict[str, Node]:
        """Read the mapping that the text is."""
        found = self._inner(-1, dash=False, key=True)
        if not isinstance(found, dict):
            raise FaultError(0, "no-mapping", "holds no keys")
        return found

    def pair(self) -> tuple[str, Node]:
        """Read one key with its value, and go to the next line that does not belong to it."""
        indent, start = self.column, self.line
        key, follows = self._key()
        value = self._leaf("") if follows == "none" else self._inner(indent, dash=True, key=follows == "any")
        if not self.at_end() and (self.line == start or self.column > indent):
            raise self._strayed(start)
        return key, value

    def _gap(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self.text, self.at)
        end = found.end() if found else self.at
        last = self.text.rfind("\n", self.at, end)
        self.line = last + 1 if last >= 0 else self.line
        self.at = end

    def _inner(self, indent: int, *, dash: bool, key: bool, column: int = -1) -> Node:
        """Read what follows an indicator: `dash` where entries may stand at `indent`, `key` where a key may begin."""
        line = self.line
        if self.at_end():
            return self._leaf("")
        below = self.line != line
        entry = _ENTRY.match(self.text, self.at)
        if below:
            here = (dash and entry) or self.text[self.at] in "|>"
            if self.column < indent or (self.column == indent and not here):
                return self._leaf("")
            key, column = True, -1
        if _MARKER.match(self.text, self.at) and not self.column:
            raise self.fault("document", "a line of --- or ...")
        if entry:
            if not key:
                raise self.fault("indicator", "a list cannot begin on the line of its key")
            return self._nested(lambda: self._sequence(self.column))
        return self._content(indent, dash=dash, key=key, column=self.column if column < 0 else column)

    def _nested(self, read: Callable[[], Node]) -> Node:
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise self.fault("depth", f"more than {_DEPTH_MAX} levels")
        found = read()
        self._depth -= 1
        return found

    def _content(self, indent: int, *, dash: bool, key: bool, column: int) -> Node:
        start, line = self.at, self.line
        character = self.text[start]
        if character in "&!":
            return self._with_property(indent, dash=dash, key=key, column=column)
        if character in "|>":
            return self._leaf(self._take(scalars.block(self.text, start, indent)))
        if key and (_COLON.match(self.text, start) or _QUESTION.match(self.text, start)):
            return self._nested(lambda: self._mapping(column, *self._key()))
        value = self._simple(indent)
        colon = _COLON.match(self.text, self.at)
        if colon is None or (self.line != line and self.column <= indent):
            return value
        if not key or self.line != line or self.at - start > _KEY_MAX:
            raise self.fault("colon", "a colon and a space inside a text without quotes")
        self.at = colon.end()
        text = _as_key(value, start)
        return self._nested(lambda: self._mapping(column, text, "value"))

    def _simple(self, indent: int) -> Node:
        """Read what can be a key: a scalar but a block one, an alias, a flow collection."""
        character = self.text[self.at]
        if character in "[{":
            return self._nested(self._flow_list if character == "[" else self._flow_mapping)
        if character == "*":
            return self._alias()
        if character in "'\"":
            return self._leaf(self._take(scalars.quoted(self.text, self.at)))
        return self._leaf(self._take(scalars.plain(self.text, self.at, indent, flow=False)))

    def _take(self, text: Text) -> str:
        self.at = text.end
        self.line = text.line if text.line >= 0 else self.line
        return text.value

    def _leaf(self, value: str) -> str:
        self._leaves += 1
        return value

    def _with_property(self, indent: int, *, dash: bool, key: bool, column: int) -> Node:
        name, before, line = self._property(), self._leaves, self.line
        start = self.at
        value = self._inner(indent, dash=dash, key=key, column=column)
        if name and not (isinstance(value, dict) and self._first_line(start) == line):
            self._anchors[name] = (value, self._leaves - before)
        return value

    def _first_line(self, start: int) -> int:
        """Return the start of the line in which the next token after `start` stands."""
        found = _GAP.match(self.text, start)
        return self.text.rfind("\n", 0, found.end() if found else start) + 1

    def _property(self) -> str:
        """Pass over an anchor, whose name is returned, or a tag."""
        found = (_ANCHOR if self.text[self.at] == "&" else _TAG).match(self.text, self.at)
        if found is None:
            raise self.fault("reserved", f"a text cannot begin with {self.text[self.at]!r}")
        self.at = found.end()
        return found[1] if found.re is _ANCHOR else ""

    def _alias(self) -> Node:
        found = _ALIAS.match(self.text, self.at)
        if found is None or found[1] not in self._anchors:
            raise self.fault("alias", "a text cannot begin with '*'")
        value, leaves = self._anchors[found[1]]
        self._leaves += leaves
        if self._leaves > _LEAVES_MAX:
            raise self.fault("alias", f"aliases for more than {_LEAVES_MAX} values")
        self.at = found.end()
        return value

    def _key(self) -> tuple[str, str]:
        """Read a key and its colon; tell what follows: a `value`, or without a plain key before it `any` or `none`."""
        start, line = self.at, self.line
        if colon := _COLON.match(self.text, start):
            self.at = colon.end()
            return self._leaf(""), "any"
        if _QUESTION.match(self.text, start):
            return self._explicit_key()
        while self.text[self.at] in "&!":
            self._property()
            if self.at_end() or self.line != line:
                raise FaultError(start, "no-key", "a line without a key")
        value = self._simple(self.column)
        colon = _COLON.match(self.text, self.at)
        if colon is None or self.line != line or self.at - start > _KEY_MAX:
            raise FaultError(start, "no-key", "a line without a key")
        self.at = colon.end()
        return _as_key(value, start), "value"

    def _explicit_key(self) -> tuple[str, str]:
        start, indent = self.at, self.column
        self.at += 1
        key = _as_key(self._inner(indent, dash=True, key=True), start)
        if self.at_end() or self.column != indent or not (colon := _COLON.match(self.text, self.at)):
            return key, "none"
        self.at = colon.end()
        return key, "any"

    def _mapping(self, indent: int, key: str, follows: str) -> Node:
        found: dict[str, Node] = {}
        merged: list[Node] = []
        while True:
            start = self.line if follows != "none" else -1
            value = self._leaf("") if follows == "none" else self._inner(indent, dash=True, key=follows == "any")
            self._store(found, merged, key, value)
            while not self.at_end() and not indent and self._simple_line(found):
                pass
            if self.at == len(self.text) or self.column < indent:
                return _with_merged(found, merged)
            if self.line == start or self.column > indent:
                raise self._strayed(start)
            if _MARKER.match(self.text, self.at) and not self.column:
                raise self.fault("document", "a line of --- or ...")
            key, follows = self._key()

    def _simple_line(self, found: dict[str, Node]) -> bool:
        """Read a line that is a key and a few plain words, as most are, at once."""
        match = _SIMPLE.match(self.text, self.at) if self.at == self.line else None
        if match is None or match[1] in found or match[1] in NULLS:
            return False
        found[match[1]] = self._leaf("" if match[2] in NULLS else match[2])
        self.at = self.line = match.end()
        return True

    def _store(self, found: dict[str, Node], merged: list[Node], key: str, value: Node) -> None:
        if key == "<<":
            merged.extend(value if isinstance(value, list) else [value])
        elif key in found:
            raise self.fault("duplicate-key", f"{key} is there twice")
        else:
            found[key] = value

    def _strayed(self, start: int) -> FaultError:
        if self.line == start:
            return self.fault("trailing", "a text after the end of a value")
        return self.fault("indentation", "a line that stands deeper than what it belongs to")

    def _sequence(self, indent: int) -> Node:
        found: list[Node] = []
        while True:
            self.at += 1
            start = self.line
            found.append(self._inner(indent, dash=False, key=True))
            if self.at_end() or self.column < indent:
                return found
            if self.line == start or self.column > indent:
                raise self._strayed(start)
            if not _ENTRY.match(self.text, self.at):
                return found

    def _flow_list(self) -> Node:
        found: list[Node] = []
        self.at += 1
        while self._flow_next("]", first=not found):
            start, line = self.at, self.line
            value = self._flow_node()
            if self._flow_colon(line, json=False):
                value = {_as_key(value, start): self._flow_value(",]")}
            found.append(value)
        return found

    def _flow_mapping(self) -> Node:
        found: dict[str, Node] = {}
        merged: list[Node] = []
        self.at += 1
        first = True
        while self._flow_next("}", first=first):
            first = False
            explicit = self.text[self.at] == "?"
            self.at += explicit
            start, line = self.at, -1 if explicit else self.line
            key = _as_key(self._flow_value(":,}") if explicit else self._flow_node(), start)
            value = self._flow_value(",}") if self._flow_colon(line, json=True) else self._leaf("")
            self._store(found, merged, key, value)
        return _with_merged(found, merged)

    def _flow_next(self, closing: str, *, first: bool) -> bool:
        """Go to the next entry; tell whether there is one."""
        self._flow_gap()
        if not first and self.text[self.at] == ",":
            self.at += 1
            self._flow_gap()
        elif not first and self.text[self.at] != closing:
            raise self.fault("bracket", f"a comma or {closing} belongs here")
        if self.text[self.at] != closing:
            return True
        self.at += 1
        return False

    def _flow_gap(self) -> None:
        self._gap(_FLOW_GAP)
        if self.at == len(self.text):
            raise self.fault("unclosed-bracket", "a bracket that is never closed")
        if self.at == self.line and _MARKER.match(self.text, self.at):
            raise self.fault("document", "a line of --- or ...")

    def _flow_colon(self, line: int, *, json: bool) -> bool:
        """Pass over the colon of a key that was read; right after it a value may begin where `json`."""
        self._flow_gap()
        if self.text[self.at] != ":" or line not in {-1, self.line}:
            return False
        if not json and self.text[self.at + 1 : self.at + 2] not in {" ", "\t", "\n", ""}:
            return False
        self.at += 1
        return True

    def _flow_value(self, closing: str) -> Node:
        self._flow_gap()
        return self._leaf("") if self.text[self.at] in closing else self._flow_node()

    def _flow_node(self) -> Node:
        character = self.text[self.at]
        if character in "&!":
            name, before = self._property(), self._leaves
            self._flow_gap()
            value = self._leaf("") if self.text[self.at] in ",]}" else self._flow_node()
            if name:
                self._anchors[name] = (value, self._leaves - before)
            return value
        if character in "[{*'\"":
            return self._simple(-1)
        return self._leaf(self._take(scalars.plain(self.text, self.at, -1, flow=True)))


def _as_key(value: Node, start: int) -> str:
    if not isinstance(value, str):
        raise FaultError(start, "key", "a key that is no text")
    return value


def _with_merged(found: dict[str, Node], merged: list[Node]) -> dict[str, Node]:
    for other in merged:
        if not isinstance(other, dict):
            raise FaultError(0, "merge", "<< takes a mapping")
        for key, value in other.items():
            found.setdefault(key, value)
    return found

"""Takes a shell's text apart into words and operators, with the commands that stand inside words and here-documents.

What a word gets from a command inside it is `UNKNOWN` there. Nothing is run and no variable is read.
"""

from __future__ import annotations

import re
from typing import NamedTuple

UNKNOWN = "\0"
"""Stands in a word for what a command inside it would print."""
_OPERATOR = re.compile(r"&>>|<<<|<<-|;;&|[0-9]*(?:>>|>\||>&|<>|<&|>|<<|<)|&>|&&|\|\||;;|;&|\|&|[;&|()\n]")
_PLAIN = re.compile(r"[^ \t\r\n\\'\"`$<>;&|()]+")
_DOCUMENT = re.compile(r"<<-?[ \t]*(['\"\\]?)(\w+)")
_SUBSTITUTIONS = ("$(", "<(", ">(")
_DEPTH = 12


class Token(NamedTuple):
    """A word or an operator."""

    text: str
    is_operator: bool
    inner: tuple[str, ...] = ()
    """The commands inside a word; of a here-document's operator, its text."""


class UnclearError(Exception):
    """The text does not end as it began."""


class Lexer:
    """Reads one text from its beginning to its end."""

    def __init__(self, text: str) -> None:
        self._text = text.replace("\\\n", "")
        self._at = 0
        self._documents: list[tuple[int, str, bool]] = []
        self.tokens: list[Token] = []
        self._read()

    def _read(self) -> None:
        text = self._text
        while self._at < len(text):
            if text[self._at] in " \t\r":
                self._at += 1
            elif text[self._at] == "#":  # a comment, for a word never begins with it
                end = text.find("\n", self._at)
                self._at = len(text) if end < 0 else end
            elif (operator := _OPERATOR.match(text, self._at)) and not text.startswith(("<(", ">("), self._at):
                self._operator(operator[0])
            else:
                self.tokens.append(self._word())
        if self._documents:
            self._bodies()

    def _operator(self, found: str) -> None:
        self._at += len(found)
        self.tokens.append(Token(found, is_operator=True))
        if found in {"<<", "<<-"}:
            while self._text[self._at : self._at + 1] in {" ", "\t"}:
                self._at += 1
            start = self._at
            end = self._word().text
            is_quoted = any(mark in self._text[start : self._at] for mark in "'\"\\")
            self._documents.append((len(self.tokens) - 1, end, is_quoted))
        elif found == "\n" and self._documents:
            self._bodies()

    def _bodies(self) -> None:
        """Take the here-documents that begin on the line that has ended."""
        for index, end, is_quoted in self._documents:
            lines: list[str] = []
            while self._at < len(self._text):
                line, _, _ = self._text[self._at :].partition("\n")
                self._at += len(line) + 1
                if line.lstrip("\t") == end:
                    break
                lines.append(line)
            body = "\n".join(lines)
            inner = () if is_quoted else tuple(_inside(body))
            self.tokens[index] = Token(self.tokens[index].text, is_operator=True, inner=(body, *inner))
        self._documents = []

    def _word(self) -> Token:
        parts: list[str] = []
        inner: list[str] = []
        while self._at < len(self._text):
            here = self._text[self._at]
            if plain := _PLAIN.match(self._text, self._at):
                parts.append(plain[0])
                self._at = plain.end()
            elif here in "'\"":
                parts.append(self._quoted(here, inner))
            elif here == "\\":
                parts.append(self._text[self._at + 1 : self._at + 2])
                self._at += 2
            elif here in "$`" or self._text.startswith(_SUBSTITUTIONS, self._at):
                parts.append(self._dollar(inner))
            else:
                break
        return Token("".join(parts), is_operator=False, inner=tuple(inner))

    def _quoted(self, mark: str, inner: list[str]) -> str:
        self._at += 1
        if mark == "'":
            end = self._text.find("'", self._at)
            if end < 0:
                raise UnclearError
            found, self._at = self._text[self._at : end], end + 1
            return found
        parts: list[str] = []
        while self._at < len(self._text) and self._text[self._at] != '"':
            here = self._text[self._at]
            if here == "\\":
                after = self._text[self._at + 1 : self._at + 2]
                parts.append(after if after in '"\\$`' else here + after)
                self._at += 2
            elif here == "`" or (here == "$" and self._text[self._at + 1 : self._at + 2] == "("):
                parts.append(self._dollar(inner))
            else:
                parts.append(here)
                self._at += 1
        if self._at >= len(self._text):
            raise UnclearError
        self._at += 1
        return "".join(parts)

    def _dollar(self, inner: list[str]) -> str:
        """Read what begins with a dollar or a backquote, or an input or output that is a command."""
        if self._text[self._at] == "`":
            end = self._text.find("`", self._at + 1)
            if end < 0:
                raise UnclearError
            inner.append(self._text[self._at + 1 : end])
            self._at = end + 1
            return UNKNOWN
        if self._text.startswith(_SUBSTITUTIONS, self._at):
            end = _closed(self._text, self._at + 2)
            inner.append(self._text[self._at + 2 : end])
            self._at = end + 1
            return UNKNOWN
        if self._text.startswith(("$'", '$"'), self._at):
            self._at += 1
            return self._quoted(self._text[self._at], inner)
        self._at += 1
        return "$"


def _inside(text: str) -> list[str]:
    """Return the commands inside a here-document, whose quotes mean nothing."""
    found = []
    at = text.find("$(")
    while at >= 0:
        end = _closed(text, at + 2)
        found.append(text[at + 2 : end])
        at = text.find("$(", end)
    return [*found, *re.findall(r"`([^`]*)`", text)]


def _closed(text: str, at: int, depth: int = 0) -> int:
    """Return where the parenthesis that was opened before a place is closed."""
    if depth > _DEPTH:
        raise UnclearError
    quote = ""
    while at < len(text):
        here = text[at]
        document = _DOCUMENT.match(text, at) if here == "<" and not quote else None
        if here == "\\" and quote != "'":
            at += 1
        elif document:  # its quotes and parentheses mean nothing
            ended = re.compile(rf"\n\t*{document[2]}(?=[\n)]|$)").search(text, document.end())
            at = (ended or document).end() - 1
        elif text.startswith("$(", at) and quote != "'":
            at = _closed(text, at + 2, depth + 1)
        elif here in "'\"" and quote in {"", here}:
            quote = "" if quote else here
        elif here == "(" and not quote:
            at = _closed(text, at + 1, depth + 1)
        elif here == ")" and not quote:
            return at
        at += 1
    raise UnclearError

"""Cuts text into the pieces that a network was trained on: lower case, no accents, the longest known piece first.

The rules are BERT's (arxiv.org/abs/1810.04805; github.com/google-research/bert, tokenization.py): text is cut at white
space, at each punctuation mark and at each Chinese character; a word that cannot be put together is unknown as a whole.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_LONGEST_WORD = 100
_UNKNOWN, _START, _END = "[UNK]", "[CLS]", "[SEP]"
_CHINESE = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip
_ASCII_WORD = re.compile(r"[a-z0-9]+|[!-/:-@\[-`{-~]")
_ASCII_CONTROLS = dict.fromkeys({*range(32), 127} - {*map(ord, "\t\n\r")})
_NOT_PRINTED = {"Cc", "Cf", "Co", "Cs"}
_CHARACTERS_A_TOKEN = 32
"""Text beyond that many characters for each token wanted is not looked at: one long line costs no more than others."""


class WordPiece:
    """A vocabulary; a piece's number is its place in it."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self._numbers = {piece: number for number, piece in enumerate(pieces)}
        self._unknown, self._start, self._end = (self._numbers[name] for name in (_UNKNOWN, _START, _END))
        self._known: dict[str, list[int]] = {}

    def encode(self, text: str, most: int) -> list[int]:
        """Return the numbers of a text's first pieces, `most` with the marks of start and end."""
        numbers = [self._start]
        for word in _words(text[: most * _CHARACTERS_A_TOKEN]):
            numbers += self._pieces(word)
            if len(numbers) >= most:
                break
        del numbers[most - 1 :]
        return [*numbers, self._end]

    def _pieces(self, word: str) -> list[int]:
        found = self._known.get(word)
        if found is None:
            found = self._known[word] = self._cut(word)
        return found

    def _cut(self, word: str) -> list[int]:
        if len(word) > _LONGEST_WORD:
            return [self._unknown]
        numbers, start = [], 0
        while start < len(word):
            for end in range(len(word), start, -1):
                number = self._numbers.get(("##" if start else "") + word[start:end])
                if number is not None:
                    break
            else:
                return [self._unknown]
            numbers.append(number)
            start = end
        return numbers


def _words(text: str) -> list[str]:
    """Return the words and punctuation marks of a text, folded."""
    if text.isascii():
        return _ASCII_WORD.findall(text.translate(_ASCII_CONTROLS).lower())
    text = unicodedata.normalize("NFD", "".join(map(_printed, text)))
    text = "".join(mark for mark in text if unicodedata.category(mark) != "Mn").lower()
    return "".join(f" {mark} " if _stands_alone(mark) else mark for mark in text).split()


def _printed(mark: str) -> str:
    """Return a character; a space for white space, nothing for what is not printed."""
    if mark in "\t\n\r":
        return " "
    category = unicodedata.category(mark)
    if category == "Zs":
        return " "
    return "" if mark == "\ufffd" or category in _NOT_PRINTED else mark


def _stands_alone(mark: str) -> bool:
    """Tell punctuation and Chinese characters."""
    if mark.isascii():
        return not mark.isalnum() and mark != " "
    return unicodedata.category(mark).startswith("P") or any(low <= ord(mark) <= high for low, high in _CHINESE)

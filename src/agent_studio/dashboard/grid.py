"""Tables of a terminal that give way: names are cut, the least important columns are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_GAP = 2
_WORD_LEAST = 6
"""Columns in which a word that is cut can still be told from others."""


class Column(NamedTuple):
    """A column of a table; the first one of a table holds names."""

    heading: str
    cell: Callable[[Any], Text | str]
    rank: int = 0
    """0 is always there; the highest is the first to be left out."""
    is_left: bool = False


def lines(
    columns: Sequence[Column], rows: Sequence[Any], width: int, cut: str = "…", *, name_least: int = 26
) -> list[Text]:
    """Return a heading and a line a row, none longer than `width` while there is room for the columns of rank 0.

    Other columns are there when a name has `name_least` columns beside them.
    """
    cells = [[_text(column.cell(row)) for row in rows] for column in columns]
    sizes = [
        max(cell_len(column.heading), *(cell.cell_len for cell in drawn), 0)
        for column, drawn in zip(columns, cells, strict=True)
    ]
    shown = _fitting(columns, sizes, width, name_least)
    left = width - sum(sizes[at] + _GAP for at in shown if at)
    sizes[0] = max(min(sizes[0], left), 1)
    for name in cells[0]:
        _shorten(name, sizes[0], cut)
    heading = [Text(column.heading, "dim") for column in columns]
    return [
        _line([drawn[at] for at in shown], [sizes[at] for at in shown], [columns[at].is_left or not at for at in shown])
        for drawn in (heading, *zip(*cells, strict=True))
    ]


def _text(cell: Text | str) -> Text:
    return cell.copy() if isinstance(cell, Text) else Text(cell)


def _fitting(columns: Sequence[Column], sizes: Sequence[int], width: int, name_least: int) -> list[int]:
    """Return which columns have room beside the names."""
    shown = list(range(len(columns)))
    name = min(sizes[0], name_least)
    while name + sum(sizes[at] + _GAP for at in shown if at) > width:
        last = max(shown, key=lambda at: (columns[at].rank, at))
        if not columns[last].rank:
            break
        shown.remove(last)
    return shown


def _shorten(name: Text, size: int, cut: str) -> None:
    """Cut a name in the middle of its last word, or of all of it: what tells two of a kind apart is often their end."""
    if name.cell_len <= size:
        return
    spans, (start, space, word) = name.spans, name.plain.rpartition(" ")
    whole, room = start + space, size - cell_len(start + space)
    if room < _WORD_LEAST:
        whole, word, room = "", name.plain, size
    tail = (room - cell_len(cut)) // 2
    end = ""
    for character in reversed(word):
        if cell_len(character + end) > tail:
            break
        end = character + end
    head = set_cell_size(word, max(room - cell_len(cut) - cell_len(end), 0))
    name.plain = whole + head + (cut if room > tail else "") + end
    name.spans = spans


def _line(cells: Sequence[Text], sizes: Sequence[int], lefts: Sequence[bool]) -> Text:
    line = Text(no_wrap=True, overflow="crop")
    for number, (cell, size, is_left) in enumerate(zip(cells, sizes, lefts, strict=True)):
        space = " " * max(size - cell.cell_len, 0)
        line.append_text(Text(" " * _GAP if number else ""))
        line.append_text(Text.assemble(cell, space) if is_left else Text.assemble(space, cell))
    line.rstrip()
    return line

"""Words that mean the same: `synonyms.txt`, a data file, is put into the index when that is created.

A project adds words of its own where they belong: `alias`, `tags` and `use_cases` of an artifact's front matter.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agent_studio.knowledge.words import stem, words

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Sequence

TABLES = ("CREATE TABLE synonym (said TEXT NOT NULL, means TEXT NOT NULL, PRIMARY KEY (said, means)) WITHOUT ROWID",)
FILE = "synonyms.txt"
WEIGHT = 0.1
"""What a word that was not said counts."""
WEIGHT_ALONE = 0.8
"""The same in the place of a word that no artifact has."""
_LONG = 10
"""Words from which on a question is long."""
_LONGEST = 3
"""Words of a member that is looked for in a question."""


def fill(db: sqlite3.Connection) -> None:
    """Write the groups of the data file."""
    for line in Path(__file__).with_name(FILE).read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        group = [" ".join(map(stem, words(member))) for member in line.split(",")]
        db.executemany(
            "INSERT OR IGNORE INTO synonym VALUES (?, ?)",
            ((said, means) for said in group for means in group if said != means),
        )


def meant(
    db: sqlite3.Connection, said: Sequence[str], absent: Collection[str]
) -> dict[str, tuple[float, frozenset[str]]]:
    """Return stems that a question (its stems, in order) means without saying them.

    With each, what it counts, and for which of the absent, words that no artifact has, it stands in. A long question
    says enough by itself: only for the absent is anything meant.
    """
    runs = {" ".join(said[at : at + size]) for size in range(1, _LONGEST + 1) for at in range(len(said) - size + 1)}
    found: dict[str, tuple[float, frozenset[str]]] = {}
    marks = ", ".join("?" * len(runs))
    query = f"SELECT said, means FROM synonym WHERE said IN ({marks}) ORDER BY said, means"  # noqa: S608
    for known, means in db.execute(query, sorted(runs)):
        parts = means.split()
        missing = frozenset(known.split()).intersection(absent)
        if not missing and len(said) > _LONG:
            continue
        for one in parts:
            if one not in said:
                count, before = found.get(one, (0.0, missing))
                here = WEIGHT_ALONE if missing else WEIGHT
                found[one] = max(count, here / len(parts)), before | missing
    return found

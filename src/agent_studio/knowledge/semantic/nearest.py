"""The artifacts whose vectors are most like a question's."""

from __future__ import annotations

from heapq import nlargest
from typing import TYPE_CHECKING

import numpy as np

from agent_studio.knowledge.semantic import embedding

if TYPE_CHECKING:
    import sqlite3

    from agent_studio.knowledge.semantic.encoder import Floats
    from agent_studio.knowledge.semantic.vectors import Vectors


def candidates(
    db: sqlite3.Connection, vectors: Vectors, vector: Floats, found: dict[int, float], number: int
) -> dict[int, float]:
    """Return how like the nearest artifacts, and the best by words, are to a vector; old vectors are left out."""
    likeness = vectors.similarities(vector)
    rows = vectors.rows(nlargest(number, found, key=found.__getitem__))
    nearest = np.argpartition(likeness, -number)[-number:] if len(likeness) > number else np.arange(len(likeness))
    rows |= {int(vectors.ids[row]): int(row) for row in nearest}
    marks = ", ".join("?" * len(rows))
    texts = db.execute(f"SELECT id, name, description FROM artifact WHERE id IN ({marks})", list(rows))  # noqa: S608 - question marks
    return {
        unique: float(likeness[rows[unique]])
        for unique, name, description in texts
        if embedding.key(embedding.text(name, description)) == vectors.keys[rows[unique]].tobytes()
    }

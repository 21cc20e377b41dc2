"""How like artifacts are to a question in meaning, and what that adds to the score of the words.

An artifact earns what its likeness is worth, in points of the best score by words: a question that no words answer is
answered by meaning, one that names what it wants by its name. What no artifact is like gets no answer by chance words.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.knowledge.answers import Part

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from agent_studio.knowledge.questions import Question
    from agent_studio.knowledge.semantic.model import Model
    from agent_studio.knowledge.semantic.vectors import Vectors
    from agent_studio.storage.folder import Folder

VECTORS = "knowledge.vectors"
WEIGHT = 1.0
"""Points of an artifact that says the same as the question, as a part of the best score by words."""
CANDIDATES = 100
"""Artifacts most like the question, and best ones by words, that are compared."""
UNLIKE, LIKE = 0.28, 0.48
"""Likeness of what has nothing to do with the question, and of what surely has."""
DOUBTED, DOUBT = 0.3, 0.85
"""Likeness below which words may have met by chance, and what they count for then."""
_ENGLISH_MOST = 0x250
"""Letters from here on are of scripts that the network has not learnt."""


class Alike(NamedTuple):
    """What meaning says of the candidates for one question."""

    similarities: dict[int, float]
    """By artifact, -1 to 1; those without a vector are missing."""
    worth: float
    """Points of a likeness of 1."""

    def points(self, unique: int) -> float:
        """Return what an artifact earns."""
        return self.worth * max(0.0, self.similarities.get(unique, 0.0))

    def raised(self, found: dict[int, float]) -> dict[int, float]:
        """Return the scores by words with what meaning adds to them."""
        return found | {unique: found.get(unique, 0.0) + self.points(unique) for unique in self.similarities}

    def parts(self, unique: int) -> tuple[Part, ...]:
        """Return what an artifact earns, to be explained."""
        if unique not in self.similarities:
            return ()
        return (Part("meaning", self.points(unique), f"likeness {self.similarities[unique]:.2f}"),)

    def sure(self, unique: int, by_words: float) -> float:
        """Return how surely an artifact fits, 0 to 1, from how surely it does by its words."""
        likeness = self.similarities.get(unique)
        if likeness is None:
            return by_words
        if likeness < DOUBTED:
            return by_words * DOUBT
        return max(by_words, min(1.0, (likeness - UNLIKE) / (LIKE - UNLIKE)))


class Meaning:
    """The vectors of an index and the network they are of; `opened` opens it."""

    def __init__(self, vectors: Vectors, weights: Path) -> None:
        self._vectors = vectors
        self._weights = weights
        self.count = len(vectors.ids)

    def alike(self, db: sqlite3.Connection, question: Question, found: dict[int, float]) -> Alike | None:
        """Compare a question with artifacts; None where words say it better."""
        said = question.as_searched
        if not _is_readable(said) or _is_name(db, question):
            return None
        from agent_studio.knowledge.semantic import nearest  # noqa: PLC0415 - NumPy belongs to the extra

        vector = _loaded(self._weights).vectors([said])[0]
        similarities = nearest.candidates(db, self._vectors, vector, found, CANDIDATES)
        return Alike(similarities, WEIGHT * max(found.values(), default=1.0)) if similarities else None


def opened(folder: Folder) -> Meaning | None:
    """Open what ranks by meaning; None without the extra, or before a build has computed vectors with its network."""
    if not folder.has_folder() or not folder.has_file(VECTORS):
        return None
    from agent_studio.knowledge.semantic import model  # noqa: PLC0415 - most projects have no vectors

    if (weights := model.place()) is None:
        return None
    from agent_studio.knowledge.semantic import embedding, vectors  # noqa: PLC0415 - NumPy belongs to the extra

    found = vectors.read(folder)
    if found is None or found.model != embedding.identity(weights) or not len(found.ids):
        return None
    return Meaning(found, weights)


def summary(folder: Folder) -> dict[str, int] | None:
    """Return how many vectors there are and their file's size; None where there are none that rank."""
    found = opened(folder)
    status = folder.status(VECTORS)
    return {"vectors": found.count, "bytes": status.st_size} if found and status else None


@lru_cache(maxsize=1)
def _loaded(weights: Path) -> Model:
    from agent_studio.knowledge.semantic import model  # noqa: PLC0415 - as above

    return model.load(weights)


def _is_readable(text: str) -> bool:
    """Tell whether at least half of the letters are of a script that the network has learnt."""
    letters = [ord(mark) for mark in text if mark.isalpha()]
    return 2 * sum(letter < _ENGLISH_MOST for letter in letters) > len(letters)


def _is_name(db: sqlite3.Connection, question: Question) -> bool:
    marks = ", ".join("?" * len(question.names))
    return bool(db.execute(f"SELECT 1 FROM named WHERE stems IN ({marks})", question.names).fetchone())  # noqa: S608

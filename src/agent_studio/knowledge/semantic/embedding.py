"""Brings the vectors up to date with the index: computes what is new, within a time, and keeps what it has.

What the time does not suffice for is left for the next build; until then those artifacts are found by their words.
"""

from __future__ import annotations

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from agent_studio.knowledge.semantic import model as models
from agent_studio.knowledge.semantic import vectors

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from agent_studio.knowledge.semantic.encoder import Floats
    from agent_studio.knowledge.semantic.model import Model
    from agent_studio.storage.folder import Folder

    Progress = Callable[[int, int], None]

LIMIT_S = 120.0
_BATCH_TOKENS = 768
_CUT_AT_ONCE = 1_024
"""Texts that are cut into tokens before the time is looked at again."""
_THREADS_MAX = 4
_RECIPE = "1"
"""Of `text`: another one makes every vector old."""


class Embedded(NamedTuple):
    """What an update did; artifacts with the same text count each."""

    artifacts: int
    computed: int
    """Texts that were new."""
    left: int
    """Artifacts without a vector, for want of time."""
    seconds: float
    size_bytes: int


def text(name: str, description: str) -> str:
    """Return what stands for an artifact."""
    return f"{name.replace('-', ' ').replace('_', ' ')}. {description}"


def key(of: str) -> bytes:
    """Return what tells a text from others."""
    return hashlib.sha256(of.encode("utf-8", "surrogatepass")).digest()[: vectors.KEY_BYTES]


def identity(weights: Path) -> str:
    """Return what vectors must have been made with to be used."""
    return f"{models.identity(weights)}-{_RECIPE}"


def update(
    db: sqlite3.Connection,
    folder: Folder,
    weights: Path,
    *,
    limit_s: float = LIMIT_S,
    progress: Progress | None = None,
) -> Embedded:
    """Compute the vectors that are missing and write the file. Interrupted, it keeps those it has."""
    started_s = time.monotonic()
    texts = {
        unique: text(name, said) for unique, name, said in db.execute("SELECT id, name, description FROM artifact")
    }
    keys = {unique: key(one) for unique, one in texts.items()}
    held = _Held(folder, identity(weights))
    missing = {keys[unique]: one for unique, one in texts.items() if keys[unique] not in held.rows}
    computed = 0
    size_bytes = 0
    try:
        if missing:
            for batch in _computed(weights, missing, started_s + limit_s):
                held.add(*batch)
                computed += len(batch[0])
                if progress:
                    progress(computed, len(missing))
    finally:
        size_bytes = held.write(folder, keys)
    left = sum(one not in held.rows for one in keys.values())
    return Embedded(len(texts), computed, left, time.monotonic() - started_s, size_bytes)


class _Held:
    """Vectors by the key of their text, old ones and new ones."""

    def __init__(self, folder: Folder, wanted: str) -> None:
        found = vectors.read(folder)
        self._model = wanted
        same = found is not None and found.model == wanted
        self.rows = found.by_key() if found and same else {}
        self._scales = [found.scales.copy()] if found and same else []  # a mapped file could not be replaced everywhere
        self._codes = [found.codes.copy()] if found and same else []
        self._count = len(found.ids) if found and same else 0

    def add(self, keys: Sequence[bytes], made: Floats) -> None:
        """Keep new vectors."""
        scales, codes = vectors.quantized(made)
        self._scales.append(scales)
        self._codes.append(codes)
        for one in keys:
            self.rows[one] = self._count
            self._count += 1

    def write(self, folder: Folder, keys: dict[int, bytes]) -> int:
        """Write the vectors of the artifacts that are there; return the size of the file in bytes."""
        wanted = [(unique, one) for unique, one in keys.items() if one in self.rows]
        if not self._codes:
            return 0
        rows = [self.rows[one] for _, one in wanted]
        scales, codes = np.concatenate(self._scales)[rows], np.concatenate(self._codes)[rows]
        return vectors.write(folder, vectors.joined(self._model, wanted, scales, codes))


def _computed(weights: Path, missing: dict[bytes, str], until_s: float) -> Iterator[tuple[list[bytes], Floats]]:
    """Yield vectors, a batch at a time, short texts first, until there is no time for more."""
    threads = max(1, min(_THREADS_MAX, _cores()))
    model = models.load(weights)
    order = sorted(missing, key=lambda one: len(missing[one]))
    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(order), _CUT_AT_ONCE):
            tokens = {one: model.tokens(missing[one]) for one in order[first : first + _CUT_AT_ONCE]}
            waiting = list(_batches(tokens))
            for start in range(0, len(waiting), threads):
                if time.monotonic() > until_s:
                    return
                together = waiting[start : start + threads]
                made = pool.map(_vectors, repeat(model), repeat(tokens), together)
                yield from zip(together, made, strict=True)


def _vectors(model: Model, tokens: dict[bytes, list[int]], batch: list[bytes]) -> Floats:
    return model.encoder.encode([tokens[one] for one in batch])


def _batches(tokens: dict[bytes, list[int]]) -> Iterator[list[bytes]]:
    """Yield texts of like length, as many as make a batch."""
    batch: list[bytes] = []
    for one in sorted(tokens, key=lambda one: len(tokens[one])):
        if batch and (len(batch) + 1) * len(tokens[one]) > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def _cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

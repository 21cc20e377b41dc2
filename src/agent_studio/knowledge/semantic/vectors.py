"""The file of vectors, `.agent-studio/<env>/knowledge.vectors`: derived, so it can be lost.

One line of JSON says what is in it; then come, for all artifacts by id, the ids, the keys of the texts, the scales and
the vectors as int8. A vector is that of a text, whoever has it: it outlives the index, and a text is computed once. A
key that is not that of the artifact's text today is of an older text, and is not used.
"""

from __future__ import annotations

import json
import mmap
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from agent_studio.knowledge.semantic.encoder import Floats
    from agent_studio.storage.folder import Folder

FILE = "knowledge.vectors"
KEY_BYTES = 16
_VERSION = 1
_HEAD_MAX = 4_096
_CHUNK = 1_024
"""Vectors made float32 at a time: they stay in the processor's cache."""
_FULL = 127


class Vectors(NamedTuple):
    """Vectors of one network, by artifact."""

    model: str
    ids: NDArray[np.int64]
    """Ascending."""
    keys: NDArray[np.void]
    scales: Floats
    codes: NDArray[np.int8]

    def similarities(self, vector: Floats) -> Floats:
        """Return how like each is to a vector of unit length, -1 to 1."""
        found = np.empty(len(self.ids), np.float32)
        for start in range(0, len(found), _CHUNK):
            part = slice(start, start + _CHUNK)
            np.dot(self.codes[part].astype(np.float32), vector, out=found[part])
        found *= self.scales
        return np.nan_to_num(found, copy=False, nan=0.0, posinf=0.0, neginf=0.0)  # scales that a disk has damaged

    def rows(self, ids: Iterable[int]) -> dict[int, int]:
        """Return the row of each artifact that has one."""
        wanted = np.fromiter(ids, np.int64)
        at = np.searchsorted(self.ids, wanted)
        return {
            int(unique): int(row)
            for unique, row in zip(wanted, at, strict=True)
            if row < len(self.ids) and self.ids[row] == unique
        }

    def by_key(self) -> dict[bytes, int]:
        """Return the row of each text."""
        return {key.tobytes(): row for row, key in enumerate(self.keys)}


def joined(model: str, held: list[tuple[int, bytes]], scales: Floats, codes: NDArray[np.int8]) -> Vectors:
    """Return vectors given as (id, key), in the order of the rows."""
    order = sorted(range(len(held)), key=lambda row: held[row][0])
    ids = np.array([held[row][0] for row in order], np.int64)
    keys = np.frombuffer(b"".join(held[row][1] for row in order), f"V{KEY_BYTES}")
    return Vectors(model, ids, keys, scales[order], codes[order])


def quantized(vectors: Floats) -> tuple[Floats, NDArray[np.int8]]:
    """Return the scale of each vector and its numbers as int8."""
    scales = (np.abs(vectors).max(1) / np.float32(_FULL)).astype(np.float32)
    scales[scales == 0] = 1
    return scales, np.rint(vectors / scales[:, None]).astype(np.int8)


def write(folder: Folder, vectors: Vectors) -> int:
    """Write the file in one step; return its size in bytes."""
    count, size = vectors.codes.shape
    head = {"version": _VERSION, "model": vectors.model, "count": count, "size": size}
    data = b"".join(
        (json.dumps(head).encode(), b"\n", *(part.tobytes() for part in vectors[1:])),
    )
    folder.replace(FILE, data)
    return len(data)


def read(folder: Folder) -> Vectors | None:
    """Open the file; None when there is none, or none that is whole."""
    if not folder.has_folder() or not folder.has_file(FILE):
        return None
    descriptor = folder.open(FILE)
    try:
        data = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) if os.fstat(descriptor).st_size else b""
    finally:
        os.close(descriptor)
    try:
        return _parsed(data)
    except (ValueError, KeyError, TypeError):
        return None


def _parsed(data: mmap.mmap | bytes) -> Vectors:
    end = data.find(b"\n", 0, _HEAD_MAX)
    head: dict[str, Any] = json.loads(data[: max(end, 0)])
    if head["version"] != _VERSION:
        raise ValueError("of another version")
    count, size = int(head["count"]), int(head["size"])
    if count < 0 or size < 1:
        raise ValueError("of no size")
    parts = []
    at = end + 1
    for dtype, numbers in (("<i8", count), (f"V{KEY_BYTES}", count), ("<f4", count), ("i1", count * size)):
        parts.append(np.frombuffer(data, dtype, numbers, at))
        at += parts[-1].nbytes
    if at != len(data):
        raise ValueError("longer than it says")
    ids, keys, scales, codes = parts
    return Vectors(str(head["model"]), ids, keys, scales, codes.reshape(count, size))

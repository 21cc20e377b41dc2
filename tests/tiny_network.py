"""Writes a network small enough for a test, in the file format of the real one, and computes it in another way."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

PIECES = 30_522
_HEAD = 32
_PARTS = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
          "intermediate.dense", "output.dense")  # fmt: skip


class Network(NamedTuple):
    """The weights, float64, by name: what the file holds, and what the reference computes with."""

    layers: int
    size: int
    values: dict[str, NDArray[np.float64]]

    def vector(self, tokens: Sequence[int]) -> NDArray[np.float64]:
        """Compute a text's vector one token at a time, with nothing shared with the code under test."""
        value = self.values
        rows = [
            _norm(value["words"][token] + value["positions"][place] + value["kinds"][0], value, "embeddings")
            for place, token in enumerate(tokens)
        ]
        for number in range(self.layers):
            rows = self._layer(rows, f"layer.{number}.")
        mean = np.mean(rows, axis=0)
        return np.asarray(mean / math.sqrt(float(mean @ mean)))

    def _layer(self, rows: list[NDArray[np.float64]], name: str) -> list[NDArray[np.float64]]:
        value = self.values
        dense = {part: [value[f"{name}{part}.weight"].T @ row + value[f"{name}{part}.bias"] for row in rows]
                 for part in _PARTS[:3]}  # fmt: skip
        query, key, content = dense.values()
        made = []
        for place, row in enumerate(rows):
            mixed = np.zeros(self.size)
            for head in range(0, self.size, _HEAD):
                part = slice(head, head + _HEAD)
                fits = [math.exp(float(query[place][part] @ other[part]) / math.sqrt(_HEAD)) for other in key]
                for fit, other in zip(fits, content, strict=True):
                    mixed[part] += fit / sum(fits) * other[part]
            joined = value[f"{name}attention.output.dense.weight"].T @ mixed
            joined += value[f"{name}attention.output.dense.bias"]
            attended = _norm(row + joined, value, f"{name}attention.output")
            wide = value[f"{name}intermediate.dense.weight"].T @ attended + value[f"{name}intermediate.dense.bias"]
            wide = np.array([0.5 * x * (1 + math.erf(x / math.sqrt(2))) for x in wide])
            narrow = value[f"{name}output.dense.weight"].T @ wide + value[f"{name}output.dense.bias"]
            made.append(_norm(attended + narrow, value, f"{name}output"))
        return made


def _norm(row: NDArray[np.float64], value: dict[str, NDArray[np.float64]], name: str) -> NDArray[np.float64]:
    apart = row - row.mean()
    return np.asarray(
        apart / math.sqrt(float((apart**2).mean()) + 1e-12) * value[f"{name}.gain"] + value[f"{name}.offset"]
    )


def write(place: Path, *, seed: int = 1, layers: int = 2, size: int = 64) -> Network:
    """Write a network of random weights; what comes out depends on the words more than on their order."""
    chance = np.random.default_rng(seed)
    values: dict[str, NDArray[np.float64]] = {}
    tensors: list[bytes] = []
    nodes: list[bytes] = []

    def floats(name: str, known: str, shape: tuple[int, ...], spread: float, middle: float = 0.0) -> None:
        made = chance.normal(middle, spread, shape).astype(np.float32)
        values[known] = made.astype(np.float64)
        tensors.append(_tensor(name, made, 1))

    def codes(name: str, known: str, shape: tuple[int, int], spread: float, axis: int) -> None:
        made = np.clip(chance.normal(0, 40, shape), -127, 127).astype(np.int8)
        scale = np.full((shape[0], 1) if axis else (1, shape[1]), spread / 40, np.float32)
        values[known] = made.astype(np.float64) * scale
        tensors.extend((_tensor(f"{name}_q", made, 3), _tensor(f"{name}_scale", scale, 1)))

    codes("inner.embeddings.word_embeddings.weight", "words", (PIECES, size), 1.0, 1)
    codes("inner.embeddings.position_embeddings.weight", "positions", (128, size), 0.05, 1)
    floats("inner.embeddings.token_type_embeddings.weight", "kinds", (2, size), 0.05)
    _norms(floats, "inner.embeddings", "embeddings", size)
    for number in range(layers):
        real, known = f"inner.encoder.layer.{number}", f"layer.{number}"
        for part in _PARTS:
            inner = (size, 2 * size) if part == "intermediate.dense" else (size, size)
            inner = (2 * size, size) if part == "output.dense" else inner
            matrix = f"val_{number}_{_PARTS.index(part)}"
            codes(matrix, f"{known}.{part}.weight", inner, 0.15, 0)
            floats(f"{real}.{part}.bias", f"{known}.{part}.bias", (inner[1],), 0.05)
            nodes += [
                _node("MatMul", ["x", matrix], [f"{matrix}_product"]),
                _node("Add", [f"{matrix}_product", f"{real}.{part}.bias"], [f"{matrix}_sum"]),
            ]
        _norms(floats, f"{real}.attention.output", f"{known}.attention.output", size)
        _norms(floats, f"{real}.output", f"{known}.output", size)
    graph = b"".join([*(_field(1, node) for node in nodes), *(_field(5, tensor) for tensor in tensors)])
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"\x08\x09" + _field(2, b"a test") + _field(7, graph))
    return Network(layers, size, values)


def _norms(floats, real: str, known: str, size: int) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    floats(f"{real}.LayerNorm.weight", f"{known}.gain", (size,), 0.05, 1.0)
    floats(f"{real}.LayerNorm.bias", f"{known}.offset", (size,), 0.05)


def _tensor(name: str, values: NDArray[np.float32] | NDArray[np.int8], kind: int) -> bytes:
    sizes = b"".join(b"\x08" + _varint(size) for size in values.shape)
    return sizes + b"\x10" + _varint(kind) + _field(8, name.encode()) + _field(9, values.tobytes())


def _node(kind: str, inputs: list[str], outputs: list[str]) -> bytes:
    named = [(1, name) for name in inputs] + [(2, name) for name in outputs] + [(4, kind)]
    return b"".join(_field(field, name.encode()) for field, name in named)


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*data, value])

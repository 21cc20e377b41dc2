"""Turns token numbers into one vector a text: a BERT encoder's forward pass, mean pooling, unit length.

The layers are those of arxiv.org/abs/1810.04805 as sentence-transformers uses them. Texts of like length are computed
together, few enough that what a layer passes on stays in the processor's cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from agent_studio.knowledge.semantic.weights import Quantized, Weights

    Floats = NDArray[np.float32]

HEAD_SIZE = 32
"""Numbers that one attention head sees, in every MiniLM."""
_PREFIX = "inner.encoder.layer."
_EPSILON = np.float32(1e-12)
_HIDDEN = np.float32(-1e9)
_GELU_A, _GELU_B = np.float32(0.7978845608), np.float32(0.044715 * 0.7978845608)


class _Norm(NamedTuple):
    gain: Floats
    offset: Floats

    def __call__(self, x: Floats) -> Floats:
        """Normalise each row, in place."""
        x -= x.mean(-1, keepdims=True)
        deviation = np.sqrt(np.einsum("ij,ij->i", x, x) / np.float32(x.shape[1]) + _EPSILON)
        x /= deviation[:, None]
        x *= self.gain
        x += self.offset
        return x


class _Dense(NamedTuple):
    weight: Floats
    bias: Floats

    def __call__(self, x: Floats) -> Floats:
        y = x @ self.weight
        y += self.bias
        return y


class _Layer(NamedTuple):
    attended: _Dense
    """Query, key and value beside each other."""
    joined: _Dense
    first_norm: _Norm
    widened: _Dense
    narrowed: _Dense
    second_norm: _Norm


class Encoder:
    """A network with its weights ready to be used, float32."""

    def __init__(self, weights: Weights) -> None:
        self._words: Quantized = weights.table("inner.embeddings.word_embeddings.weight")
        positions = weights.table("inner.embeddings.position_embeddings.weight").whole()
        self._positions = positions + weights.vector("inner.embeddings.token_type_embeddings.weight")[0]
        self._norm = _norm(weights, "inner.embeddings")
        self._layers: list[_Layer] = []
        while weights.has(f"{_PREFIX}{len(self._layers)}.output.dense.bias"):
            self._layers.append(_layer(weights, f"{_PREFIX}{len(self._layers)}"))
        self.size = self._positions.shape[1]
        """Numbers of one vector."""
        self.longest = len(self._positions)
        """Tokens of a text at most."""

    def encode(self, texts: Sequence[Sequence[int]]) -> Floats:
        """Return a vector of unit length for each text, given as token numbers; one row each."""
        count, longest = len(texts), max(map(len, texts))
        numbers = np.zeros((count, longest), np.intp)
        for row, text in enumerate(texts):
            numbers[row, : len(text)] = text
        there = np.arange(longest) < np.array([len(text) for text in texts])[:, None]
        hidden = None if there.all() else np.where(there, np.float32(0), _HIDDEN)[:, None, None, :]
        x = self._words.rows(numbers.ravel()).reshape(count, longest, self.size)
        x += self._positions[:longest]
        x = self._norm(x.reshape(count * longest, self.size))
        for layer in self._layers:
            y = layer.joined(_attention(layer.attended(x), hidden, (count, longest)))
            y += x
            x = layer.first_norm(y)
            y = layer.narrowed(_gelu(layer.widened(x)))
            y += x
            x = layer.second_norm(y)
        pooled: Floats = (x.reshape(count, longest, self.size) * there[:, :, None]).sum(1, dtype=np.float32)
        pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
        return pooled


def _attention(x: Floats, hidden: Floats | None, shape: tuple[int, int]) -> Floats:
    """Mix the values of a text's tokens by how well their keys fit the queries."""
    count, longest = shape
    size = x.shape[1] // 3
    query, key, value = x.reshape(count, longest, 3, size // HEAD_SIZE, HEAD_SIZE).transpose(2, 0, 3, 1, 4)
    fit = query @ key.transpose(0, 1, 3, 2)
    if hidden is not None:
        fit += hidden
    fit -= fit.max(-1, keepdims=True)
    np.exp(fit, out=fit)
    fit /= fit.sum(-1, keepdims=True)
    mixed: Floats = (fit @ value).transpose(0, 2, 1, 3).reshape(count * longest, size)
    return mixed


def _gelu(x: Floats) -> Floats:
    """Gaussian error linear unit in its tanh form (arxiv.org/abs/1606.08415): a third of the time of erf's."""
    y = x * x
    y *= _GELU_B
    y += _GELU_A
    y *= x
    np.tanh(y, out=y)
    y += 1
    y *= x
    y *= np.float32(0.5)
    return y


def _norm(weights: Weights, name: str) -> _Norm:
    return _Norm(weights.vector(f"{name}.LayerNorm.weight"), weights.vector(f"{name}.LayerNorm.bias"))


def _dense(weights: Weights, name: str) -> _Dense:
    return _Dense(np.ascontiguousarray(weights.matrix(name)), weights.vector(f"{name}.bias"))


def _layer(weights: Weights, name: str) -> _Layer:
    query, key, value = (_dense(weights, f"{name}.attention.self.{part}") for part in ("query", "key", "value"))
    scale = np.float32(HEAD_SIZE**-0.5)  # into the query once, not into every product
    attended = _Dense(
        np.hstack([query.weight * scale, key.weight, value.weight]),
        np.hstack([query.bias * scale, key.bias, value.bias]),
    )
    return _Layer(
        attended, _dense(weights, f"{name}.attention.output.dense"), _norm(weights, f"{name}.attention.output"),
        _dense(weights, f"{name}.intermediate.dense"), _dense(weights, f"{name}.output.dense"),
        _norm(weights, f"{name}.output"),
    )  # fmt: skip

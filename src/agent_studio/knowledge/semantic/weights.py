"""Reads the weights of a network from an ONNX file: its named tensors, and the matrices that only its graph names.

An ONNX file is one protobuf message (github.com/onnx/onnx, onnx/onnx.proto). Just the fields that hold weights are
read: `ModelProto.graph`, its nodes' inputs and outputs, and its initializers. Matrices held as int8 with a scale are
left so: `Quantized` gives rows, or the whole, as float32.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from agent_studio.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FLOAT, _INT8 = 1, 3
_TYPES: dict[int, np.dtype[Any]] = {_FLOAT: np.dtype("<f4"), _INT8: np.dtype("i1")}


class Quantized(NamedTuple):
    """A matrix of int8 and what each row or column is multiplied by."""

    codes: NDArray[np.int8]
    scale: NDArray[np.float32]

    def rows(self, which: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return some rows; the scale is one for each row."""
        return self.codes[which] * self.scale[which]

    def whole(self) -> NDArray[np.float32]:
        """Return all of it."""
        return self.codes * self.scale


class Weights:
    """The weights of one file, by the name of the layer's parameter; `x.bias` leads to the matrix `x.weight`."""

    def __init__(self, place: Path) -> None:
        try:
            graph = _graph(memoryview(np.memmap(place, dtype=np.uint8, mode="r").data))
            self._tensors, nodes = _parts(graph)
        except (IndexError, ValueError, TypeError, OverflowError, OSError) as error:
            raise IntegrityError(f"{place} does not hold a network: {error}", hint="reinstall the package") from error
        self._place = place
        self._made_by = {output: inputs for _, inputs, outputs in nodes for output in outputs}
        self._added = {inputs[1]: inputs[0] for kind, inputs, _ in nodes if kind == "Add" and len(inputs) > 1}

    def vector(self, name: str) -> NDArray[np.float32]:
        """Return a tensor of float32."""
        tensor = self._tensor(name)
        if tensor.dtype != np.float32:
            raise self._strange(name)
        return tensor

    def table(self, name: str) -> Quantized:
        """Return a table of int8 rows."""
        return Quantized(self._tensor(f"{name}_q"), self._tensor(f"{name}_scale"))

    def matrix(self, name: str) -> NDArray[np.float32]:
        """Return the matrix of the layer that adds `<name>.bias` to its product, inputs x outputs."""
        product = self._made_by.get(self._added.get(f"{name}.bias", ""), [])
        if len(product) != 2:  # noqa: PLR2004 - the two factors
            raise self._strange(name)
        return self.table(product[1]).whole()

    def has(self, name: str) -> bool:
        """Tell whether there is a tensor of that name."""
        return name in self._tensors

    def _tensor(self, name: str) -> NDArray[Any]:
        try:
            return self._tensors[name]
        except KeyError:
            raise self._strange(name) from None

    def _strange(self, name: str) -> IntegrityError:
        return IntegrityError(
            f"{self._place} has no {name!r} of the form expected", hint="reinstall the package in its pinned version"
        )


def _parts(graph: memoryview) -> tuple[dict[str, NDArray[Any]], list[tuple[str, list[str], list[str]]]]:
    """Return the tensors by name, and each node's kind, inputs and outputs."""
    tensors, nodes = {}, []
    for field, value in _fields(graph):
        if field == 1:
            nodes.append(_node(value))
        elif field == 5:  # noqa: PLR2004 - GraphProto.initializer
            name, tensor = _tensor(value)
            if tensor is not None:
                tensors[name] = tensor
    return tensors, nodes


def _graph(file: memoryview) -> memoryview:
    for field, value in _fields(file):
        if field == 7 and isinstance(value, memoryview):  # noqa: PLR2004 - ModelProto.graph
            return value
    raise ValueError("it has no graph")


def _node(data: memoryview) -> tuple[str, list[str], list[str]]:
    kind, inputs, outputs = "", [], []
    for field, value in _fields(data):
        if field == 1:
            inputs.append(_text(value))
        elif field == 2:  # noqa: PLR2004 - NodeProto.output
            outputs.append(_text(value))
        elif field == 4:  # noqa: PLR2004 - NodeProto.op_type
            kind = _text(value)
    return kind, inputs, outputs


def _tensor(data: memoryview) -> tuple[str, NDArray[Any] | None]:
    """Return a tensor's name and values; None for the types that no weight has."""
    name, dtype = "", None
    shape: list[int] = []
    raw: bytes | None = None
    for field, value in _fields(data):
        if field == 1:
            shape += [value] if isinstance(value, int) else _varints(value)
        elif field == 2:  # noqa: PLR2004 - TensorProto.data_type
            dtype = _TYPES.get(value)
        elif field == 8:  # noqa: PLR2004 - TensorProto.name
            name = _text(value)
        elif field == 9:  # noqa: PLR2004 - TensorProto.raw_data
            raw = bytes(value)
    if dtype is None or raw is None:
        return name, None
    return name, np.frombuffer(raw, dtype, count=math.prod(shape)).reshape(shape)


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """Yield each field's number and value: an int, or the bytes of what is nested."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
        elif kind == _BYTES:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise ValueError("it is cut short")
            yield key >> 3, data[at : at + size]
            at += size
        elif kind in {_FIXED64, _FIXED32}:
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("it is no protobuf message")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the last byte has its high bit clear
            return value, at
        shift += 7


def _varints(data: memoryview) -> list[int]:
    values, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        values.append(value)
    return values


def _text(data: memoryview) -> str:
    return bytes(data).decode()

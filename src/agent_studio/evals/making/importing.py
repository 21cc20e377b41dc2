"""Results of other tools, read as pairs: Inspect's logs and promptfoo's outputs. They are labelled, and never ours.

Two files are compared, one a side; what both have, by the same id and repetition, is a pair. promptfoo compares
prompts or providers in one file, so two of its names can stand for the sides as well.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

from agent_studio.errors import UsageError, did_you_mean
from agent_studio.evals.verdicts.betting import Pairs

if TYPE_CHECKING:
    from collections.abc import Mapping

INSPECT, PROMPTFOO = "inspect", "promptfoo"
FORMATS = (INSPECT, PROMPTFOO)
_MOST_BYTES = 200_000_000
_RIGHT = {"C": True, "I": False, "P": False, "N": False}
"""Inspect's letters: correct, incorrect, partial, no answer."""
Results = dict[tuple[str, int], bool | None]
"""Whether each repetition of each task passed; None for one that an error ended, which says nothing of the agent."""
_UNREADABLE = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""RuntimeError: nested too deeply, encrypted, or packed in a way that this Python does not know."""
_ERROR = 2
"""promptfoo's `failureReason` of what did not fail a check: the provider, or promptfoo itself, did not get through."""


def read(data: bytes, form: str, shown: str, column: str | None = None) -> Results:
    """Return what a file says; raise `UsageError` for one that is not of the form, or without results."""
    try:
        found = _inspect(data) if form == INSPECT else _promptfoo(json.loads(data), column)
    except UsageError:
        raise
    except _UNREADABLE as error:
        raise UsageError(
            f"{shown} is no result of {form}: {type(error).__name__}: {error}",
            hint="inspect: a .eval or .json log; promptfoo: promptfoo eval --output FILE.json",
        ) from None
    if all(passed is None for passed in found.values()):
        raise UsageError(f"{shown} holds no result", hint="run the tool to its end first")
    return found


def _inspect(data: bytes) -> Results:
    samples = _inspect_packed(data) if data[:2] == b"PK" else json.loads(data)["samples"]
    found: Results = {}
    for one in samples:
        scores = [score["value"] for score in (one.get("scores") or {}).values()]
        key = str(one["id"]), int(one.get("epoch", 1))
        found[key] = all(map(_is_right, scores)) if scores and not one.get("error") else None
    return found


def _inspect_packed(data: bytes) -> list[dict[str, Any]]:
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        names = [name for name in packed.namelist() if name.startswith("samples/")]
        if sum(packed.getinfo(name).file_size for name in names) > _MOST_BYTES:
            raise ValueError("it is too large")
        return [json.loads(packed.read(name)) for name in names]


def _is_right(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    return value >= 1 if isinstance(value, int | float) else _RIGHT[str(value)]


def _promptfoo(value: Mapping[str, Any], column: str | None) -> Results:
    results = value["results"]["results"] if isinstance(value["results"], dict) else value["results"]
    columns = {name for one in results for name in _columns(one)}
    if column is not None and column not in columns:
        raise UsageError(f"the file has no column {column!r}", hint=did_you_mean(column, sorted(columns)))
    found: Results = {}
    seen: dict[str, int] = {}
    for one in results:
        if column is not None and column not in _columns(one):
            continue
        task = str(one.get("testCase", {}).get("description") or one.get("description") or one.get("testIdx") or
                   json.dumps(one.get("vars", {}), sort_keys=True))  # fmt: skip
        seen[task] = seen.get(task, 0) + 1
        found[task, seen[task]] = None if _is_error(one) else bool(one["success"])
    return found


def _is_error(one: Mapping[str, Any]) -> bool:
    """Tell whether no check decided; what does not say why it failed has an error and nothing that was graded."""
    if "failureReason" in one:
        return bool(one["failureReason"] == _ERROR)
    return bool(one.get("error")) and not one.get("gradingResult")


def _columns(one: Mapping[str, Any]) -> set[str]:
    provider, prompt = one.get("provider") or {}, one.get("prompt") or {}
    named = provider if isinstance(provider, str) else provider.get("label") or provider.get("id")
    return {str(name) for name in (named, prompt.get("label"), one.get("promptId")) if name}


def paired(candidate: Results, against: Results) -> Pairs:
    """Return how the pairs that both have came out; raise `UsageError` when there is none."""
    both = [key for key in candidate.keys() & against.keys() if None not in (candidate[key], against[key])]
    if not both:
        raise UsageError("the two results have no task in common that both decided", hint="run the same for both sides")
    won = sum(bool(candidate[key]) and not against[key] for key in both)
    lost = sum(bool(against[key]) and not candidate[key] for key in both)
    return Pairs(won, lost, len(both) - won - lost)


def left_out(*sides: Results) -> int:
    """Return how many results an error ended."""
    return sum(passed is None for side in sides for passed in side.values())


def source(form: str, own: Results, other: Results) -> dict[str, Any]:
    """Return what the evidence says of where it is from; the hash is of the results, however a file writes them."""
    said = json.dumps([sorted([*key, passed] for key, passed in side.items()) for side in (own, other)])
    digest = hashlib.sha256(said.encode()).hexdigest()
    return {"tool": form, "sha256": digest, "tasks": sorted({task for task, _ in own})[:200], "model": None}

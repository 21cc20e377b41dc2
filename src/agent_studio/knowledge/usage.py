"""How often artifacts were used and when last: a journal of uses beside the state, counted on from where it was.

`ingest` appends to the journal, each use once; the index only mirrors the counts, so it can be lost and built anew.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from agent_studio.storage.folder import disk_faults

if TYPE_CHECKING:
    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.knowledge.base import KnowledgeBase
    from agent_studio.knowledge.counts import Used
    from agent_studio.storage.folder import Folder

JOURNAL = "artifact-uses.jsonl"
"""A line is `{eventId, timestamp, how (skill, agent, slash), name}`."""
COUNTS = "artifact-usage.json"
"""`{offset, counts{how{name: [count, last]}}}`: what the journal's first `offset` bytes say."""
_DOMAINS = {"skill": ("skill", "command"), "slash": ("command", "skill"), "agent": ("agent",)}
"""What a name can mean, by how it was used, the likelier first: the client lists commands as skills."""
_CHUNK_BYTES = 4 << 20

Counts = dict[str, dict[str, tuple[int, str]]]


def is_behind(root: EnvironmentRoot) -> bool:
    """Tell whether there are uses that are not counted yet."""
    status = root.state.status(JOURNAL)
    return status is not None and status.st_size != _counted(root.state)[0]


def follow(root: EnvironmentRoot, base: KnowledgeBase) -> list[Used]:
    """Count what is new, give all counts to the index, and return them; doing it twice changes nothing."""
    offset, counts = _counted(root.state)
    offset = _add(root.state, offset, counts)
    used = _resolved(counts, base)
    base.set_usage(used)
    root.state.replace(COUNTS, json.dumps({"offset": offset, "counts": counts}, ensure_ascii=False).encode() + b"\n")
    return used


def _counted(folder: Folder) -> tuple[int, Counts]:
    """Return what was counted; nothing where that is lost, damaged, or of a longer journal."""
    try:
        kept = json.loads(folder.read(COUNTS))
        offset = int(kept["offset"])
        counts: Counts = {
            how: {name: (int(count), str(last)) for name, (count, last) in names.items()}
            for how, names in kept["counts"].items()
        }
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return 0, {}
    status = folder.status(JOURNAL)
    return (0, {}) if status is None or offset > status.st_size else (offset, counts)


def _add(folder: Folder, offset: int, counts: Counts) -> int:
    """Count the journal's whole lines from an offset on; return where they end."""
    try:
        descriptor = folder.open(JOURNAL)
    except FileNotFoundError:
        return 0
    rest = b""
    try:
        with disk_faults(folder.path / JOURNAL):
            os.lseek(descriptor, offset, os.SEEK_SET)
            while chunk := os.read(descriptor, _CHUNK_BYTES):
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    offset += len(line) + 1
                    _count(line, counts)
    finally:
        os.close(descriptor)
    return offset


def _count(line: bytes, counts: Counts) -> None:
    try:
        use = json.loads(line)
        how, name, at = use["how"], use["name"], use["timestamp"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return
    if how not in _DOMAINS or not isinstance(name, str) or not isinstance(at, str):
        return
    names = counts.setdefault(how, {})
    before, last = names.get(name, (0, ""))
    names[name] = before + 1, max(last, at)


def _resolved(counts: Counts, base: KnowledgeBase) -> list[Used]:
    """Return the counts by the artifacts that the names mean; of names that mean none there is nothing to say."""
    found: dict[tuple[str, str], tuple[int, str]] = {}
    for how, names in counts.items():
        for name, (count, last) in names.items():
            entries = {entry.domain: entry.name for entry in base.get(name)}
            domain = next((one for one in _DOMAINS.get(how, ()) if one in entries), None)
            if domain is not None:
                before, when = found.get((entries[domain], domain), (0, ""))
                found[entries[domain], domain] = before + count, max(when, last)
    return [(name, domain, count, last) for (name, domain), (count, last) in sorted(found.items())]

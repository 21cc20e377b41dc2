"""What one run of ingest did, in figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Report:
    """Counts of one run; `busy` means that another process was ingesting and nothing was done."""

    events: int = 0
    """Lines of the inbox that were taken."""
    records: dict[str, int] = field(default_factory=dict)
    """Records written, by file name."""
    damaged: int = 0
    """Lines, payloads and figures that could not be used; lines and payloads are kept in `damaged-events.jsonl`."""
    unknown: int = 0
    """Events of a name we do not know; they are kept in `unknown-events.jsonl`."""
    cut: int = 0
    """Events of which the recorder kept only the start."""
    unrouted: int = 0
    """Events of an environment that this inbox is not for; they are moved to `unrouted.jsonl`."""
    altered: int = 0
    """Inbox files that somebody else cut or rewrote."""
    transcripts_missing: int = 0
    """Sessions and agents at work whose transcript was not to be read."""
    warmups: int = 0
    """The client's own warm-up agents, left out of the agent runs."""
    compactions: int = 0
    """The client's own compaction agents, left out as well."""
    telemetry: dict[str, int] = field(default_factory=dict)
    """OpenTelemetry logs, metrics and traces seen; what becomes a record is in `records`."""
    segments_removed: int = 0
    """Sealed files of the inbox that were read to their end and removed."""
    sealed: list[str] = field(default_factory=list)
    """Journals that were closed, by the names they have now."""
    budget_notices: list[dict[str, Any]] = field(default_factory=list)
    """Levels of budgets that the usage of this run has crossed."""
    index_faults: int = 0
    """Times the search index could not follow; it is tried again."""
    busy: bool = False
    seconds: float = 0.0

    @property
    def written(self) -> int:
        """Records of all files."""
        return sum(self.records.values())

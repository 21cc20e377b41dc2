"""Questions that found nothing, in `metrics/searches.jsonl`: what a project lacks, or does not say in these words.

Those of `kb search` and of agents are kept; not those of `--batch`, of pages (asked at each key) and of suggestions.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from agent_studio.errors import AgentStudioError

if TYPE_CHECKING:
    from agent_studio.environment.context import Context
    from agent_studio.knowledge.answers import Answer

_QUERY_MAX = 200


def keep(context: Context, answer: Answer, source: str) -> None:
    """Record a question without a hit; `source` is cli or mcp. What cannot be written is left out."""
    if answer.hits or not answer.query.text.strip():
        return
    from agent_studio import clock  # noqa: PLC0415 - only when nothing fits
    from agent_studio.records import Search, event_id  # noqa: PLC0415 - as above
    from agent_studio.redaction import redact  # noqa: PLC0415 - as above
    from agent_studio.storage import journal  # noqa: PLC0415 - as above

    folder = context.root.folder(Search.kind)
    if not folder.has_folder():
        return
    now = clock.now()
    query = answer.query
    said = redact(" ".join(query.text[: _QUERY_MAX * 4].split()))[:_QUERY_MAX]
    filters = {
        "domain": query.domain, "tags": list(query.tags), "complexity": query.complexity, "tools": list(query.tools),
        "deprecated": query.deprecated, "source": query.source,
    }  # fmt: skip
    record = Search(
        timestamp=clock.timestamp(now), query=said, filters={name: value for name, value in filters.items() if value},
        source=source, did_you_mean=redact(answer.did_you_mean) if answer.did_you_mean else None,
    )  # fmt: skip
    environment = str(context.environment)
    unique = event_id("search", environment, now.timestamp(), said)
    with suppress(AgentStudioError, OSError):
        journal.append(folder, Search.file, [record.to_line(event_id=unique, environment=environment)])

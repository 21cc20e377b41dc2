"""The generated test artifacts of staging: rows of the table that are searched only when asked, by themselves.

In one index with the real ones they would make common what is rare, and staging would rank unlike production.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from agent_studio.knowledge import index, schema, search, table
from agent_studio.knowledge.artifacts import Artifact

if TYPE_CHECKING:
    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.knowledge.answers import Answer


def added(root: EnvironmentRoot, answer: Answer) -> Answer:
    """Return an answer with the test artifacts that fit the same question among its hits."""
    with closing(index.in_memory()) as db:
        for number, row in enumerate(table.generated_rows(root), 1):
            schema.insert(db, number, _artifact(row))
        schema.finish(db)
        more = search.search(db, answer.query)
    hits = sorted((*answer.hits, *more.hits), key=lambda hit: (-hit.score, hit.entry.path))
    return answer._replace(
        hits=tuple(hits[: answer.query.limit]),
        did_you_mean=answer.did_you_mean if answer.hits or not more.hits else more.did_you_mean,
        fits=max(answer.fits, more.fits),
    )


def _artifact(row: table.Row) -> Artifact:
    text = {name: row[name] for name in ("name", "path", "description", "domain", "complexity", "use_cases", "tools")}
    return Artifact(
        **text, deprecated=False, alias="", tags="", headings="", body="", source="project", sha256=row["path"],
        size_bytes=0, mtime_ns=0, hidden=False, repairs=(),
    )  # fmt: skip

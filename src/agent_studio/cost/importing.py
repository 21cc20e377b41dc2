"""Filling the ledger from transcripts, so that history outlives them: the client deletes them after 30 days.

Only files that have changed since the last import are looked at. What the ledger holds already is not written again.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent_studio import clock
from agent_studio.cost import book, original, places, reconcile, transcripts
from agent_studio.cost.book import Told
from agent_studio.environment.context import other_roots
from agent_studio.environment.sharing import sharing
from agent_studio.records import LlmUsage, SessionEvent
from agent_studio.storage import journal, sealed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent_studio.cost.book import Book
    from agent_studio.cost.prices.table import PriceTable
    from agent_studio.cost.reconcile import Reconciliation
    from agent_studio.cost.table import Table
    from agent_studio.cost.transcripts import Reading
    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import EnvironmentRoot

_BATCH = 5_000
_LEDGER = "ledger"


@dataclass
class Imported:
    """What one import did."""

    reading: Reading
    responses: int = 0
    """Responses looked at: those of files that are new or have grown."""
    written: int = 0
    """Lines added to the ledger."""
    amended: int = 0
    """Of those, lines that amend one before: a response that had grown, a price that was not known then."""
    refused: int = 0
    """Lines of a ledger of the original's that are not as they were written."""
    elsewhere: set[str] = field(default_factory=set)
    """Sessions left out because they are not this environment's."""
    reconciliation: Reconciliation | None = None


def run(
    context: Context, folders: Sequence[str], prices: PriceTable, *, project: str | None, every_session: bool
) -> Imported:  # fmt: skip
    """Bring the ledger up to date with the transcripts in configuration folders.

    `project` is the path of the one project to take. Unless `every_session`, sessions that are known to be
    another environment's are left out; an environment with data of its own takes only those it has recorded.
    """
    roots = sharing(context)
    owner = next(iter(roots.values()))
    with transcripts.opened(context.root.state, folders, project) as told, book.opened(owner) as held:
        reading = transcripts.update(told, places.transcripts(folders, project), prices)
        done = Imported(reading)
        _renew(told, held)
        environments = None if every_session else _Sessions(context)
        batch: list[Told] = []
        for one in _fresh(told):
            done.responses += 1
            name = environments.of(one.session_id) if environments else str(context.environment)
            if name is None:
                done.elsewhere.add(one.session_id)
                continue
            batch.append(Told(one, name))
            if len(batch) >= _BATCH:
                _write(held, batch, roots, prices, done)
        _write(held, batch, roots, prices, done)
        batch = [Told(record, name) for record, name in held.unpriced() if name in roots]
        _write(held, batch, roots, prices, done)
        old = original.read(context.root)
        done.refused = old.refused
        _write(held, [Told(record, str(context.environment)) for record in old.records], roots, prices, done)
        held.mended()
        _taken(told, held, done.elsewhere)
        done.reconciliation = reconcile.run(told)
    return done


def _write(held: Book, batch: list[Told], roots: Any, prices: PriceTable, done: Imported) -> None:
    written, amended = held.record(batch, roots, prices)
    done.written += written
    done.amended += amended
    batch.clear()


def _taken(told: Table, held: Book, elsewhere: set[str]) -> None:
    """Note which files need not be looked at again: not those of sessions that another import may take."""
    told.db.execute(
        "UPDATE file SET is_taken = 1 WHERE id NOT IN ("
        "WITH spared AS (SELECT usage.id, origin FROM usage JOIN name ON name.id = session "
        "JOIN json_each(?) ON value = text) "
        "SELECT origin FROM spared UNION SELECT file FROM copy JOIN spared USING (id))",
        (json.dumps(sorted(elsewhere)),),
    )
    told.put_note(_LEDGER, held.identity)
    told.commit()


def _renew(told: Table, held: Book) -> None:
    """Look at every file again when the ledger is not the one that they were last taken into."""
    if told.note(_LEDGER) != held.identity:
        told.db.execute("UPDATE file SET is_taken = 0")


def _fresh(told: Table) -> Iterator[LlmUsage]:
    """Yield the responses of files that have changed since the last import, as records without a price."""
    texts = told.texts()
    rows = told.db.execute(
        "SELECT at_ms, session, model, agent, skill, project, input, output, cache_read, cache_write5m, "
        "cache_write1h, web_searches, tier, speed, region, message, request FROM usage "
        "WHERE origin IN (SELECT id FROM file WHERE NOT is_taken) OR usage.id "
        "IN (SELECT copy.id FROM copy JOIN file ON file.id = copy.file WHERE NOT is_taken) ORDER BY at_ms"
    ).fetchall()
    for at_ms, session, model, agent, skill, project, *counts, tier, speed, region, message, request in rows:
        given, said, read, short, long, searches = counts
        yield LlmUsage(
            timestamp=clock.of_ms(at_ms),
            session_id=texts[session] or "",
            request_id=request,
            message_id=message,
            provider="anthropic",
            model=texts[model] or "unknown",
            agent=texts[agent],
            skill=texts[skill],
            project=texts[project] or "",
            task_id=None,
            input_tokens=given,
            output_tokens=said,
            cache_read_tokens=read,
            cache_write5m_tokens=short,
            cache_write1h_tokens=long,
            web_searches=searches,
            service_tier=tier,
            speed=speed,
            region=region,
            cost_usd=None,
            price_source=None,
            source="transcript",
        )


class _Sessions:
    """Which environment a session belongs to, by the session logs."""

    def __init__(self, context: Context) -> None:
        self._own = str(context.environment)
        roots = sharing(context, SessionEvent.kind)
        self._known = _environments(next(iter(roots.values())))
        self._apart = len(roots) == 1
        self._others: set[str] = set()
        if not self._apart:
            for root in other_roots(context.project, context.environment):
                if str(root.environment) not in roots:
                    self._others |= set(_environments(root))

    def of(self, session: str) -> str | None:
        """Return the environment a session's usage belongs to, or None when that is not one of ours."""
        if session in self._known:
            return self._known[session]
        return None if self._apart or session in self._others else self._own


def _environments(root: EnvironmentRoot) -> dict[str, str]:
    folder, held = root.folder(SessionEvent.kind), {}
    folders = (folder, root.state.at(sealed.ARCHIVE))
    log = journal.read(folder, SessionEvent.file)  # before the sealed ones: what is sealed meanwhile is read twice
    for segment in sealed.found(SessionEvent.file, *folders):
        for line in sealed.lines(segment, *folders):
            with suppress(ValueError, RecursionError, AttributeError):
                record = json.loads(line)
                held[str(record.get("sessionId"))] = str(record.get("environment"))
    held.update((str(line.get("sessionId")), str(line.get("environment"))) for line in log.records)
    return held

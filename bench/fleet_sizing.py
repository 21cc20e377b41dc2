"""How large an engine a fleet needs: a model on top of what `fleet_bench` measured, and the tables of the page.

python -m bench.fleet_sizing --core-hour 0.04 --gigabyte-month 0.10
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script: the checkout is not on the path

from bench import fleet_fill, measure

from agent_studio.fleet.batch import encoded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FIGURES = Path(__file__).with_name("fleet_figures.json")
PAGE = measure.REPOSITORY / "docs/fleet-sizing.md"
NAMES = {"postgresql": "PostgreSQL", "clickhouse": "ClickHouse", "duckdb": "DuckDB, one machine's journals"}
LOADS = (1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
_HOURS_MONTH, _DAYS_MONTH, _DAY_S = 730, 30, 86_400
_ASKED_DAYS, _KEPT_DAYS, _OWN_SHARE = 30, 90, 0.5
"""What the question behind `Engine.read_s` looks back, of how many days there are records, and of which share."""


class Engine(NamedTuple):
    """What one event costs in an engine, as measured."""

    cpu_s: float
    """Of the server, for a million records kept."""
    bytes: float
    """On the disk with indexes, for one record."""
    base_s: float
    """To answer the summary of a day that holds next to nothing."""
    read_s: float
    """And for a million records that a question is about."""
    cores: int
    """Of the machine that answered."""


class Plan(NamedTuple):
    """What is assumed of a fleet."""

    peak: float = 4
    """The busiest hour, to the mean of the day."""
    busy: float = 0.5
    """Of a core, in the busiest hour."""
    retention_days: int = 90
    copies: int = 2
    full: float = 0.7
    """Of a disk."""
    questions_day: int = 20_000
    """Summaries of a day that are asked in a day, each of the largest project."""
    largest: float = 0.05
    """The largest project's share of all records."""
    machine_cores: int = 32
    machine_bytes: float = 8e12
    answer_s: float = 5
    """How long the summary of the largest project may take."""
    core_hour: float = 0.04
    gigabyte_month: float = 0.10


class Need(NamedTuple):
    """What an engine needs for so many events a day."""

    cores: float
    """Of all copies."""
    disk_bytes: float
    """Of all copies, with room."""
    machines: int
    answer_s: float
    cost_month: float
    cost_million: float


def need(engine: Engine, events_day: int, plan: Plan) -> Need:
    """Work out what a fleet needs.

    keep = events/86400 * peak * cpu_s/1e6 / busy, on every copy
    answer_s = base_s + read_s * events * largest / 1e6
    read = questions/86400 * peak * answer_s * cores / busy, on one copy; an answer is taken to have used all cores
    disk = events * retention * bytes / full, on every copy
    """
    keep = events_day / _DAY_S * plan.peak * engine.cpu_s / 1e6 / plan.busy
    answer_s = engine.base_s + engine.read_s * events_day * plan.largest / 1e6
    read = plan.questions_day / _DAY_S * plan.peak * answer_s * engine.cores / plan.busy
    cores = max(keep * plan.copies + read, 2.0 * plan.copies)
    disk = events_day * plan.retention_days * engine.bytes / plan.full * plan.copies
    each = math.ceil(max(cores / plan.copies / plan.machine_cores, disk / plan.copies / plan.machine_bytes))
    month = cores * plan.core_hour * _HOURS_MONTH + disk / 1e9 * plan.gigabyte_month
    return Need(cores, disk, each * plan.copies, answer_s, month, month / (events_day / 1e6 * _DAYS_MONTH))


def measured(figures: Sequence[Mapping[str, Any]], engine: str) -> Engine:
    """Return what an event costs, from the run with the most rows; what any answer costs, from that with the fewest."""
    of_it = sorted((one for one in figures if one["engine"] == engine), key=lambda one: one["rows"])
    least, found = of_it[0], of_it[-1]
    sent = found["inserted_when_full"]
    cpu_s = sent["server_cpu_s"] if sent["server_cpu_s"] is not None else sent["sender_cpu_s"]
    asked = found["rows"] * _ASKED_DAYS / _KEPT_DAYS * _OWN_SHARE / 1e6
    grown = found["inserted_bytes"] if engine == "postgresql" else 0  # indexes that grew row by row have gaps
    base_s, read_s = least["questions"]["summary, 24 h"]["then_s"], found["questions"]["trends, 30 days"]["then_s"]
    return Engine(cpu_s, max(found["bytes"], grown), base_s, read_s / asked, found["cores"])


def keep(found: dict[str, Any]) -> None:
    """Keep a run's figures in place of those of the same engine and rows."""
    figures = [one for one in kept() if (one["engine"], one["rows"]) != (found["engine"], found["rows"])]
    figures = sorted([*figures, found], key=lambda one: (list(NAMES).index(one["engine"]), one["rows"]))
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def kept() -> list[dict[str, Any]]:
    """Return the figures that are kept."""
    found: list[dict[str, Any]] = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else []
    return found


def write() -> None:
    """Write the page's tables anew."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), kept()), encoding="utf-8")


def page(text: str, figures: Sequence[Mapping[str, Any]], plan: Plan | None = None) -> str:
    """Return the page with its tables of these figures."""
    for name, made in (
        ("conditions", _conditions(figures)), ("ingest", _ingest(figures)), ("questions", _questions(figures)),
        ("inputs", _inputs(figures)), ("model", model(figures, plan or Plan())), ("stream", _stream(figures)),
    ):  # fmt: skip
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        head, _, rest = text.partition(start)
        text = f"{head}{start}\n{made}\n{end}{rest.partition(end)[2]}"
    return text


def model(figures: Sequence[Mapping[str, Any]], plan: Plan) -> str:
    """Return the table of what fleets need."""
    rows = []
    for events in LOADS:
        for name in ("postgresql", "clickhouse"):
            found = need(measured(figures, name), events, plan)
            fits = name != "postgresql" or (found.machines <= plan.copies and found.answer_s <= plan.answer_s)
            rows.append((
                f"{events:,}", NAMES[name], f"{found.machines}" if fits else "not one server",
                f"{found.cores:,.0f}", _sized(found.disk_bytes), _answer(found.answer_s), f"{found.cost_month:,.0f}",
                f"{found.cost_million:,.2f}",
            ))  # fmt: skip
    headings = (
        "events a day",
        "engine",
        "machines",
        "cores",
        "disk",
        "summary of a day",
        "a month",
        "a million events",
    )
    return measure.table(headings, rows)


def _conditions(figures: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (NAMES[one["engine"]], one["version"], f"{one['rows']:,}", one["date"], f"{one['load'][0]} to {one['load'][1]}")
        for one in figures
    ]
    machines = "; ".join(sorted({one["machine"] for one in figures}))
    return f"{machines} (Python)\n\n" + measure.table(("engine", "version", "rows", "when", "load"), rows)


def _ingest(figures: Sequence[Mapping[str, Any]]) -> str:
    ways = {"inserted": "batches of 5,000 into a new engine", "inserted_when_full": "the same, once it is full",
            "shipped": "`fleet ship --once`", "streamed": "`fleet ship --once`, stream, `fleet drain`"}  # fmt: skip
    rows = []
    for one in figures:
        for way, name in ways.items():
            if found := one.get(way):
                shown = (found["sender_cpu_s"], found["stream_cpu_s"], found["drain_cpu_s"], found["server_cpu_s"])
                bytes_each = (
                    one["inserted_bytes"] if way == "inserted" else one["bytes"] if way[-4:] == "full" else None
                )
                rows.append((
                    NAMES[one["engine"]], f"{one['rows']:,}", name, f"{found['rows_s']:,.0f}", *map(_seconds, shown),
                    "" if bytes_each is None else f"{bytes_each:,.0f}",
                    "" if found["wal_bytes"] is None else f"{found['wal_bytes'] / 1e6:,.0f}",
                ))  # fmt: skip
    headings = (
        "engine", "rows in the end", "way", "records a second", "sender", "stream", "drain", "server", "MB on disk",
        "MB of WAL",
    )  # fmt: skip
    return measure.table(headings, rows)


def _questions(figures: Sequence[Mapping[str, Any]]) -> str:
    shown = [one for one in figures if one.get("questions")]
    base: Mapping[str, Any] = next((one["questions"] for one in shown if one["engine"] == "duckdb"), {})
    rows = []
    for name in shown[0]["questions"] if shown else ():
        cells = []
        for one in shown:
            cell = f"{one['questions'][name]['then_s'] * 1e3:,.0f} ms"
            if base and one["engine"] != "duckdb" and one["rows"] == 1_000_000:
                cell += f" ({one['questions'][name]['then_s'] / base[name]['then_s']:.2g} x)"
            cells.append(cell)
        rows.append((name, *cells))
    headings = [f"{NAMES[one['engine']].partition(',')[0]}, {one['rows'] // 1_000_000:,} M" for one in shown]
    return measure.table(("question", *headings), rows)


def _inputs(figures: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for name in ("postgresql", "clickhouse"):
        found = measured(figures, name)
        rows.append(
            (NAMES[name], f"{found.cpu_s:.1f}", f"{found.bytes:,.0f}", f"{found.base_s:.2f}", f"{found.read_s:.2f}")
        )
    headings = ("engine", "`cpu_s` for a million", "`bytes` for one", "`base_s`", "`read_s` for a million")
    return measure.table(headings, rows)


def _stream(figures: Sequence[Mapping[str, Any]]) -> str:
    found = max((one["streamed"] for one in figures if one.get("streamed")), key=lambda one: float(one["rows_s"]))
    (batch,) = fleet_fill.batches(5_000, 5_000, 1, 1_790_000_000_000)
    each = len(encoded(batch)) / batch.size
    rows = []
    for events in LOADS:
        cores = events / _DAY_S * Plan().peak / Plan().busy / 1e6
        rows.append((
            f"{events:,}", f"{events * each * 3 / Plan().full / 1e9:,.1f} GB",
            f"{events / _DAY_S * Plan().peak * each / 1e6:,.2f}",
            f"{cores * found['stream_cpu_s'] * 3:,.1f}", f"{cores * found['drain_cpu_s']:,.1f}",
        ))  # fmt: skip
    headings = ("events a day", "disk of three servers, for a day without a drain", "MB a second at the peak",
                "cores of three servers", "cores of drains")  # fmt: skip
    return f"A record is {each:.0f} bytes of a message.\n\n" + measure.table(headings, rows)


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f} s"


def _answer(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds >= 10 else f"{seconds:.1g} s" if seconds < 1 else f"{seconds:.1f} s"


def _sized(size_bytes: float) -> str:
    return f"{size_bytes / 1e12:,.1f} TB" if size_bytes >= 1e12 else f"{size_bytes / 1e9:,.0f} GB"


def main(argv: Sequence[str] | None = None) -> int:
    """Print the model's table for other assumptions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in Plan()._asdict().items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    print(model(kept(), Plan(**vars(parser.parse_args(argv)))))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`cost report`: from the ledger, or straight from transcripts."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from agent_studio.cli import records_from
from agent_studio.cli.cost import selection
from agent_studio.cli.cost.ledger_state import ledger_problems
from agent_studio.cli.output import Problem, Result, harmless
from agent_studio.cost import periods, places, pricing, transcripts
from agent_studio.cost.report import DIMENSIONS, Report, data_of_block, report, running_block
from agent_studio.environment.sharing import sharing
from agent_studio.errors import ExitCode, UsageError, did_you_mean

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from agent_studio.cli.cost.selection import Range
    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.cost.book import Book
    from agent_studio.cost.periods import Zone
    from agent_studio.cost.reconcile import Reconciliation
    from agent_studio.cost.report import Sum
    from agent_studio.cost.table import Table

_DEFAULT = ("day", "model")
_BAR = 10
_ID_SHOWN = 8
_WIDE = 100
"""Columns of a terminal that has room for bars."""
_NUMBERS = ("input", "output", "written", "read", "USD", "share")
"""Cache writes and reads by one word each."""
_PLAIN = re.compile(r"-[A-Za-z0-9-]*")
"""How the client names projects."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--by",
        metavar="LIST",
        help=f"what to sum by, from outer to inner: {', '.join(DIMENSIONS)} (default: day,model)",
    )
    parser.add_argument("--by-model", action="store_true", help="the same as --by model")
    parser.add_argument("--session", metavar="ID", help="one session, or those whose id starts so")
    parser.add_argument(
        "--source",
        choices=("ledger", "transcripts"),
        default="ledger",
        help="where responses are read from (default: ledger)",
    )
    records_from.configure(parser)
    parser.add_argument("--all-environments", action="store_true", help="all that share this ledger")
    parser.add_argument(
        "--verify", action="store_true", help="check the ledger's chain first; exit 8 when it is broken"
    )
    parser.add_argument("--csv", action="store_true", help="print comma-separated values")
    selection.add_folders(parser)
    selection.add_range(parser)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Sum, and show."""
    by = _dimensions(args)
    where = periods.zone(args.timezone)
    found = _Found(by, where, selection.chosen_range(args, where))
    code = ExitCode.DONE
    if records_from.is_fleet(args):
        _from_fleet(args, session, found)
    elif args.source == "transcripts":
        _from_transcripts(args, session, found)
    elif args.config_dir or args.all_projects:
        raise UsageError("--config-dir and --all-projects are for transcripts", hint="add --source transcripts")
    else:
        _from_ledger(args, session, found)
    data: dict[str, Any] = {"source": args.source, "from": args.records_from, **found.data}
    if args.verify and args.source == "ledger":
        from agent_studio.cli.cost import verify  # noqa: PLC0415 - only when asked for

        verdict = verify.verified(session.context)
        data["verify"], code = verdict.to_json(), verify.code_of(verdict)
        found.problems += verify.problems(verdict)
    made, fill = found.made, f"agent-studio cost import --env {session.choice.environment}"
    return Result(data, lambda screen: _render(screen, made, data, args, fill), code, found.problems)


class _Found:
    """What is reported, as it is put together."""

    def __init__(self, by: tuple[str, ...], where: Zone, chosen: Range) -> None:
        self.by, self._where, self._range = by, where, chosen
        self.data: dict[str, Any] = {}
        self.problems: list[Problem] = []

    @property
    def since_ms(self) -> int:
        """From when on usage is asked for; blocks follow from all of it."""
        return 0 if "block" in self.by else self._range.since_ms or 0

    @property
    def until_ms(self) -> int | None:
        """Until when."""
        return None if "block" in self.by else self._range.until_ms

    def sum(self, table: Table, only: Mapping[str, Any]) -> None:
        """Sum what is in the range, and the block that is running."""
        table.roll_up()
        chosen = self._range
        self.made = report(table, self.by, self._where, since_ms=chosen.since_ms, until_ms=chosen.until_ms, only=only)
        block = _block(table, self.by, only)
        self.data |= self.made.data() | ({"runningBlock": block} if block else {})


def _from_transcripts(args: argparse.Namespace, session: Session, found: _Found) -> None:
    context = session.context
    chosen = selection.folders(args, session)
    with transcripts.opened(context.root.state, *chosen) as table:
        reading = transcripts.update(table, places.transcripts(*chosen), pricing.table(context))
        found.problems += reading_problems(reading)
        found.data["transcripts"] = reading_data(reading)
        found.sum(table, _only(args, table, None))
        if "session" in found.by or args.session:
            from agent_studio.cost import reconcile  # noqa: PLC0415 - where sessions are shown

            compared = reconcile.run(table)
            found.data["reconciliation"] = reconciliation_data(compared)
            found.problems += reconciliation_problems(compared)


def _from_ledger(args: argparse.Namespace, session: Session, found: _Found) -> None:
    from agent_studio.cost import book  # noqa: PLC0415 - not for transcripts

    context = session.context
    every = args.all_environments or "environment" in found.by

    def read(held: Book) -> tuple[bool, int]:
        found.sum(held.table, _only(args, held.table, None if every else str(context.environment)))
        return held.moved, held.damaged

    moved, damaged = book.ask(next(iter(sharing(context).values())), read)
    found.problems += ledger_problems(moved=moved, damaged=damaged)


def _from_fleet(args: argparse.Namespace, session: Session, found: _Found) -> None:
    from agent_studio.monitor import usage  # noqa: PLC0415 - only for those who ask for it

    if args.source == "transcripts" or args.config_dir or args.all_projects:
        raise UsageError("transcripts are this machine's own", hint="leave --from fleet out")
    if args.verify:
        raise UsageError("--verify is about this machine's ledger", hint="leave --from fleet out")
    every = args.all_environments or "environment" in found.by
    names = {name for name in found.by if not DIMENSIONS[name].is_time} | {"environment"}
    columns = sorted(names | ({"session"} if args.session is not None else set()))
    with (
        records_from.chosen(args, session),
        usage.opened(session.context, columns, found.since_ms, found.until_ms, every=every) as table,
    ):
        found.sum(table, _only(args, table, None if every else str(session.context.environment)))


def _dimensions(args: argparse.Namespace) -> tuple[str, ...]:
    if args.by is not None and args.by_model:
        raise UsageError("--by and --by-model both say what to sum by", hint="keep one of them")
    names = (
        ["model"] if args.by_model else _DEFAULT if args.by is None else [part.strip() for part in args.by.split(",")]
    )
    for name in names:
        if name not in DIMENSIONS:
            raise UsageError(f"cannot sum by {name!r}", hint=did_you_mean(name, DIMENSIONS))
    if len(set(names)) < len(names):
        raise UsageError(f"--by {args.by} names something twice", hint="name each once, from outer to inner")
    if sum(name == "block" for name in names) and len([name for name in names if DIMENSIONS[name].is_time]) > 1:
        raise UsageError("5-hour blocks do not fit into days", hint="--by block, alone or with model")
    return tuple(names)


def _only(args: argparse.Namespace, table: Table, environment: str | None) -> dict[str, Any]:
    only: dict[str, Any] = {} if environment is None else {"environment": environment}
    if args.session is not None:
        only["session"] = _session(table, args.session)
    return only


def _session(table: Table, start: str) -> str:
    if not start:
        raise UsageError("--session without an id", hint="list them: agent-studio cost report --by session")
    rows = table.db.execute(
        "SELECT text FROM name WHERE substr(text, 1, ?) = ? AND id IN (SELECT session FROM usage) LIMIT 3",
        (len(start), start),
    ).fetchall()
    found = [str(row[0]) for row in rows]
    if start in found:
        return start
    if len(found) != 1:
        what = "no session's id starts with" if not found else "more than one session's id starts with"
        raise UsageError(f"{what} {start!r}", hint="list them: agent-studio cost report --by session")
    return found[0]


def _block(table: Table, by: tuple[str, ...], only: Mapping[str, Any]) -> dict[str, Any] | None:
    found = running_block(table, int(time.time() * 1000), only) if "block" in by else None
    return None if found is None else data_of_block(found)


def reading_data(reading: transcripts.Reading) -> dict[str, Any]:
    """Return what was found in transcripts, as JSON has it."""
    return {
        "files": reading.files, "changed": reading.changed, "unreadable": len(reading.unreadable),
        "refusedLines": reading.refused, "damagedLines": reading.damaged, "tornFiles": reading.torn,
    }  # fmt: skip


def reading_problems(reading: transcripts.Reading) -> list[Problem]:
    """Return what in transcripts could not be counted."""
    found = []
    if reading.refused:
        what = "lines of transcripts have token counts that cannot be (negative, absurd, no whole numbers): not counted"
        found.append(Problem("refused", f"{reading.refused} {what}"))
    if reading.damaged:
        found.append(Problem("damaged", f"{reading.damaged} lines of transcripts with usage are no JSON: not counted"))
    if reading.torn:
        found.append(
            Problem("torn", f"{reading.torn} transcripts end in the middle of a line", "counted once it is whole")
        )
    if reading.unreadable:
        found.append(
            Problem("unreadable", f"{len(reading.unreadable)} transcripts cannot be read", reading.unreadable[0])
        )
    return found


def reconciliation_data(compared: Reconciliation) -> dict[str, Any]:
    """Return how our count compares with the client's, as JSON has it."""
    return {
        "sessions": compared.sessions, "agreed": compared.agreed,
        "differences": [difference._asdict() for difference in compared.differences],
    }  # fmt: skip


def reconciliation_problems(compared: Reconciliation) -> list[Problem]:
    """Return where our count is not the client's."""
    different = compared.sessions - compared.agreed
    if not different:
        return []
    first = compared.differences[0]
    said = f"{first.session} {first.model} {first.field}: ours {first.ours}, the client's {first.client}"
    return [Problem("differs", f"the client counts otherwise in {different} of {compared.sessions} sessions", said)]


def _render(screen: Screen, made: Report, data: dict[str, Any], args: argparse.Namespace, fill: str) -> None:
    """Draw a report; `fill` is the command that fills the ledger."""
    if args.csv:
        _csv(screen, made)
        return
    rows = list(made.rows())
    if "verify" in data:
        screen.mark("ok" if data["verify"]["verdict"] == "PASS" else "bad", f"ledger: {data['verify']['verdict']}")
    if not rows:
        screen.line("no usage in this range")
        if data["from"] == records_from.FLEET:
            screen.line("see what machines have sent: agent-studio fleet status")
        elif data["source"] == "ledger":
            screen.line(f"fill the ledger from transcripts: {fill}")
        return
    dearest = max((total.pico_usd for _, total in rows), default=0)
    shown: list[tuple[object, ...]] = []
    last: tuple[str | None, ...] = (None,) * len(made.by)
    for keys, total in rows:
        same = 0
        while same < len(keys) - 1 and keys[same] == last[same] and shown:
            same += 1
        named = ["" if at < same else _name(made.by[at], key) for at, key in enumerate(keys)]
        shown.append((*named, *_cells(total, made.total, dearest, screen)))
        last = keys
    shown.append(("total", *("" for _ in made.by[1:]), *_cells(made.total, made.total, 0, screen)))
    wide = screen.width >= _WIDE
    headings = (*made.by, *_NUMBERS, *([""] if wide else []))
    screen.table(headings, shown if wide else [row[:-1] for row in shown], numbers=_NUMBERS)
    _notes(screen, made, data)


def _notes(screen: Screen, made: Report, data: dict[str, Any]) -> None:
    if made.total.unpriced:
        screen.line(
            f"{made.total.unpriced:,} tokens have no price: agent-studio cost report --by model, cost prices show"
        )
    block = data.get("runningBlock")
    if block:
        screen.line(
            f"running block until {block['end']}: {block['tokensPerMinute']:,.0f} tokens/min, "
            f"${block['usdPerHour']:.2f}/h, leads to ${block['projectedUsd']:.2f}"
        )
    if data["from"] == records_from.FLEET:
        screen.line("all machines of the project, from the fleet")
    screen.line(f"written to and read from the cache; USD at list prices; times in {made.zone.name}")


def _name(dimension: str, key: str | None) -> str:
    if key is None:
        return "(main)" if dimension == "agent" else "-"
    return key[:_ID_SHOWN] if dimension == "session" and len(key) == 36 else key  # noqa: PLR2004 - a UUID


def _cells(total: Sum, whole: Sum, dearest: int, screen: Screen) -> tuple[str, ...]:
    share = total.pico_usd / whole.pico_usd if whole.pico_usd else total.tokens / max(whole.tokens, 1)
    length = round(_BAR * total.pico_usd / dearest) if dearest else 0
    price = "no price" if not total.is_priced else f"{total.pico_usd / 1e12:,.4f}" + ("+" if total.unpriced else "")
    return (
        *(_short(count) for count in (
            total.input, total.output, total.cache_write5m + total.cache_write1h, total.cache_read,
        )),
        price, f"{share:.0%}", ("█" if screen.unicode else "#") * length,
    )  # fmt: skip


def _short(count: int) -> str:
    """Return a count that fits a column: exact up to 99,999, then thousands and millions."""
    for limit, unit, divisor in ((100_000, "", 1), (100_000_000, "k", 1_000), (100_000_000_000, "M", 1_000_000)):
        if count < limit:
            return f"{count // divisor:,}{unit}"
    return f"{count / 1e9:,.1f}G"


def _csv(screen: Screen, made: Report) -> None:
    import csv  # noqa: PLC0415 - only for this form
    import io  # noqa: PLC0415

    from agent_studio.cost.money import usd_text  # noqa: PLC0415

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    figures = ("responses", "input_tokens", "output_tokens", "cache_write_tokens", "cache_write_1h_tokens",
               "cache_read_tokens", "web_searches", "usd", "unpriced_tokens")  # fmt: skip
    writer.writerow((*(DIMENSIONS[name].key for name in made.by), *figures))
    for keys, total in made.rows():
        writer.writerow((
            *("" if key is None else _harmless(key) for key in keys), total.responses, total.input, total.output,
            total.cache_write5m + total.cache_write1h, total.cache_write1h, total.cache_read, total.web_searches,
            usd_text(total.pico_usd) if total.is_priced else "", total.unpriced,
        ))  # fmt: skip
    screen.block(text.getvalue().rstrip("\n"))


def _harmless(text: str) -> str:
    """Return a name that no spreadsheet takes for a formula, and no terminal for a command."""
    text = harmless(text)
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} and not _PLAIN.fullmatch(text) else text

"""`cost prices`: what a model costs, a newer table, prices of one's own."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_studio import log
from agent_studio.cli.output import Problem, Result, working
from agent_studio.cost.prices import overrides
from agent_studio.errors import ExitCode, StorageError, UsageError, did_you_mean

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.cost.prices.table import PriceTable, Rates

_FIELDS = tuple(overrides.FIELDS)
_HEADINGS = ("input", "output", "read", "write 5m", "write 1h", "search")
_PER_MILLION, _PER_THOUSAND = 1_000_000, 1_000_000_000
"""From pico-USD a token or search to USD a million tokens, and a thousand searches."""
_REQUESTS: dict[str, dict[str, str]] = {
    "standard": {}, "batch": {"service_tier": "batch"}, "fast": {"speed": "fast"}, "us": {"region": "us"},
}  # fmt: skip
_TIMEOUT_SECONDS = 30
_URL = "https://raw.githubusercontent.com/pydantic/genai-prices/refs/heads/main/prices/new_data/v2/data.json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(dest="action", metavar="SUBCOMMAND", required=True)
    show = actions.add_parser("show", help="the prices of a model, or of all Claude models today")
    show.add_argument("model", nargs="?", metavar="MODEL", help="as it stands in a transcript or in a provider's API")
    _add_provider(show)
    show.set_defaults(does=_show)
    newer = actions.add_parser("update", help="compile a newer table; what models cost until today is kept")
    newer.add_argument("--file", metavar="DATA", help="data of genai-prices from a file, not from the network")
    newer.add_argument("--url", metavar="URL", default=_URL, help="where it is fetched from")
    newer.add_argument("--any-change", action="store_true", help="take prices that change more than ten times, too")
    newer.set_defaults(does=_update)
    own = actions.add_parser("override", help="write a price of your own, or a discount, to the configuration")
    own.add_argument("model", metavar="MODEL", help="a model's name, or the start of names and *")
    for field in _FIELDS:
        own.add_argument(f"--{_option(field)}", dest=field, type=float, metavar="USD", help=_unit(field))
    own.add_argument("--factor", type=float, metavar="FACTOR", help="on the list's prices: 0.85 takes 15 per cent off")
    own.add_argument("--from", dest="since", metavar="DAY", help="from which day on, UTC (default: always)")
    own.add_argument("--remove", action="store_true", help="take your own prices of this model out again")
    _add_provider(own)
    own.set_defaults(does=_override)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Do one action."""
    result: Result = args.does(args, session)
    return result


def _add_provider(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--provider", default="anthropic", metavar="NAME", help="who bills it (default: anthropic)")


def _option(field: str) -> str:
    name = field.removesuffix("Usd")
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name)


def _unit(field: str) -> str:
    return "USD per 1,000 searches" if field == "webSearchUsd" else "USD per million tokens"


def _show(args: argparse.Namespace, session: Session) -> Result:
    from agent_studio.cost import pricing  # noqa: PLC0415 - only what the chosen action needs

    table = pricing.table(session.context)
    data: dict[str, Any] = {"source": table.source, "models": len(table.models)}
    if args.model is None:
        listed = sorted({name for provider, name in table.models if provider == args.provider})
        rows = [(name, rates) for name in listed if (rates := _today(table.rates(name, provider=args.provider)))]
        data["prices"] = [{"model": name, **_prices(rates.base)} for name, rates in rows]
        return Result(data, lambda screen: _render_all(screen, data), ExitCode.DONE if rows else ExitCode.FAILED)
    found = table.find(args.model, args.provider)
    entries = [
        {"request": request, **entry}
        for request, how in _REQUESTS.items()
        for rates in table.rates(args.model, provider=args.provider, **how)
        for entry in _entries(rates)
    ]
    data |= {"model": args.model, "id": found and found["id"], "retired": found and found.get("retired")}
    data["prices"] = entries if found and found.get("usPercent") else [e for e in entries if e["request"] != "us"]
    problems = []
    if not entries:
        hint = did_you_mean(args.model, [name for provider, name in table.models if provider == args.provider])
        problems.append(
            Problem("no-price", f"{args.model} has no price: its tokens are counted, its cost is null", hint)
        )
    return Result(
        data, lambda screen: _render_one(screen, data), ExitCode.DONE if entries else ExitCode.FAILED, problems
    )


def _today(known: tuple[Rates, ...]) -> Rates | None:
    day = (datetime.now(UTC).date() - date(1970, 1, 1)).days
    return next((rates for rates in reversed(known) if rates.from_day <= day), None)


def _entries(rates: Rates) -> Iterator[dict[str, Any]]:
    since = None if not rates.from_day else str(date(1970, 1, 1) + timedelta(days=rates.from_day))
    for above, listed in ((None, rates.base), *reversed(rates.above)):
        yield {"from": since, "aboveTokens": above, **_prices(listed), "source": rates.source}


def _prices(listed: tuple[int | None, ...]) -> dict[str, float | None]:
    return {
        field: None if rate is None else rate / (_PER_THOUSAND if field == "webSearchUsd" else _PER_MILLION)
        for field, rate in zip(_FIELDS, listed, strict=True)
    }


def _render_all(screen: Screen, data: dict[str, Any]) -> None:
    screen.table(("model", *_HEADINGS), [_cells(entry, "model") for entry in data["prices"]], numbers=_HEADINGS)
    screen.line(f"USD per million tokens, searches per 1,000, as of today; {data['source']}, {data['models']:,} models")


def _render_one(screen: Screen, data: dict[str, Any]) -> None:
    if not data["prices"]:
        screen.mark("none", f"{data['model']}: no price")
        return
    retired = f", retired {data['retired']}" if data["retired"] else ""
    screen.line(f"{data['model']} is billed as {data['id'] or data['model']}{retired}")
    rows = []
    for entry in data["prices"]:
        above = f"> {entry['aboveTokens']:,}" if entry["aboveTokens"] else ""
        rows.append((entry["request"], entry["from"] or "", above, *_cells(entry), entry["source"]))
    sources = {entry["source"] for entry in data["prices"]}
    headings = ("request", "from", "size", *_HEADINGS)
    used = [at for at in range(len(headings)) if any(row[at] for row in rows)]
    shown = [[row[at] for at in used] for row in rows]
    screen.table([headings[at] for at in used], shown, numbers=("size", *_HEADINGS))
    screen.line(f"USD per million tokens, searches per 1,000; {', '.join(sorted(sources))}")


def _cells(entry: dict[str, Any], *before: str) -> list[object]:
    return [
        *(entry[name] for name in before),
        *("-" if entry[name] is None else f"{entry[name]:g}" for name in _FIELDS),
    ]


def _update(args: argparse.Namespace, session: Session) -> Result:
    from agent_studio.cost import pricing  # noqa: PLC0415 - only what the chosen action needs
    from agent_studio.cost.prices import update  # noqa: PLC0415

    context = session.context
    before = pricing.listed(context)
    today = datetime.now(UTC).date()
    data = _read(args.file) if args.file else _fetched(args.url)
    table = update.updated(data, before, source=f"genai-prices of {today}", today=today, any_change=args.any_change)
    known = set(before.models)
    fresh = [name for provider, name in table.models if (provider, name) not in known and provider == "anthropic"]
    both = [name for provider, name in before.models if provider == "anthropic"]
    changed = [name for name in both if _newest(before, name) != _newest(table, name)]
    context.root.state.make()
    context.root.state.replace(pricing.UPDATED, table.data)
    told = {"source": table.source, "models": len(table.models), "added": fresh, "changed": changed}
    log.info(context, "prices.updated", models=len(table.models), added=len(fresh), changed=len(changed))
    return Result(told, lambda screen: _render_update(screen, told))


def _newest(table: PriceTable, name: str) -> Any:
    """Return a model's newest price, without the list's name, by which every list differs."""
    return next((rates._replace(source="") for rates in reversed(table.rates(name))), None)


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}", hint="name a file with the data of genai-prices") from None


def _fetched(url: str) -> bytes:
    import urllib.request  # noqa: PLC0415 - only to fetch

    from agent_studio.cost.prices.update import SIZE_MAX_BYTES  # noqa: PLC0415

    if not url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
        raise UsageError(f"{url} is not fetched", hint="give an https address")
    try:
        with working("fetching prices"), urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - checked above
            data: bytes = answer.read(SIZE_MAX_BYTES + 1)
    except OSError as error:
        raise StorageError(
            f"{url} cannot be fetched: {error}",
            hint="fetch it elsewhere, then: agent-studio cost prices update --file DATA",
        ) from None
    return data


def _render_update(screen: Screen, told: dict[str, Any]) -> None:
    screen.mark("ok", f"{told['models']:,} models, {told['source']}")
    for word, names in (("new", told["added"]), ("changed", told["changed"])):
        if names:
            screen.line(f"  {word}: {', '.join(names)}")


def _override(args: argparse.Namespace, session: Session) -> Result:
    context = session.context
    kept = [dict(entry) for entry in context.config["cost.prices"] or ()]
    name = args.model.strip().lower()
    same = (name, args.provider, args.since)
    rest = [
        entry for entry in kept
        if (str(entry.get("model")).lower(), entry.get("provider", "anthropic"), _or_text(entry.get("from"))) != same
    ]  # fmt: skip
    entry = {
        "model": args.model,
        "provider": None if args.provider == "anthropic" else args.provider,
        "from": args.since,
    }
    entry |= {field: getattr(args, field) for field in (*_FIELDS, "factor")}
    entry = {field: value for field, value in entry.items() if value is not None}
    if args.remove:
        if len(rest) == len(kept):
            raise UsageError(
                f"there is no price of yours for {args.model}", hint="agent-studio config explain cost.prices"
            )
        wanted = rest
    else:
        if wrong := overrides.faults(entry):
            raise UsageError(f"cost prices override: {wrong[0]}", hint="agent-studio cost prices override --help")
        wanted = [*rest, entry]
    from agent_studio.environment.change import changed_file  # noqa: PLC0415 - only what the chosen action needs

    with changed_file(context, {"cost.prices": wanted}):
        pass
    log.info(context, "configuration.changed", key="cost.prices", entries=len(wanted))
    data = {"prices": wanted, "removed": bool(args.remove)}
    does = "no price of yours any more" if args.remove else "has your price"
    return Result(
        data, lambda screen: screen.mark("ok", f"{args.model} {does}; it holds for what is recorded from now on")
    )


def _or_text(value: Any) -> str | None:
    return None if value is None else str(value)

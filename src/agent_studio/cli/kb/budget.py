"""`kb budget`: which descriptions the client's listing budget hides from the model, and what to shorten."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Result, harmless, working
from agent_studio.errors import ExitCode, UsageError
from agent_studio.knowledge import listing

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.knowledge.listing import Offer, Plan

_SHOWN = 15


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--context", type=int, metavar="TOKENS", help=f"the model's context (default: {listing.CONTEXT_TOKENS:,})"
    )
    parser.add_argument("--budget", type=int, metavar="CHARACTERS", help="the budget itself, whatever the context")
    parser.add_argument("--user", action="store_true", help="with the user's own skills and commands, and their use")
    parser.add_argument("--plugins", action="store_true", help="with those of plugins in the project")
    parser.add_argument("--all", action="store_true", help="show all that is hidden and all that is long")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Work out the listing; exit code 1 when it hides a description."""
    for option in ("context", "budget"):
        value = getattr(args, option)
        if value is not None and value < 1:
            raise UsageError(f"--{option} {value} is not above 0", hint=f"such as --{option} 200000")
    with working("Reading artifacts"):
        listed, withheld = listing.offers(session.project, user=args.user, plugins=args.plugins)
    context = args.context or listing.CONTEXT_TOKENS
    budget, reason = listing.budget_of(session.project, session.variables, context_tokens=context)
    if args.budget:
        budget, reason = args.budget, "--budget"
    elif args.context:
        budget, reason = listing.budget_of(session.project, {}, context_tokens=context)
    found = listing.plan(listed, budget)
    long = listing.savings(listed, found.target) if found.target is not None else []
    data = _data(found, listed, long, reason, withheld)
    code = ExitCode.FAILED if found.hidden else ExitCode.DONE
    return Result(data, lambda screen: _render(screen, found, listed, long, data, whole=args.all), code)


def _data(
    found: Plan, listed: list[Offer], long: list[tuple[Offer, int]], reason: str, withheld: int
) -> dict[str, Any]:
    hidden = {offer.path for offer in found.hidden}
    sources = Counter(offer.source for offer in listed)
    return {
        "budget": found.budget,
        "budgetFrom": reason,
        "total": found.total,
        "excess": found.excess,
        "ownCharacters": listing.OWN_WIDTH,
        "listed": len(listed),
        "withheld": withheld,
        "hidden": [_entry(offer) for offer in found.hidden],
        "cut": [_entry(offer) for offer in found.cut],
        "target": found.target,
        "shorten": [{**_entry(offer), "save": more} for offer, more in long],
        "sources": [
            {
                "source": source,
                "listed": count,
                "hidden": sum(offer.path in hidden for offer in listed if offer.source == source),
                "characters": sum(offer.full_width for offer in listed if offer.source == source),
            }
            for source, count in sorted(sources.items())
        ],
    }


def _entry(offer: Offer) -> dict[str, Any]:
    return {"name": offer.name, "path": offer.path, "source": offer.source, "characters": len(offer.description)}


def _render(
    screen: Screen,
    found: Plan,
    listed: list[Offer],
    long: list[tuple[Offer, int]],
    data: dict[str, Any],
    *,
    whole: bool,
) -> None:
    screen.line(f"budget   {found.budget:>7,} characters ({data['budgetFrom']})")
    screen.line(f"needed   {found.total:>7,} characters: the client's own skills {listing.OWN_WIDTH:,}, and")
    for source in data["sources"]:
        screen.line(
            f"         {source['characters']:>7,} in {source['listed']} of {source['source']}, "
            f"{source['hidden']} without their description"
        )
    if data["withheld"]:
        screen.line(f"         {data['withheld']} more do not count: disable-model-invocation")
    for offer in found.cut:
        screen.mark("bad", f"{harmless(offer.name)}: cut at {listing.DESCRIPTION_MAX:,} of {len(offer.description):,}")
    if not found.hidden:
        screen.mark("ok", f"the model reads all {len(listed)} descriptions")
        return
    screen.mark("bad", f"{len(found.hidden)} of {len(listed)} descriptions are hidden: the model reads the name alone")
    names = [harmless(offer.name) for offer in found.hidden]
    shown = names if whole else names[:_SHOWN]
    screen.line(f"  {', '.join(shown)}" + (f" and {len(names) - len(shown)} more" if len(shown) < len(names) else ""))
    if found.target is None:
        screen.line("names alone take more than the budget: offer fewer, or set disable-model-invocation: true")
        return
    screen.line(
        f"all would fit with at most {found.target} characters each; {found.excess:,} to save, the longest first:"
    )
    for offer, more in long if whole else long[:_SHOWN]:
        screen.line(f"  {more:>6,} of {len(offer.description):>6,}  {harmless(offer.path)}")
    if not whole and len(long) > _SHOWN:
        screen.line(f"  ... and {len(long) - _SHOWN} more; --all shows them")

"""Who fills which role, when each role needs another person: the choice that fills most of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from agent_studio.release.signing import signers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

One = TypeVar("One")


def chosen(options: Sequence[Sequence[One]], is_same: Callable[[One, One], bool]) -> tuple[One | None, ...]:
    """Return one of the options of each role, no two the same person; None for a role that nobody is left for.

    Of choices that fill as many roles, that with the earlier roles and the earlier options is taken.
    """
    return _chosen(options, is_same, ())


def _chosen(
    options: Sequence[Sequence[One]], is_same: Callable[[One, One], bool], taken: tuple[One, ...]
) -> tuple[One | None, ...]:
    if not options:
        return ()
    best: tuple[One | None, ...] = (None, *_chosen(options[1:], is_same, taken))
    for one in options[0]:
        if any(is_same(one, other) for other in taken):
            continue
        found = (one, *_chosen(options[1:], is_same, (*taken, one)))
        if None not in found:
            return found
        best = max(best, found, key=_rank)
    return best


def _rank(found: Sequence[object]) -> tuple[int, list[bool]]:
    filled = [one is not None for one in found]
    return sum(filled), filled


def are_one(names: Iterable[str], others: Iterable[str]) -> bool:
    """Tell whether two lists of names or patterns may mean one person."""
    held = tuple(others)
    return any(signers.may_be(one, other) for one in names for other in held)

"""The end of what was interrupted: the journal's switch, and the proof that was still to come."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment.detect import VARIABLE
from agent_studio.errors import AgentStudioError
from agent_studio.release.production import history, proof, sessions, sides, switch, whose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from agent_studio.environment.roots import Project
    from agent_studio.release.content.tree import Tree
    from agent_studio.release.production.proof import Proof, Settled


class Recovered(NamedTuple):
    """What was brought to its end."""

    switch_id: str
    """Of the switch that was interrupted; empty when none was."""
    release: str
    """What is live now; empty before the first release."""
    settled: Settled | None
    """None when what is live was proven before."""


def recover(
    project: Project, variables: Mapping[str, str], overrides: Sequence[str] = (),
    prove: Callable[[], Proof] | None = None,
) -> Recovered:  # fmt: skip
    """Finish an interrupted switch and prove what is live.

    Raises `BusyError` while somebody else is at work, `IntegrityError` for a damaged journal.
    """
    with switch.alone(project, "a promotion or rollback"):
        journal = switch.pending(project)
        tree = _tree(project, variables, overrides) if journal is None else switch.tree_of(journal)
        settled = None
        with _quiet(project, tree):
            if journal is not None:
                switch.recover(project)
            elif tree is not None:
                tree.sweep()  # of what a switch prepared that was never decided on
            if tree is not None and history.read(project).current is not None:
                settled = proof.settle(project, tree, prove or _smoke(project, tree, variables, overrides))
        current = history.read(project).current
        return Recovered(
            "" if journal is None else journal.id, "" if current is None else current.release, settled
        )  # fmt: skip


@contextmanager
def _quiet(project: Project, tree: Tree | None) -> Iterator[None]:
    """Keep sessions away from what may go back to another release: those that run are waited for by nobody."""
    current = history.read(project).current
    if tree is None or (switch.pending(project) is None and (current is None or current.healthy)):
        yield
        return
    with sessions.quiet(sides.data_project(project, tree), wait=False):
        yield


def _smoke(project: Project, tree: Tree, variables: Mapping[str, str], overrides: Sequence[str]) -> Callable[[], Proof]:
    production = sides.data_project(project, tree)
    apart = {name: value for name, value in variables.items() if name != VARIABLE}
    return lambda: proof.smoke(production, apart, overrides)


def _tree(project: Project, variables: Mapping[str, str], overrides: Sequence[str]) -> Tree | None:
    try:
        return sides.open_sides(project, variables, overrides).target.tree
    except AgentStudioError:
        return whose.of_history(project, history.read(project))

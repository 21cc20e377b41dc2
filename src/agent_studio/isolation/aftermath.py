"""What a run has left that starts programs outside of any run: nothing could keep it from that, so it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent_studio.isolation import client_folder, places, repository

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from agent_studio.isolation.policy import Policy


class Before(NamedTuple):
    """How it was before the run."""

    missing: AbstractSet[Path]
    obeyed: Mapping[str, str]
    nested: AbstractSet[str]


def before(policy: Policy, variables: Mapping[str, str]) -> Before:
    """Look at what a run could make or change."""
    return Before(
        places.missing(policy.project, variables), client_folder.obeyed(variables), repository.nested(policy.project)
    )


def told(was: Before, policy: Policy, variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what there is to say after the run, each with what to do about it."""
    made = (was.missing - places.missing(policy.project, variables)) | repository.filled(policy.absent)
    if made:
        yield f"the run has made {_listed(made)}", "such files start programs outside of any run: look at them"
    obeyed = client_folder.obeyed(variables)
    changed = {name for name, value in obeyed.items() if was.obeyed.get(name) != value}
    if changed:
        yield (
            f"the run has changed what the client starts or trusts, in .claude.json: {_listed(changed)}",
            "look at it before you start the client outside of a run",
        )
    nested = repository.nested(policy.project) - was.nested
    if nested:
        yield (
            f"the run has added repositories inside this one: {_listed(nested)}",
            "git status enters them and obeys their configuration: git rm --cached, or look at their .git/config",
        )


def _listed(found: AbstractSet[Path] | AbstractSet[str]) -> str:
    return ", ".join(sorted(map(str, found)))

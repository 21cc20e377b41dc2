"""Environments that keep a kind of data in one place, as development and production do unless told otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.environment.context import other_roots
from agent_studio.environment.detect import Environment
from agent_studio.environment.schema import KINDS

if TYPE_CHECKING:
    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import EnvironmentRoot

_OWNERS = (Environment.PRODUCTION, Environment.STAGING, Environment.DEVELOPMENT)


def sharing(context: Context, kind: str = "metrics") -> dict[str, EnvironmentRoot]:
    """Return the roots of the environments whose data of a kind lies where the chosen one's does, by name.

    The first is the owner: what is derived from that data, and locked for it, is in its state folder.
    """
    place = context.root.folder(kind).path
    others = other_roots(context.project, context.environment)
    roots = {root.environment: root for root in (context.root, *others) if root.folder(kind).path == place}
    return {str(name): roots[name] for name in _OWNERS if name in roots}


def mingled(context: Context) -> dict[str, EnvironmentRoot]:
    """Return the roots of the environments that keep any kind of data where the chosen one does, by name."""
    found = {name: root for kind in KINDS for name, root in sharing(context, kind).items()}
    return {str(name): found[name] for name in _OWNERS if name in found}

"""The folders of journals that an environment has to ship: the one in use, and those that were put aside meanwhile.

`init --reset` moves the data of an environment into `archive/<time>/` of its state folder. What was not shipped of it
by then is found there, by the origin that lies beside the journals; the cursors move along.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment.roots import EnvironmentRoot
from agent_studio.environment.sharing import sharing
from agent_studio.errors import ConfigurationError
from agent_studio.fleet import cursor
from agent_studio.fleet.identity import Identity, Origin, draw_origin, identity, named, origin_of
from agent_studio.fleet.journals import placed
from agent_studio.monitor.segments import JOURNALS
from agent_studio.storage.sealed import ARCHIVE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.context import Context
    from agent_studio.storage.folder import Folder

LEDGER = cursor.LEDGER
_STAMP = re.compile(r"\d{8}T\d{6}\.\d{3}Z")
KINDS = (*JOURNALS, LEDGER)
UNDRAWN = "0" * 32
"""In place of an origin where nothing was shipped yet."""


class Home(NamedTuple):
    """A folder of journals, and what is kept about it."""

    root: EnvironmentRoot
    """Its state folder is where the cursors are."""
    origin: str
    machine: str | None
    """The name that its records are shipped under, once some are."""
    environments: dict[str, tuple[str, ...]]
    """By kind of data folder: the environments that write to it."""
    is_aside: bool
    """Whether nothing is written to it any more."""

    @property
    def state(self) -> Folder:
        """Where its cursors and its archive are."""
        return self.root.state

    def writers(self, kind: str) -> tuple[str, ...]:
        """Return the environments that write to one of its journals."""
        return self.environments[JOURNALS[kind][0]]


class _Aside(EnvironmentRoot):
    """Data that was put aside: what is kept about it lies in the same folder."""

    place: Folder

    @property
    def state(self) -> Folder:
        """The folder that it was moved to."""
        return self.place


def owner_of(context: Context) -> EnvironmentRoot:
    """Return the root of the environment in whose state folder cursors are."""
    return next(iter(sharing(context).values()))


def current(context: Context, *, draw: bool) -> Home:
    """Return the folder of journals in use; without `draw` its origin is zeros when it has none yet."""
    owner = owner_of(context)
    origin = draw_origin(context.root) if draw else origin_of(context.root) or Origin(UNDRAWN, None)
    root = EnvironmentRoot(context.project, owner.environment, owner.root, context.root.kinds)
    return Home(root, *origin, _writers(context), is_aside=False)


def sender(context: Context, home: Home) -> Identity:
    """Return who a folder's records are sent as: under the name that they began with."""
    return identity(context, home.origin, home.machine)


def refuse_another_name(context: Context, home: Home) -> None:
    """Raise `ConfigurationError` where the machine is called otherwise than its records are shipped."""
    wanted, environment = named(context), home.root.environment
    if wanted and home.machine not in {None, wanted}:
        raise ConfigurationError(
            f"fleet.machine is {wanted!r}, but the records of {environment} are shipped as {home.machine!r}: "
            "under two names each would count twice",
            hint=f"leave fleet.machine out, or begin anew under it: agent-studio init --env {environment} --reset",
        )


def begin_again(context: Context) -> None:
    """Have the journals in use shipped from their beginning; what is known to be lost or refused stays known."""
    home = current(context, draw=True)
    for kind in KINDS:
        found = cursor.load(home.state, kind)
        if found.origin == home.origin:
            cursor.save(home.state, kind, cursor.begun_again(found))


def aside(context: Context, home: Home) -> Iterator[Home]:
    """Yield the folders put aside that may hold something to ship, after taking cursors there that are theirs."""
    found = list(_put_aside(context, home))
    before = _origin_before(home)
    for one in found:
        if one.origin == before and not one.state.has_folder(cursor.FOLDER):
            cursor.move(home.state, one.state)
    yield from (one for one in found if one.state.has_folder(cursor.FOLDER))


def _origin_before(home: Home) -> str | None:
    """Return whose records the cursors are of, when they are not of the journals in use."""
    for kind in KINDS:
        origin = cursor.load(home.state, kind).origin
        if origin not in {"", home.origin}:
            return origin
    return None


def _put_aside(context: Context, home: Home) -> Iterator[Home]:
    for writer in sharing(context).values():
        if not writer.state.has_folder(ARCHIVE):
            continue
        for name in writer.state.names(ARCHIVE):
            relative = f"{ARCHIVE}/{name}"
            if _STAMP.fullmatch(name) and writer.state.has_folder(f"{relative}/metrics"):
                place = writer.state.at(relative)
                kinds = placed(home.root, place, {kind: kind for kind in home.root.kinds}).kinds
                root = _Aside(home.root.project, home.root.environment, home.root.root, kinds)
                root.place = place
                origin = origin_of(root)
                if origin is not None:
                    yield Home(root, *origin, home.environments, is_aside=True)


def _writers(context: Context) -> dict[str, tuple[str, ...]]:
    return {kind: tuple(sharing(context, kind)) for kind in {folder for folder, _ in JOURNALS.values()}}

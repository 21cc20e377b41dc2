"""The history of a production: what was promoted, returned to and found healthy, each line bound to all before it.

`.agent-studio/releases/history.jsonl` is a chained journal (`storage.chain`). Nothing in it is ever rewritten; what is
live now follows from its lines alone.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.environment.roots import STATE
from agent_studio.storage import chain, chained
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.environment.roots import Project

FOLDER = f"{STATE}/releases"
FILE = "history.jsonl"
PROMOTE, ROLLBACK, ADOPT, HEALTH, KEPT = "promote", "rollback", "adopt", "health", "kept"
"""Steps: three that make a release live, what is found of one afterwards, and bytes that a switch found in its way."""
RESTART, NUCLEAR = "restart", "nuclear"
"""Steps that concern staging alone."""
PRUNED = "pruned"
"""A step that names releases whose bytes were removed from the store."""
TARGET = "target"
"""A step that says where production is from then on; every switch says so too."""
_SWITCHES = frozenset({PROMOTE, ROLLBACK, ADOPT})


class Release(NamedTuple):
    """What was live, or is."""

    release: str
    """The hash of its manifest."""
    candidate: str
    """The hash that was signed; another where feature flags were carried over."""
    id: str
    """Of the switch that made it live."""
    step: str
    time: str
    healthy: bool | None
    """Whether it proved itself in production; None while that is not known."""
    record: Mapping[str, Any]
    """All that was noted."""


class History(NamedTuple):
    """The lines of a history, read once."""

    records: list[dict[str, Any]]
    head: chain.Head

    @property
    def releases(self) -> list[Release]:
        """Every release that went live, oldest first."""
        health = {one["id"]: bool(one["healthy"]) for one in self.records if one["step"] == HEALTH}
        return [
            Release(one["release"], one["candidate"], one["id"], one["step"], one["time"], health.get(one["id"]), one)
            for one in self.records
            if one["step"] in _SWITCHES
        ]

    @property
    def current(self) -> Release | None:
        """What is live, or None before the first release."""
        return next(reversed(self.releases), None)

    @property
    def _standing(self) -> list[Release]:
        """What a way back can lead to, oldest first: a rollback leaves behind what was promoted after its goal."""
        standing: list[Release] = []
        for one in self.releases:
            if one.step == ROLLBACK:
                names = [held.release for held in standing]
                del standing[len(names) - 1 - names[::-1].index(one.release) if one.release in names else 0 :]
            standing.append(one)
        return standing

    @property
    def last_healthy(self) -> Release | None:
        """The newest release before the current one that was live and healthy, and that no rollback has left."""
        current = self.current
        return next(
            (one for one in reversed(self._standing) if one.healthy and current and one.release != current.release),
            None,
        )

    @property
    def way_back(self) -> str:
        """Where a rollback goes: the last healthy release, else what was live before the first; empty for nowhere."""
        if self.last_healthy is not None:
            return self.last_healthy.release
        return "" if self.current is None else str(self.current.record.get("before") or "")

    @property
    def governing(self) -> Release | None:
        """The newest release that was promoted, and so signed, and did not fail: its policy and signers hold.

        Bytes that were adopted, or were there before the first promotion, were signed by nobody.
        """
        signed = {one.release for one in self.releases if one.step == PROMOTE and one.healthy is not False}
        return next((one for one in reversed(self.releases) if one.release in signed), None)

    @property
    def promoted_commit(self) -> str | None:
        """The commit that what is live was made of; None before the first release, and where it is not known."""
        live = self.current
        promoted = [one for one in self.releases if one.step == PROMOTE and one.record.get("commit")]
        same = [one for one in promoted if live and one.release == live.release]
        found = next(reversed(same or promoted), None)
        return None if found is None else str(found.record["commit"])

    @property
    def used_nonces(self) -> frozenset[str]:
        """The nonces of sign-offs that a promotion has used up."""
        return frozenset(str(nonce) for one in self.records for nonce in one.get("nonces") or ())

    @property
    def kept(self) -> frozenset[str]:
        """The hashes of bytes that a switch found in its way and kept."""
        return frozenset(
            str(file["sha256"])
            for one in self.records
            if one["step"] == KEPT
            for file in one["files"]
            if file["sha256"]
        )

    @property
    def target(self) -> dict[str, Any] | None:
        """Where production is by the newest line that says so, `{definitions, around}` as seen from the project."""
        return next((one["target"] for one in reversed(self.records) if one.get("target")), None)

    @property
    def pruned(self) -> frozenset[str]:
        """Releases whose bytes were removed, and that have not been live since."""
        gone: set[str] = set()
        for one in self.records:
            if one["step"] == PRUNED:
                gone.update(map(str, one["releases"]))
            elif one["step"] in _SWITCHES:
                gone.discard(str(one["release"]))
        return frozenset(gone)

    def of(self, switch_id: str) -> Release | None:
        """Return the release that a switch made live."""
        return next((one for one in self.releases if one.id == switch_id), None)


def read(project: Project) -> History:
    """Return the history, empty before the first release; raise `IntegrityError` for a line that does not follow."""
    return History(*chained.read(Folder(project.path, FOLDER), FILE))


def new_id() -> str:
    """Return a name for a step that is about to be taken."""
    return f"{clock.file_stamp(clock.now())}-{secrets.token_hex(4)}"


def append(project: Project, record: Mapping[str, Any]) -> None:
    """Add a line durably; one whose `step` and `id` are there already is not added again."""
    own = (record["step"], record["id"])
    chained.append(
        Folder(project.path, FOLDER), FILE, {"time": clock.timestamp(clock.now()), **record},
        unless=lambda held: any((one["step"], one["id"]) == own for one in held),
    )  # fmt: skip

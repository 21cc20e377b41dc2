"""The attack program against each backend, as root and as another user: what is called blocked does not reach."""

from __future__ import annotations

import os
import re

import pytest

if os.name == "nt":
    pytest.skip("its routes are those of Unix", allow_module_level=True)
from bench import attack_routes, attacks

from agent_studio.isolation import claims, probe
from agent_studio.isolation.backends import ADVISORY, bubblewrap, landlock
from agent_studio.isolation.probe import BLOCKED, IMPOSSIBLE, REACHES, Route

USABLE = [backend.NAME for backend in (bubblewrap, landlock) if backend.available().usable]
ONLY_ROOT = {
    "open_by_handle_at", "umount", "bind mount", "bind of the root", "chroot", "chown", "remount", "umount and write",
    "open_by_handle_at and write", "helpers of the kernel", "release_agent", "system folders", "memory of the machine",
    "C: open_tree", "C: setns", "ptrace",
}  # fmt: skip
"""Routes that lead somewhere for root alone."""
DEPENDS = {"raw disk", "mknod of the disk", "other case", "C: user-open_tree", "C: user-setns", "own user namespace"}
"""Routes that lead somewhere only on some machines: disks that may be read, file systems without case."""


@pytest.mark.parametrize("user", attacks.users())
@pytest.mark.parametrize("name", USABLE)
def test_nothing_reaches_that_is_called_blocked(name: str, user: int) -> None:
    routes = attacks.attacked(name, user, quick=True)
    assert claims.broken(name, routes) == []
    assert {route.verdict for route in routes} <= {BLOCKED, REACHES, IMPOSSIBLE}
    assert claims.verdict(name, routes) == claims.PASS


@pytest.mark.parametrize("user", attacks.users())
def test_without_protection_every_route_reaches(user: int) -> None:
    routes = attacks.attacked(ADVISORY, user, quick=True)
    silent = {route.name for route in routes if route.verdict == IMPOSSIBLE and route.target == "data of production"}
    assert silent <= DEPENDS | (ONLY_ROOT if user else set())
    kept = {route.name for route in routes if route.verdict == BLOCKED}
    assert kept <= {"inherited descriptors", "write by inherited descriptors"}, "run closes these by itself"


def test_a_route_that_is_claimed_and_reaches_is_a_failure() -> None:
    reached = Route("read", "data", REACHES, "it read the planted value")
    blocked = Route("write", "data", BLOCKED, "EACCES")
    assert claims.verdict("landlock", [reached, blocked]) == claims.FAIL
    assert claims.verdict("landlock", [blocked]) == claims.PASS
    assert claims.verdict("landlock", [Route("chmod", "data", REACHES, ""), blocked]) == claims.PASS
    assert claims.verdict("bubblewrap", [Route("chmod", "data", REACHES, ""), blocked]) == claims.FAIL
    assert claims.verdict("landlock", [blocked, Route("read", "data", probe.NOT_TRIED, "")]) == claims.INSUFFICIENT
    assert claims.verdict("landlock", []) == claims.INSUFFICIENT
    assert claims.verdict(ADVISORY, [blocked]) == claims.INSUFFICIENT


def test_what_is_not_claimed_names_routes_that_are_tried() -> None:
    known = {
        *probe.ON_HIDDEN,
        *attack_routes.ROUTES,
        probe.GUARDED_PLACE,
        "hidden file replaced while it runs",
        "hook of git",
        "folder that git is to use",
    }
    for reasons in claims.NOT_CLAIMED.values():
        assert reasons.keys() <= known
        assert all(reasons.values())


def test_the_page_has_every_route_and_calls_nothing_blocked_that_is_not_claimed() -> None:
    page = attacks.PAGE.read_text(encoding="utf-8")
    table = page.split("<!-- attacks -->")[1].strip().splitlines()
    heads, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    rows = {cells[0]: dict(zip(heads[1:], cells[1:], strict=True)) for cells in lines}
    assert {*probe.ON_HIDDEN, *attack_routes.ROUTES} <= rows.keys()
    for name, cells in rows.items():
        for column, cell in cells.items():
            backend = column.partition(",")[0]
            assert re.match(r"\*\*reaches\*\*|blocked|not possible here|-$", cell), (name, cell)
            assert "(!)" not in cell, f"{name} reaches in {column}"
            if backend == ADVISORY and name in {"read", "write", "list"}:
                assert cell == "**reaches**"

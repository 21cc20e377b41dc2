"""Proves what `run` keeps apart: plants a random value in other environments' data, and tries to reach it from inside.

The proof is kept as evidence in `.agent-studio/<environment>/evidence/isolation-<time>-<id>.json`. Isolation that is
advisory proves nothing: its verdict is INSUFFICIENT.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_studio import clock
from agent_studio.environment.roots import STATE
from agent_studio.errors import UsageError
from agent_studio.isolation import claims, probe
from agent_studio.isolation.backends import ADVISORY
from agent_studio.isolation.launch import Launch, start
from agent_studio.isolation.policy import Access, target_of
from agent_studio.isolation.probe import Asked, Target
from agent_studio.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.isolation.choice import Choice
    from agent_studio.isolation.policy import Policy
    from agent_studio.isolation.probe import Route

SCHEMA = "agent-studio/isolation-evidence/1"
FOLDER = "evidence"
BRIEF = frozenset(
    (
        "read", "list", "subprocess", "symbolic link", "hard link", "/proc/PID/root, cwd, fd", "own user namespace",
        "write", "create", "unlink", "rename out", "rename over",
    )
)  # fmt: skip
"""The routes of the smoke check, and those to every folder but the first of its kind."""
_KEPT = 4
"""Further folders of each kind that files are planted in; all others are looked into."""


@dataclass(frozen=True)
class Proof:
    """What was tried and what it shows."""

    backend: str
    refused: Sequence[tuple[str, str]]
    """Stronger backends and why they cannot be used here."""
    separation: str
    routes: Sequence[Route]
    gaps: Sequence[str]
    """What the backend does not keep of what is protected, as it says itself."""
    started_at: str
    duration_ms: int

    @property
    def verdict(self) -> str:
        """PASS, FAIL or INSUFFICIENT."""
        found = claims.verdict(self.backend, self.routes)
        return claims.INSUFFICIENT if found == claims.PASS and self.separation == "none" else found

    @property
    def broken(self) -> list[Route]:
        """The routes that reach although they are claimed to be blocked."""
        return claims.broken(self.backend, self.routes)

    def count(self, verdict: str) -> int:
        """Return how many routes ended so."""
        return sum(route.verdict == verdict for route in self.routes)


def prove(
    context: Context, policy: Policy, choice: Choice, variables: Mapping[str, str], *, brief: bool = False
) -> Proof:
    """Try every route that we know, or a few, to what a policy protects, with a backend.

    Raises `UsageError` where there is nothing to be protected, `AgentStudioError` where nothing can be planted.
    """
    began = time.monotonic()
    started_at = clock.timestamp(clock.now())
    asked = _asked(context, policy, brief=brief)
    if not asked.targets:
        raise UsageError(
            f"there is no data of another environment that {context.environment} could reach",
            hint="agent-studio init --env production",
        )
    gaps: list[str] = []

    def run(argv: Sequence[str]) -> None:
        cwd = context.project.path
        finished = start(Launch(argv, variables, cwd, str(context.environment), choice.backend, policy))
        gaps.extend(finished.prepared.gaps if finished.prepared else ())

    routes = probe.attack(asked, context.root.state, run)
    duration_ms = round((time.monotonic() - began) * 1000)
    return Proof(choice.name, choice.refused, policy.separation, routes, gaps, started_at, duration_ms)


def keep(context: Context, proof: Proof, *, candidate: str) -> str:
    """Keep a proof as evidence and return its place from the project's root; `candidate` names the definitions."""
    record = {
        "schema": SCHEMA,
        "environment": str(context.environment),
        "verdict": proof.verdict,
        "isolation": proof.backend,
        "advisory": proof.backend == ADVISORY,
        "separation": proof.separation,
        "refused": [{"backend": name, "reason": reason} for name, reason in proof.refused],
        "user": "root" if _is_root() else "user",
        "system": f"{platform.system()} {platform.release()}",
        "gaps": list(proof.gaps),
        "routes": [as_data(proof, route) for route in proof.routes],
        "durationMs": proof.duration_ms,
        "startedAt": proof.started_at,
        "candidate": candidate,
    }
    name = f"{FOLDER}/isolation-{clock.file_stamp(clock.now())}-{secrets.token_hex(4)}.json"
    context.root.state.make(FOLDER)
    text = redact(json.dumps(record, ensure_ascii=False, indent=1))
    context.root.state.replace(name, text.encode("utf-8", "backslashreplace"))
    return f"{STATE}/{context.environment}/{name}"


def as_data(proof: Proof, route: Route) -> dict[str, Any]:
    """Return a route as programs get it."""
    return {**asdict(route), "claimed": claims.is_claimed(proof.backend, route.name)}


def _asked(context: Context, policy: Policy, *, brief: bool) -> Asked:
    state = context.root.state
    state.make(FOLDER)
    hidden = list(_plantable(_others(context, policy)))
    definitions = context.project.definitions
    readonly = [path for path in policy.readonly if path.is_relative_to(definitions) and path != definitions]
    readonly += [path for path in policy.readonly if path == state.path / FOLDER]
    targets = [*_targets(context, hidden, probe.ON_HIDDEN, brief=brief)]
    targets += _targets(context, list(_plantable([definitions, *readonly])), probe.ON_READONLY, brief=brief)
    if brief:
        return Asked(targets)
    guarded = sorted(policy.guarded)
    firm = [path for path in policy.readonly if path not in policy.guarded]
    contents = [file for path in policy.hidden if (file := _file_of(path, policy))]
    return Asked(targets, hidden=contents, readonly=firm, guarded=guarded)


def _file_of(path: Path, policy: Policy) -> Path | None:
    """Return a file with content that is hidden with a path, or None where there is none."""
    folders = ((folder, names) for folder, _, names in os.walk(path)) if path.is_dir() else [(path.parent, [path.name])]
    for folder, names in folders:
        for name in names:
            file = Path(folder, name)
            if policy.access(file) is Access.HIDDEN and file.is_file() and file.stat().st_size:
                return file
    return None


def _others(context: Context, policy: Policy) -> list[Path]:
    """Return the hidden folders of other environments, data before state."""
    project, target = context.project.path, target_of(context)
    inside = [
        path for path in policy.hidden if path.is_relative_to(project) or (target and path.is_relative_to(target))
    ]
    return sorted(inside, key=lambda path: (STATE in path.parts, path.name != "metrics", path))


def _plantable(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
            yield folder


def _targets(context: Context, folders: Sequence[Path], routes: Sequence[str], *, brief: bool) -> Iterator[Target]:
    """Yield the first folder with all routes, and a few more with some."""
    few = [name for name in routes if name in BRIEF]
    for number, folder in enumerate(folders[: 1 if brief else 1 + _KEPT]):
        inside = folder.is_relative_to(context.project.path)
        name = str(folder.relative_to(context.project.path) if inside else folder)
        yield Target(name, folder, few if brief or number else routes)


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0

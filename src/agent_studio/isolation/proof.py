"""Proves what `run` keeps apart: plants a random value in other environments' data, and tries to reach it from inside.

The proof is kept as evidence in `.agent-studio/<environment>/evidence/isolation-<time>-<id>.json`. Isolation that is
advisory proves nothing: its verdict is INSUFFICIENT.
"""

from __future__ import annotations

import os
import platform
import secrets
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_studio import clock
from agent_studio.environment.context import other_roots
from agent_studio.environment.detect import Environment
from agent_studio.environment.roots import DEFINITION_FOLDERS, STATE, Project
from agent_studio.environment.schema import KINDS
from agent_studio.isolation import claims, overlay, probe
from agent_studio.isolation.backends import ADVISORY
from agent_studio.isolation.launch import Launch, start
from agent_studio.isolation.policy import EVIDENCE, Access, make_written, other_roots_of, policy, target_of
from agent_studio.isolation.probe import Asked, ProbeError, Target
from agent_studio.redaction.structure import redacted_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.isolation.choice import Choice
    from agent_studio.isolation.policy import Policy
    from agent_studio.isolation.probe import Route

SCHEMA = "agent-studio/isolation-evidence/1"
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


def boundary(context: Context, variables: Mapping[str, str]) -> Policy:
    """Return what `run` protects, once there are the folders that a proof needs."""
    make_written(context.root.state)
    return policy(context, variables)


def prove(
    context: Context, drawn: Policy, choice: Choice, variables: Mapping[str, str], *, brief: bool = False
) -> Proof:
    """Try every route that we know, or a few, to what is to be protected, with a backend and the boundary as drawn.

    Raises `AgentStudioError` where nothing can be planted.
    """
    if os.name == "nt":
        raise ProbeError("the routes of a probe are those of Unix", hint="isolation is advisory on Windows")
    began = time.monotonic()
    started_at = clock.timestamp(clock.now())
    asked = _asked(context, drawn, brief=brief)
    if not asked.targets:
        raise ProbeError(
            f"nothing can be planted for {context.environment} to reach: no other folder can be written to",
            hint="run it as the user that the project belongs to",
        )
    gaps: list[str] = []

    def run(argv: Sequence[str]) -> None:
        launch = Launch(argv, variables, context.project.path, str(context.environment), choice.backend, drawn)
        with overlay.temporary(context.root.state, choice.backend) as scratch:
            finished = start(replace(launch, scratch=scratch))
        gaps.extend(finished.prepared.gaps if finished.prepared else ())

    routes = probe.attack(asked, context.root.state, run)
    duration_ms = round((time.monotonic() - began) * 1000)
    return Proof(choice.name, choice.refused, drawn.separation, routes, gaps, started_at, duration_ms)


def keep(context: Context, proof: Proof, *, candidate: str | None) -> str:
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
    name = f"{EVIDENCE}/isolation-{clock.file_stamp(clock.now())}-{secrets.token_hex(4)}.json"
    context.root.state.make(EVIDENCE)
    text = redacted_json(record, ensure_ascii=False, indent=1)
    context.root.state.replace(name, text.encode("utf-8", "backslashreplace"))
    return f"{STATE}/{context.environment}/{name}"


def as_data(proof: Proof, route: Route) -> dict[str, Any]:
    """Return a route as programs get it."""
    return {**asdict(route), "claimed": claims.is_claimed(proof.backend, route)}


def _asked(context: Context, drawn: Policy, *, brief: bool) -> Asked:
    """Return what is to be tried; where files are planted is not asked of the boundary, which may be wrong."""
    definitions = context.project.definitions
    kept = [definitions, context.root.state.path / EVIDENCE, *(definitions / name for name in DEFINITION_FOLDERS)]
    targets = list(_targets(context, _plantable(_others(context)), probe.ON_HIDDEN, brief=brief))
    if not targets:
        return Asked(())
    targets += _targets(context, _plantable(kept), probe.ON_READONLY, brief=brief)
    if brief:
        return Asked(targets)
    contents = [file for path in drawn.hidden if (file := _file_of(path, drawn))]
    firm = [path for path in drawn.readonly if path not in drawn.guarded]
    return Asked(targets, hidden=contents, readonly=firm, guarded=sorted(drawn.guarded))


def _file_of(path: Path, drawn: Policy) -> Path | None:
    """Return a file with content that is hidden with a path, or None where there is none."""
    folders = ((folder, names) for folder, _, names in os.walk(path)) if path.is_dir() else [(path.parent, [path.name])]
    for folder, names in folders:
        for name in names:
            file = Path(folder, name)
            if drawn.access(file) is Access.HIDDEN and file.is_file() and file.stat().st_size:
                return file
    return None


def _others(context: Context) -> list[Path]:
    """Return where other environments have data that is not ours as well, and their state."""
    own = {context.root.folder(kind).path for kind in KINDS} | {context.root.path}
    roots = list(other_roots(context.project, context.environment))
    if target := target_of(context):
        roots += other_roots_of(Project(target), None)
    data = [root.folder(kind).path for kind in ("metrics", *KINDS) for root in roots]
    state = [context.project.state(environment).path for environment in Environment]
    state.append(state[0].parent)  # there from the first run on
    return [path for path in dict.fromkeys((*data, *state)) if path not in own and path != context.root.state.path]


def _plantable(folders: Iterable[Path]) -> list[Path]:
    return [folder for folder in folders if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)]


def _targets(context: Context, folders: Sequence[Path], routes: Sequence[str], *, brief: bool) -> Iterator[Target]:
    """Yield the first folder with all routes, and a few more with some."""
    few = [name for name in routes if name in BRIEF]
    for number, folder in enumerate(folders[: 1 if brief else 1 + _KEPT]):
        inside = folder.is_relative_to(context.project.path)
        name = str(folder.relative_to(context.project.path) if inside else folder)
        yield Target(name, folder, few if brief or number else routes)


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0

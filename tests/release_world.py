"""A project with a production beside it, people with keys, and all the evidence that a promotion needs."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import Studio, add_artifacts

from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.release import evidence, facts, gate
from agent_studio.release.content import candidates
from agent_studio.release.production import history
from agent_studio.release.production.sides import open_sides
from agent_studio.release.signing import signoff

if TYPE_CHECKING:
    from tests.conftest import Finished

FEW = ("--set", "testData.artifactsCount=6")
ROLES = {"qa": "quinn", "security": "sam", "uat": "uma"}
NEEDS_KEYS = pytest.mark.skipif(
    not (shutil.which("ssh-keygen") and shutil.which("git")), reason="ssh-keygen or git is not here"
)


class World:
    """A staged project, its production, and who signs."""

    def __init__(self, studio: Studio, folder: Path, *, in_place: bool = False) -> None:
        self.studio, self.folder = studio, folder
        self.project = Project(Path(studio.path).resolve())
        self.live = self.project.path if in_place else folder / "live"
        if not _copied(self, in_place=in_place):
            self.make(in_place=in_place)

    def make(self, *, in_place: bool) -> None:
        self._keys()
        git(self.project.path, "init", "-q")
        for name, value in (("user.name", "Dana"), ("user.email", "dana@example.org")):
            git(self.project.path, "config", name, value)
        self.commit("Start")
        if in_place:
            self.must("init", "--env", "production", "--no-hooks")
        else:
            self.must("init", "--env", "production", "--no-hooks", "--target", str(self.live))
        self.must("init", "--env", "staging", "--no-hooks", *FEW)
        self.commit("Environments")

    def _keys(self) -> None:
        lines = []
        for role, name in ROLES.items():
            key = self.folder / name
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", key], check=True)
            kind, base64, *_ = key.with_suffix(".pub").read_text().split()
            lines.append(f'{name}@example.org namespaces="{signoff.namespace(role)}" {kind} {base64}\n')
        self.studio.write(".claude/allowed_signers", "".join(lines))

    def commit(self, message: str) -> None:
        git(self.project.path, "add", "-A")
        git(self.project.path, "commit", "-q", "--allow-empty", "-m", message)

    def must(self, *arguments: str, code: int = 0) -> Finished:
        done = self.studio.run(*arguments)
        assert done.code == code, (arguments, done.code, done.out, done.err)
        return done

    @property
    def staging(self) -> Context:
        return open_context(self.project, Choice(Environment.STAGING, "--env"), {})

    def edit(self, text: str, path: str = ".claude/agents/code-reviewer.md") -> None:
        self.studio.write(path, text)
        self.commit("Edit")

    def gather(self, *, but: str = "") -> str:
        """Make the candidate and record evidence of every kind but one; return the candidate."""
        made = candidates.create(self.project)
        for kind in gate.REQUIRED:
            if kind != but:
                evidence.record(self.staging, kind, made.candidate, evidence.PASS, {"reason": "recorded by a test"})
        return made.candidate

    def sign(self, candidate: str, *roles: str) -> None:
        subject = facts.gather(open_sides(self.project, {}), candidate).subject
        for role in roles or tuple(ROLES):
            stated = signoff.statement(subject, role)
            signoff.keep(self.project, signoff.sign(stated, self.folder / ROLES[role]), "a test's")

    def ready(self) -> str:
        """Have everything that the gate asks for; return the candidate."""
        candidate = self.gather()
        self.sign(candidate)
        return candidate

    def promoted(self, text: str | None = None, *options: str) -> str:
        """Promote an edit and return the release."""
        if text is not None:
            self.edit(text)
        self.ready()
        self.must("promote", "--yes", *options)
        current = history.read(self.project).current
        assert current is not None
        return current.release

    def reads(self, path: str = "agents/code-reviewer.md") -> str:
        return (self.live / ".claude" / path).read_text()

    def data(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.studio.run(*arguments, "--json").out)["data"]
        return found


_TEMPLATES: dict[bool, tempfile.TemporaryDirectory[str]] = {}
"""A world of each form, made once in a process: to copy one takes a tenth of the time."""
_PROJECT = "my project \u00fcn\u00ef"


def _copied(world: World, *, in_place: bool) -> bool:
    """Make a world by copying one, unless its project has something of its own."""
    if world.project.path != world.folder.resolve() / _PROJECT:
        return False
    if in_place not in _TEMPLATES:
        _TEMPLATES[in_place] = tempfile.TemporaryDirectory(prefix="world-")
        plain = Studio(Path(_TEMPLATES[in_place].name).resolve() / "plain")
        add_artifacts(plain)
        made = Path(_TEMPLATES[in_place].name).resolve() / "made"
        shutil.copytree(plain.path, made / _PROJECT)
        template = object.__new__(World)
        template.studio, template.folder = Studio(made / _PROJECT), made
        template.project = Project(made / _PROJECT)
        template.live = template.project.path if in_place else made / "live"
        template.make(in_place=in_place)
    base = Path(_TEMPLATES[in_place].name).resolve()
    if _files(world.project.path) != _files(base / "plain"):
        return False
    shutil.copytree(base / "made", world.folder, symlinks=True, dirs_exist_ok=True)
    _renamed(world.folder, str(base / "made").encode(), str(world.folder.resolve()).encode())
    return True


def _files(folder: Path) -> dict[str, bytes]:
    return {str(place.relative_to(folder)): place.read_bytes() for place in folder.rglob("*") if place.is_file()}


def _renamed(folder: Path, old: bytes, new: bytes) -> None:
    """Have every file that names the place of a template name its own."""
    for place in folder.rglob("*"):
        if place.is_file() and not place.is_symlink() and "objects" not in place.parts:
            data = place.read_bytes()
            if old in data:
                place.write_bytes(data.replace(old, new))


def git(path: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=path, capture_output=True, text=True, check=True)
    return done.stdout

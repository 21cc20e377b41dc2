"""A staging environment with data of every kind, for backups of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from agent_studio.cost import ledger
from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.roots import Project
from agent_studio.environment.schema import KINDS
from agent_studio.release.backups import backup, restore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.release.backups.backup import Backup

FILES = {
    "memory/learnings.md": b"# Learnt\r\nmuch\n", "memory/deep/er/note.md": b"\x00\xff binary", "memory/empty.md": b"",
    "knowledge/knowledge-base-index.csv": b"name,path\na,b\n", "metrics/hooks.jsonl": b'{"hook":"a"}\n{"hook":"b"}\n',
    "agents/reader/hot.jsonl": b'{"fact":1}\n', "agents/reader/archive/old.jsonl": b'{"fact":0}\n',
    "sessions/session-log.jsonl": b'{"event":"start"}\n', "context/evolution-state.json": b"{}\n",
}  # fmt: skip
Tree = dict[str, tuple[bytes, int] | None]
"""Every file with its bytes and rights, every empty folder with None."""


class World:
    """One project."""

    def __init__(self, folder: Path, files: Mapping[str, bytes] = FILES, *, usage: int = 3) -> None:
        path = folder / "project"
        (path / ".claude").mkdir(parents=True)
        (path / ".claude/config.staging.yaml").write_text("environment: staging\n")
        self.project = Project(Path(os.path.realpath(path)))
        self.root = self.context.root
        for kind in KINDS:
            self.root.folder(kind).make()
        for name, data in files.items():
            self.write(name, data)
        self.use(usage)

    @property
    def context(self) -> Context:
        return open_context(self.project, Choice(Environment.STAGING, "--env"), {})

    @property
    def data(self) -> Path:
        return self.project.path / ".claude/staging"

    def write(self, name: str, data: bytes, mode: int = 0o600) -> Path:
        place = self.data / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        place.chmod(mode)
        return place

    def use(self, count: int) -> None:
        """Append records to the ledger."""
        if count:
            ledger.append_lines(self.root, [{"tokens": number} for number in range(count)])

    def create(self, reason: str = "a test") -> Backup:
        return backup.create(self.context, reason)

    def restore(self, own: str, *, archive: str = "") -> restore.Restored:
        return restore.restore(self.context, own, lambda _: None, archive=archive)

    def recover(self) -> str:
        return restore.recover(self.project, Environment.STAGING)

    def tree(self) -> Tree:
        found: Tree = {}
        for place in sorted(self.data.rglob("*")):
            name = place.relative_to(self.data).as_posix()
            if place.is_file():
                found[name] = place.read_bytes(), place.stat().st_mode & 0o777
            elif not any(place.iterdir()):
                found[name] = None
        return found

    def objects(self) -> list[Path]:
        return sorted(place for place in (self.backups / "objects").rglob("*") if place.is_file())

    @property
    def backups(self) -> Path:
        return self.project.path / ".agent-studio/staging/backups"

    def change(self) -> None:
        """Make other data of it: changed, gone, new, other rights, a folder where a file was."""
        self.write("memory/learnings.md", b"something else")
        self.write("memory/new/file.md", b"new")
        (self.data / "memory/deep/er/note.md").unlink()
        (self.data / "memory/empty.md").unlink()
        self.write("memory/empty.md/inside.md", b"a folder now")
        (self.data / "sessions/session-log.jsonl").chmod(0o644)
        self.write("metrics/hooks.jsonl", b"")
        self.use(2)

"""Commands as an ordinary user, with a project and a home folder of that user's, also where the tests run as root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.conftest import REPOSITORY, Finished, Studio

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NOBODY = 65_534
_PLACES = "mount --bind {repository} {own}/repository && mount --bind {python} {own}/python && exec "
_DROP = f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups --inh-caps=-all "


class Ordinary(Studio):
    """A project in a folder that everybody may enter; commands see copies of Python and of this repository there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "home" / "my shop ünï")
        self.folder, self.home = folder, folder / "home"

    def process(self, *arguments: str, variables: Mapping[str, str] | None = None, **options: Any) -> Finished:
        done = subprocess.run(
            self.line(*arguments), cwd=options.get("cwd", self.path), env=self.variables(variables),
            capture_output=True, text=True, encoding="utf-8", errors="surrogateescape", timeout=120, check=False,
        )  # fmt: skip
        return Finished(done.returncode, done.stdout, done.stderr)

    def line(self, *arguments: str) -> list[str]:
        """Return the command line of one of our commands."""
        if os.getuid():
            return [sys.executable, "-m", "agent_studio", *arguments]
        places = _PLACES.format(repository=REPOSITORY, own=self.folder, python=sys.base_prefix)
        python = self.folder / "python/bin" / Path(os.path.realpath(sys.executable)).name
        script = f'{places}{_DROP}"{python}" -m agent_studio "$@"'
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *arguments]

    def variables(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        given = {**os.environ, "HOME": str(self.home), **(more or {})}
        if not os.getuid():
            packages = next(Path(sys.prefix, "lib").glob("python*/site-packages")).relative_to(REPOSITORY)
            given["PYTHONPATH"] = f"{self.folder}/repository/src:{self.folder}/repository/{packages}"
        return given

    def give(self) -> None:
        """Give all that is in the folder to the user."""
        if not os.getuid():
            for place in (self.home, *self.home.rglob("*")):
                os.lchown(place, NOBODY, NOBODY)


def ordinary() -> Iterator[Ordinary]:
    """Yield one; as root only where a mount namespace can be made."""
    folder = Path(tempfile.mkdtemp(prefix="ordinary-"))
    try:
        folder.chmod(0o755)
        for name in ("home", "repository", "python"):
            (folder / name).mkdir()
        yield Ordinary(folder)
    finally:
        shutil.rmtree(folder)

"""People with keys, for what is signed."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from agent_studio.release.policy import Policy
from agent_studio.release.signing import signoff

if TYPE_CHECKING:
    from pathlib import Path


class People:
    """Keys, and the signers' file that names them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[str] = []

    @classmethod
    def of_three(cls, folder: Path) -> People:
        """Return quinn of QA, sam of Security, and mallory, who is nobody."""
        made = cls(folder)
        made.key("quinn", "qa")
        made.key("sam", "security")
        made.key("mallory")
        return made

    def key(self, name: str, *roles: str) -> Path:
        place = self.folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", place], check=True)
        if roles:
            spaces = ",".join(map(signoff.namespace, roles))
            kind, base64, *_ = place.with_suffix(".pub").read_text().split()
            self.lines.append(f'{name}@example.org namespaces="{spaces}" {kind} {base64}')
        return place

    def policy(self, *, without: str = "\0") -> Policy:
        lines = "".join(f"{line}\n" for line in self.lines if without not in line)
        return Policy({}, lines.encode(), "e" * 64, bootstrap=False)

"""Places outside of a project that a run must not reach or change, for a user's home and the system.

Three kinds: secrets (hidden), doors to programs that run outside (hidden), and files that start code later (read-only).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KEYS = (
    ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".oci", ".netrc", ".git-credentials", ".pypirc", ".pgpass", ".my.cnf",
    ".s3cfg", ".boto", ".vault-token", ".password-store", ".docker/config.json", ".cargo/credentials",
    ".cargo/credentials.toml", ".gem/credentials", ".terraform.d/credentials.tfrc.json", ".fly", ".config/gcloud",
    ".config/gh", ".config/hub", ".config/glab-cli", ".config/git/credentials", ".config/op", ".config/rclone",
    ".config/doctl", ".config/containers/auth.json", ".local/share/keyrings", "Library/Keychains",
)  # fmt: skip
"""Of the home folder: keys and credentials."""
STARTED_LATER = (
    ".profile", ".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".zshrc", ".zshenv", ".zprofile", ".zlogin",
    ".kshrc", ".config/fish", ".gitconfig", ".config/git", ".config/autostart", ".config/systemd",
    ".local/share/systemd", "Library/LaunchAgents", ".pam_environment", ".xprofile", ".xsession", ".xinitrc",
)  # fmt: skip
"""Of the home folder: what a login, a shell, git or the session manager runs outside of any run."""
STARTED_IN_PROJECT = (".git/hooks", ".git/config", ".mcp.json", ".vscode", ".idea", ".envrc", ".husky")
"""Of a project: what git, an editor, a shell or the client starts outside of any run."""
CLIENT_DEFINITIONS = (
    "agents", "skills", "commands", "hooks", "rules", "output-styles", "settings.json", "settings.local.json",
    "CLAUDE.md",
)  # fmt: skip
"""Of the client's own folder: what every later session of this user would obey."""
SYSTEM = (
    "/usr", "/etc", "/boot", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
    "/var/spool/cron", "/var/spool/at", "/Library", "/System",
)  # fmt: skip
"""What is the system's, whose files root could change as well."""
_DOORS = (
    "/run/docker.sock", "/run/podman", "/run/containerd", "/run/crio", "/run/libvirt", "/run/systemd/private",
    "/run/dbus/system_bus_socket", "/run/screen", "/run/snapd.socket", "/run/lxd",
)  # fmt: skip
_DOORS_OF_USER = ("docker.sock", "podman", "bus", "systemd", "gnupg", "keyring", "containerd", "docker")
"""In the folder `XDG_RUNTIME_DIR`."""


def homes(variables: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the user's home folders: what HOME says, and what the system has for this user."""
    found = [Path(variables["HOME"])] if variables.get("HOME", "").startswith("/") else []
    with suppress(ImportError, KeyError):
        import pwd  # noqa: PLC0415 - not on Windows

        found.append(Path(pwd.getpwuid(os.getuid()).pw_dir))
    return tuple(dict.fromkeys(Path(os.path.realpath(home)) for home in found if home != Path("/")))


def client_folder(variables: Mapping[str, str], home: Path) -> Path:
    """Return where the client keeps its own files: CLAUDE_CONFIG_DIR, else `.claude` in the home folder."""
    return Path(variables.get("CLAUDE_CONFIG_DIR") or f"{home}/.claude")


def missing(project: Path, variables: Mapping[str, str]) -> set[Path]:
    """Return what would start code later and is not there: nothing can protect it."""
    named = [project / name for name in STARTED_IN_PROJECT]
    named += (home / name for home in homes(variables) for name in STARTED_LATER)
    return {path for path in named if not os.path.lexists(path)}


def doors(variables: Mapping[str, str]) -> Iterator[Path]:
    """Yield sockets whose other end acts outside: container engines, service managers, agents, multiplexers."""
    yield from map(Path, _DOORS)
    user = os.getuid() if hasattr(os, "getuid") else 0
    for folder in {variables.get("XDG_RUNTIME_DIR") or f"/run/user/{user}", f"/run/user/{user}"}:
        yield from (Path(folder, name) for name in _DOORS_OF_USER)
    for folder in {variables.get("TMUX_TMPDIR") or "/tmp", "/tmp"}:  # noqa: S108 - where tmux has its sockets
        yield Path(folder, f"tmux-{user}")
    if variables.get("SSH_AUTH_SOCK", "").startswith("/"):
        yield Path(variables["SSH_AUTH_SOCK"])
    host = variables.get("DOCKER_HOST", "")
    if host.startswith("unix:///"):
        yield Path(host.removeprefix("unix://"))
    for home in homes(variables):
        yield from (home / ".docker/run", home / ".docker/desktop", home / ".colima", home / ".gnupg")

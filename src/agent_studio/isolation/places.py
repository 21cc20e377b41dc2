"""Places outside of a project that a run must not reach or change, for a user's home and the system.

Three kinds: secrets (hidden), doors to programs that run outside (hidden), and files that start code later (read-only).
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

KEYS = (
    ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".oci", ".netrc", ".git-credentials", ".pypirc", ".pgpass", ".my.cnf",
    ".s3cfg", ".boto", ".vault-token", ".password-store", ".docker/config.json", ".cargo/credentials",
    ".cargo/credentials.toml", ".gem/credentials", ".terraform.d/credentials.tfrc.json", ".terraformrc", ".fly",
    ".kaggle", ".huggingface/token", ".cache/huggingface/token", ".config/gcloud", ".config/gh", ".config/hub",
    ".config/glab-cli", ".config/git/credentials", ".config/op", ".config/rclone", ".config/doctl", ".config/heroku",
    ".config/netlify", ".config/configstore/firebase-tools.json", ".config/containers/auth.json",
    ".config/sops", ".config/age",
    ".local/share/keyrings", ".local/share/kwalletd", "Library/Keychains",
    ".mozilla", ".thunderbird", "snap/firefox", ".config/google-chrome", ".config/chromium",
    ".config/BraveSoftware", ".config/microsoft-edge", "Library/Application Support/Google/Chrome",
    "Library/Application Support/Firefox",
)  # fmt: skip
"""Of the home folder: keys, credentials and browsers' profiles."""
KEYS_IF: Mapping[str, re.Pattern[bytes]] = {
    ".npmrc": re.compile(rb"_(authToken|auth|password)\s*=\s*[^\s$]"),
    ".yarnrc.yml": re.compile(rb"npmAuth(Token|Ident)\s*:\s*[^\s$]"),
    ".m2/settings.xml": re.compile(rb"<(password|passphrase)>\s*[^\s$<{]"),
    ".gradle/gradle.properties": re.compile(rb"(?im)^[^#\n=]*(password|token|secret|apikey)[^\n=]*=\s*\S"),
    ".config/pip/pip.conf": re.compile(rb"://[^/\s:@]+:[^/\s@$]+@"),
    ".pip/pip.conf": re.compile(rb"://[^/\s:@]+:[^/\s@$]+@"),
    ".condarc": re.compile(rb"/t/[^/\s$]+/|://[^/\s:@]+:[^/\s@$]+@"),
    ".bundle/config": re.compile(rb"BUNDLE_[A-Z_]+__[A-Z_]*:\s*\S"),
}
"""Of the home folder: configuration that build tools need, hidden only when it holds a credential."""
ENVIRONMENT_FILES: Mapping[str, tuple[str, ...]] = {
    "production": ("production", "prod", "live"), "staging": ("staging",), "development": ("development", "dev")
}  # fmt: skip
"""Names after `.env.` of an environment's own variables, in a project."""
STARTED_LATER = (
    ".profile", ".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases", ".bash_completion",
    ".zshrc", ".zshenv", ".zprofile", ".zlogin", ".zlogout", ".kshrc", ".inputrc", ".oh-my-zsh", ".config/fish",
    ".config/zsh", ".config/nushell", ".config/powershell", ".config/direnv", ".config/environment.d",
    ".gitconfig", ".config/git", ".config/autostart", ".config/systemd", ".local/share/systemd",
    ".local/share/applications", ".local/share/claude", ".cargo/env", ".cargo/config.toml", ".nvm/nvm.sh",
    ".vimrc", ".vim", ".config/nvim", ".emacs", ".emacs.d", ".config/emacs", ".tmux.conf", ".config/tmux", ".screenrc",
    ".npmrc", ".pythonrc", ".pythonrc.py", ".gdbinit", ".psqlrc", ".sqliterc", ".forward",
    ".pam_environment", ".xprofile", ".xsession", ".xsessionrc", ".xinitrc", "Library/LaunchAgents",
)  # fmt: skip
"""Of the home folder: what a login, a shell, git, an editor or the session manager runs outside of any run."""
STARTED_IN_PROJECT = (".mcp.json", ".vscode", ".idea", ".envrc", ".husky")
"""Of a project, besides what git starts: what an editor, a shell or the client starts outside of any run."""
CLIENT_DEFINITIONS = (
    "agents", "skills", "commands", "hooks", "rules", "output-styles", "plugins", "settings.json",
    "settings.local.json", "CLAUDE.md",
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


def keys(home: Path) -> Iterator[Path]:
    """Yield what holds keys and credentials in a home folder."""
    yield from (home / name for name in KEYS)
    for name, credential in KEYS_IF.items():
        with suppress(OSError):
            if credential.search((home / name).read_bytes()):
                yield home / name


def environment_files(project: Path, environment: str) -> Iterator[Path]:
    """Yield the files of a project that hold variables of other environments."""
    heads = [
        f".env.{name}" for other, names in ENVIRONMENT_FILES.items() if other != environment for name in names
    ]  # fmt: skip
    for path in sorted(project.glob(".env.*")):
        if any(path.name == head or path.name.startswith(f"{head}.") for head in heads):
            yield path


def started_later(variables: Mapping[str, str], home: Path, project: Path) -> Iterator[Path]:
    """Yield what starts code outside of any run: files by name, packages of the user's, and folders of programs."""
    yield from (home / name for name in STARTED_LATER)
    folders = [Path(folder) for folder in variables.get("PATH", "").split(os.pathsep) if folder.startswith("/")]
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for folder in (*folders, home / ".local/bin", home / "bin", home / f".local/lib/{version}/site-packages"):
        real = Path(os.path.realpath(folder))
        if real.is_relative_to(home) and real != home and not real.is_relative_to(project):
            yield real


def missing(project: Path, variables: Mapping[str, str], more: Iterable[Path] = ()) -> set[Path]:
    """Return what would start code later and is not there: nothing can protect it."""
    named = [*more, *(project / name for name in STARTED_IN_PROJECT)]
    for home in homes(variables):
        named += started_later(variables, home, project)
        named += (client_folder(variables, home) / name for name in CLIENT_DEFINITIONS)
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

"""Sessions that `run` has started: each holds a lock file that names it, so that no switch happens under its feet.

They lie in `.agent-studio/sessions/` of the project whose definitions the session reads. Who starts a session and who
switches go through one door, so that neither overlooks the other.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from agent_studio import clock
from agent_studio.environment.detect import Environment
from agent_studio.environment.roots import LOGS, STATE, EnvironmentRoot, Project
from agent_studio.errors import BusyError
from agent_studio.release.backups.places import refuse_interrupted
from agent_studio.release.production import whose
from agent_studio.release.production.switch import refuse_pending
from agent_studio.storage import journal
from agent_studio.storage.descriptors import try_lock, unlock
from agent_studio.storage.folder import Folder
from agent_studio.storage.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

FOLDER = f"{STATE}/sessions"
DOOR = "door"
SESSION_LOG = LOGS["sessions"][0]
_SUFFIX = ".session"
_PAUSE_S = 0.2
_DOOR_S = 5.0
"""How long who comes to the door waits for who stands in it: a session that starts does so for milliseconds."""
_STILL_LIVE = timedelta(hours=1)
"""A session of which nothing was heard for so long is not called live."""


@contextmanager
def session(project: Project, command: str, environment: str) -> Iterator[None]:
    """Be a running session of a project.

    Raises `RecoveryNeededError` while a switch of its definitions is interrupted, `RestoreInterruptedError` while a
    restore of its data is, and `BusyError` while one happens.
    """
    folder = _folder(project)
    folder.make()
    with exclusive(folder, DOOR, doing="a promotion or rollback", wait_s=_DOOR_S):
        refuse_pending(project)
        refuse_interrupted(EnvironmentRoot(project, Environment(environment), "", {}))
        if owning := whose.owner(project):
            refuse_pending(owning)
        name = f"{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
        about = {"pid": os.getpid(), "command": command, "environment": environment,
                 "since": clock.timestamp(clock.now())}  # fmt: skip
        folder.replace(name, json.dumps(about).encode() + b"\n")
        descriptor = folder.open(name, os.O_RDWR)
        os.set_inheritable(descriptor, False)
        try_lock(descriptor)
    try:
        yield
    finally:
        with suppress(OSError):
            unlock(descriptor)
        os.close(descriptor)
        with suppress(FileNotFoundError):
            folder.remove(name)


@contextmanager
def quiet(project: Project, *, wait: bool, of: Collection[str] = ()) -> Iterator[None]:
    """Keep sessions of a project from starting, once none runs; else wait, or raise `BusyError` naming them.

    `of` names the environments whose sessions count, by default all.
    """
    folder = _folder(project)
    folder.make()
    with exclusive(folder, DOOR, doing="a session is starting, or another switch happens", wait_s=_DOOR_S):
        while found := running(project, of):
            if not wait:
                raise BusyError(
                    f"sessions are running there: {'; '.join(found)}", hint="end them, or wait for them: --wait"
                )
            time.sleep(_PAUSE_S)
        yield


def running(project: Project, of: Collection[str] = ()) -> list[str]:
    """Return the sessions that run now, in words, or only those `of` some environments; what killed ones left goes."""
    folder = _folder(project)
    names = [name for name in folder.names() if name.endswith(_SUFFIX)] if folder.has_folder() else []
    return [told for name in names if (told := _running(folder, name, of))]


def _running(folder: Folder, name: str, of: Collection[str]) -> str:
    try:
        descriptor = folder.open(name, os.O_RDWR)
    except FileNotFoundError:
        return ""
    try:
        if not try_lock(descriptor):
            return _told(folder, name, of)
        with suppress(FileNotFoundError):
            folder.remove(name)
        return ""
    finally:
        os.close(descriptor)


def _told(folder: Folder, name: str, of: Collection[str]) -> str:
    try:
        about = json.loads(folder.read(name))
        if of and about["environment"] not in of:
            return ""
        return f"{about['command']} (process {about['pid']}, {about['environment']}, since {about['since']})"
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return f"process {name.partition('-')[0]}"


def others(root: EnvironmentRoot) -> list[str]:
    """Return the ids of sessions that were started by other means and have not ended, as far as records tell."""
    live: dict[str, bool] = {}
    since = clock.timestamp(clock.now() - _STILL_LIVE)
    for record in journal.read(root.folder("sessions"), SESSION_LOG).records:
        if str(record.get("timestamp")) >= since:
            live[str(record.get("sessionId"))] = record.get("event") != "end"
    return [name for name, runs in live.items() if runs]


def _folder(project: Project) -> Folder:
    return Folder(project.path, FOLDER)

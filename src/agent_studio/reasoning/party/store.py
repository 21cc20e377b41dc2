"""Where parties are kept: `context/party/<id>/` with the transcript, what seats were shown, a lock, a wish to end."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.errors import BusyError, IntegrityError, UsageError, did_you_mean
from agent_studio.reasoning.party.materials import Material
from agent_studio.redaction.structure import redacted
from agent_studio.storage import chain_file, chained, locks
from agent_studio.storage.chain import Head

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.storage.chain_file import ChainFile
    from agent_studio.storage.folder import Folder

FOLDER, TRANSCRIPT, FILES, LOCK, CANCEL = "party", "transcript.jsonl", "files.json", "lock", "cancel"
KEY, CLOSED = "party.key", "party-closed.jsonl"
_ID = re.compile(r"p-\d{8}-\d{9}-\d{6}")
_KEY_BYTES = 32
_WAIT_S = 0.3
"""Who only looks whether somebody is at work lets go at once."""
_NO_FILES = b"[]"


class Place(NamedTuple):
    """Where one party is kept."""

    id: str
    folder: Folder
    root: EnvironmentRoot

    @property
    def shown(self) -> str:
        """How its transcript is called in messages."""
        return f"{self.root.kinds['context']}/{FOLDER}/{self.id}/{TRANSCRIPT}"

    def read(self) -> chained.Held:
        """Return the lines of its transcript; raise `IntegrityError` where one was changed or is gone."""
        return chained.read(self.folder, TRANSCRIPT)

    def keep_files(self, files: Sequence[Material]) -> str:
        """Keep what seats are shown, so that a resumed session shows the same; return its hash."""
        data = json.dumps([one._asdict() for one in files], ensure_ascii=False, separators=(",", ":")).encode()
        if files:
            self.folder.replace(FILES, data)
        return hashlib.sha256(data).hexdigest()

    def files(self, sha256: str) -> list[Material]:
        """Return the files that seats are shown; raise `IntegrityError` where they are others now."""
        try:
            data = self.folder.read(FILES)
        except FileNotFoundError:
            data = _NO_FILES
        if hashlib.sha256(data).hexdigest() != sha256:
            raise IntegrityError(
                f"{self.root.kinds['context']}/{FOLDER}/{self.id}/{FILES} is not what the session began with",
                hint="restore it from a copy, or ask anew",
            )
        return [Material(**one) for one in json.loads(data)]

    @contextmanager
    def held(self) -> Iterator[Transcript]:
        """Be the only process at work on it; raise `BusyError` where another one is."""
        with (
            locks.exclusive(self.folder, LOCK, doing=f"the party {self.id}", wait_s=_WAIT_S),
            chain_file.opened(self.folder, TRANSCRIPT) as file,
        ):
            yield Transcript(self, file)

    def is_running(self) -> bool:
        """Tell whether a process is at work on it."""
        try:
            with locks.exclusive(self.folder, LOCK, doing=f"the party {self.id}"):
                return False
        except BusyError:
            return True

    def wish_cancelled(self) -> None:
        """Leave word that it is to end."""
        self.folder.create(CANCEL, b"cancel\n")


class Transcript:
    """The transcript of a party that this process is at work on."""

    def __init__(self, place: Place, file: ChainFile) -> None:
        self.place, self._file = place, file

    @property
    def records(self) -> list[dict[str, Any]]:
        """What was there when it was opened."""
        return self._file.records

    def append(self, records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Add lines durably, without secrets, and return them as they are kept."""
        moment = clock.timestamp(clock.now())
        lines = [redacted({"timestamp": moment, **record}) for record in records]
        self._file.append(lines)
        return lines

    def close(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add the last line: how many there are before it, their head, and a seal; note its own outside."""
        place, head = self.place, self._file.head
        secret = key(place.root, create=True) or b""
        sealed = {**record, "lines": head.seq, "head": head.hash, "seal": seal(secret, place.id, head)}
        line = self.append([sealed])[0]
        self.note_closed()
        return line

    def note_closed(self) -> None:
        """Note outside the transcript how long it was when it was closed, so that what is cut off later is missed."""
        place, head = self.place, self._file.head
        if noted(place.root, place.id) is None:
            chained.append(place.root.state, CLOSED, {"party": place.id, "lines": head.seq, "head": head.hash})

    def is_wished_cancelled(self) -> bool:
        """Tell whether somebody wants it to end."""
        return self.place.folder.status(CANCEL) is not None


def new(context: Context) -> Place:
    """Make the folder of a new party."""
    moment = clock.now()
    stamp = f"{moment:%Y%m%d-%H%M%S}{moment.microsecond // 1000:03d}"
    place = _place(context, f"p-{stamp}-{secrets.randbelow(1_000_000):06d}")
    place.folder.make()
    return place


def find(context: Context, name: str) -> Place:
    """Return a party by its id, the end of its id, or `last`; raise `UsageError` where there is none, or more."""
    known = ids(context)
    if name == "last" and known:
        return _place(context, known[-1])
    found = [one for one in known if one == name] or [one for one in known if name and one.endswith(name)]
    if len(found) == 1:
        return _place(context, found[0])
    if found:
        raise UsageError(f"{len(found)} parties end in {name!r}", hint="write the whole id")
    hint = did_you_mean(name, known) if known else 'none was run yet: agent-studio party run "QUESTION"'
    raise UsageError(f"no party is named {name[:80]!r}", hint=hint)


def ids(context: Context) -> list[str]:
    """Return the ids of all parties, oldest first."""
    try:
        names = context.root.folder("context").at(FOLDER).names()
    except FileNotFoundError:
        return []
    return sorted(name for name in names if _ID.fullmatch(name))


def key(root: EnvironmentRoot, *, create: bool = False) -> bytes | None:
    """Return the environment's own key for transcripts, or None; nobody but the owner of the files can read it."""
    if create:
        root.state.make()
        root.state.create(KEY, secrets.token_hex(_KEY_BYTES).encode())
    try:
        return root.state.read(KEY)
    except FileNotFoundError:
        return None


def noted(root: EnvironmentRoot, party: str) -> Head | None:
    """Return the head of a closed party as it was noted; None where nothing was."""
    found = [one for one in chained.read(root.state, CLOSED).records if one["party"] == party]
    return Head(int(found[-1]["lines"]), str(found[-1]["head"])) if found else None


def seal(secret: bytes, party: str, head: Head) -> str:
    """Return what only who has the key can say of a transcript's length and head."""
    return hmac.new(secret, f"{party}\n{head.seq}\n{head.hash}".encode(), hashlib.sha256).hexdigest()


def _place(context: Context, name: str) -> Place:
    return Place(name, context.root.folder("context").at(f"{FOLDER}/{name}"), context.root)

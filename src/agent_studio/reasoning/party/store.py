"""Where parties are kept: `context/party/<id>/` with the transcript, what seats were shown, a lock, a wish to end."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.errors import BusyError, IntegrityError, UsageError, did_you_mean
from agent_studio.reasoning.party import seals
from agent_studio.reasoning.party.materials import Material
from agent_studio.redaction.structure import redacted
from agent_studio.storage import chain_file, locks
from agent_studio.storage.chain import Head

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.storage.chain_file import ChainFile
    from agent_studio.storage.chained import Held
    from agent_studio.storage.folder import Folder

RUN = 'agent-studio party run "QUESTION"'
FOLDER, TRANSCRIPT, FILES, LOCK, CANCEL = "party", "transcript.jsonl", "files.json", "lock", "cancel"
_ID = re.compile(r"p-\d{8}-\d{9}-\d{6}")
_WAIT_S = 0.3
"""Who only looks whether somebody is at work lets go at once."""
_NO_FILES = b"[]"
_LOOKS = 100
"""How often a transcript is read to which another process adds, until nothing was added meanwhile."""


class Place(NamedTuple):
    """Where one party is kept."""

    id: str
    folder: Folder
    root: EnvironmentRoot

    @property
    def shown(self) -> str:
        """How its transcript is called in messages."""
        return f"{self.root.kinds['context']}/{FOLDER}/{self.id}/{TRANSCRIPT}"

    def read(self) -> Held:
        """Return the lines of its transcript; raise `IntegrityError` where they do not follow from each other."""
        return chain_file.read(self.folder, TRANSCRIPT)

    def looked(self) -> tuple[Held, tuple[Head, ...] | None]:
        """Return its lines and where they may end, both as they were at one moment, whoever adds to them."""
        known = seals.noted(self.root, self.id)
        for _ in range(_LOOKS):
            held, before = self.read(), known
            known = seals.noted(self.root, self.id)
            if known == before:
                break
        return held, known

    def has_begun(self) -> bool:
        """Tell whether a line of it was ever written: a process may be killed before that."""
        status = self.folder.status(TRANSCRIPT)
        if status is not None and status.st_size:
            return True
        try:
            return seals.noted(self.root, self.id) != (Head(),)
        except IntegrityError:
            return True

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
        try:
            return [Material(**one) for one in json.loads(data)]
        except (TypeError, ValueError) as error:
            raise IntegrityError(f"{self.shown} names files that are none ({error})", hint="ask anew") from None

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
        self._file.append(lines, lambda heads: seals.note(self.place.root, self.place.id, heads))
        return lines

    def close(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add the last line: how many there are before it, their head, and a seal."""
        place, head = self.place, self._file.head
        secret = seals.key(place.root, create=True) or b""
        return self.append(
            [{**record, "lines": head.seq, "head": head.hash, "seal": seals.seal(secret, place.id, head)}]
        )[0]

    def refuse_unknown(self) -> None:
        """Raise `IntegrityError` where it does not end as it was left: nothing is built on what others have written."""
        if self._file.head not in (seals.noted(self.place.root, self.place.id) or ()):
            raise IntegrityError(
                f"{self.place.shown} does not end as it was left: lines were changed or cut off, or its note is gone",
                hint=f"restore both from a copy, or ask anew; see: agent-studio party verify {self.place.id} "
                f"--env {self.place.root.environment}",
            )

    def is_wished_cancelled(self) -> bool:
        """Tell whether somebody wants it to end."""
        return self.place.folder.status(CANCEL) is not None


def new(context: Context) -> Place:
    """Make the folder of a new party."""
    moment = clock.now()
    stamp = f"{moment:%Y%m%d-%H%M%S}{moment.microsecond // 1000:03d}"
    place = _place(context, f"p-{stamp}-{secrets.randbelow(1_000_000):06d}")
    seals.note(context.root, place.id, [Head()])
    place.folder.make()
    return place


def find(context: Context, name: str) -> Place:
    """Return a party by its id, the end of its id, or `last`; raise `UsageError` where there is none, or more."""
    known = every(context)
    if name == "last" and known:
        return known[-1]
    found = [one for one in known if one.id == name] or [one for one in known if name and one.id.endswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{len(found)} parties end in {name!r}", hint="write the whole id")
    hint = did_you_mean(name, [one.id for one in known]) if known else f"none was held there yet: {RUN}"
    raise UsageError(f"no party of {context.environment} is named {name[:80]!r}", hint=hint)


def every(context: Context) -> list[Place]:
    """Return where all parties are kept, oldest first."""
    try:
        names = context.root.folder("context").at(FOLDER).names()
    except FileNotFoundError:
        return []
    places = (_place(context, name) for name in sorted(names) if _ID.fullmatch(name))
    return [place for place in places if place.has_begun()]


def _place(context: Context, name: str) -> Place:
    return Place(name, context.root.folder("context").at(f"{FOLDER}/{name}"), context.root)

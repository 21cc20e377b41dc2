"""Is the ledger what was written? Every byte of it, from the first record to the last checkpoint.

The chain says where something is not as it was; what stands around that place says what was done.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio.cost import archives, checkpoints, original, segments
from agent_studio.records import LlmUsage
from agent_studio.storage import chain
from agent_studio.storage.chain import Head
from agent_studio.storage.folder import disk_faults

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from pathlib import Path

    from agent_studio.cost.checkpoints import Checkpoint
    from agent_studio.environment.roots import EnvironmentRoot, Project
    from agent_studio.storage.chain import Link

_CHUNK_BYTES = 4 << 20
_SIGNATURES_CHECKED = 10
"""The newest ones: an old checkpoint that agrees with the chain proves nothing more by its signature."""
_MARKS = (b'"_seq"', b'"_prevHash"', b'"_hash"')
_TORN_NOTE = b'{"type":"torn",'


class FirstBad(NamedTuple):
    """The first line that is not as it was written."""

    file: str
    line: int
    """From 1, in that file; one more than there are when lines are missing at the end."""
    kind: str
    """changed, deleted, inserted, reordered or truncated."""
    detail: str


@dataclass
class Verdict:
    """What verifying a ledger found."""

    records: int = 0
    """Whole lines."""
    first_bad: FirstBad | None = None
    head: Head = field(default_factory=Head)
    """Where the sound part ends."""
    size: int = 0
    """Bytes of the sound part."""
    torn_notes: int = 0
    torn_tail_bytes: int = 0
    """Behind the last whole line, left by a killed writer; the next append notes it."""
    checkpoints: int = 0
    """Checkpoints that agree with the chain."""
    unsigned: int = 0
    faults: list[str] = field(default_factory=list)
    """What is wrong with the checkpoints themselves."""
    returns: list[str] = field(default_factory=list)
    """Checkpoints that the ledger does not reach, or not as they were, since it was put back on purpose."""
    format: str = "agent-studio"

    @property
    def passed(self) -> bool:
        """Whether everything is as it was written."""
        return self.first_bad is None and not self.faults

    def to_json(self) -> dict[str, Any]:
        """Return the fields as commands print them."""
        return {
            "records": self.records,
            "verdict": "PASS" if self.passed else "FAIL",
            "firstBad": self.first_bad and self.first_bad._asdict(),
            "head": {"seq": self.head.seq, "size": self.size, "hash": self.head.hash},
            "tornNotes": self.torn_notes,
            "tornTailBytes": self.torn_tail_bytes,
            "checkpoints": {"checked": self.checkpoints, "unsigned": self.unsigned, "faults": self.faults},
            "returns": self.returns,
            "format": self.format,
        }


class _Line(NamedTuple):
    file: str
    number: int
    data: bytes


def verify(roots: Sequence[EnvironmentRoot], kept: Sequence[Checkpoint] = ()) -> Verdict:
    """Verify a ledger against its chain and the checkpoints of every environment that shares it; the owner is first.

    `kept` are checkpoints from elsewhere, to which alone archives are no excuse.
    """
    owner, anchors, verdict = roots[0], [], Verdict()
    for root in roots:
        reading = checkpoints.read(root)
        anchors += reading.found
        if reading.damaged_lines:
            verdict.faults.append(f"{root.state.path / checkpoints.FILE}: {reading.damaged_lines} lines are none")
    signed = [*anchors[-_SIGNATURES_CHECKED:], *kept]
    verdict.unsigned = sum(one.sig is None for one in [*anchors, *kept])
    folder = owner.folder(LlmUsage.kind)
    files = [folder.path / one.name for one in segments.segments(owner)]
    if not files and folder.has_file(segments.FILE):
        files = [folder.path / segments.FILE]
    newest = folder.path / segments.FILE
    _check(files, [*anchors, *kept], verdict, newest, excuse=_excuse(owner.project, kept, verdict))
    for checkpoint in signed:
        if (wrong := checkpoints.fault(checkpoint, owner.project)) is not None:
            verdict.faults.append(f"the checkpoint of {checkpoint.time} at record {checkpoint.seq}: {wrong}")
    return verdict


def _excuse(project: Project, kept: Sequence[Checkpoint], verdict: Verdict) -> Callable[[Checkpoint], bool]:
    """Return what tells, and notes, that a ledger which was put aside has the record of a checkpoint."""

    def excuse(one: Checkpoint) -> bool:
        place = "" if one in kept else archives.holding(project, one.seq, one.hash, one.time)
        if place:
            verdict.returns.append(f"the checkpoint of {one.time} ended at record {one.seq}: it is in {place}")
        return bool(place)

    return excuse


def verify_file(place: Path) -> Verdict:
    """Verify any one file, in our format or the original's; a later file of a chain starts where its first line says.

    Raises `StorageError` when it cannot be read.
    """
    with disk_faults(place), closing(_lines([place], Verdict())) as lines:
        first = next(lines, None)
    if first is not None and original.is_line(first.data):
        return _verify_original(place)
    verdict = Verdict()
    _check([place], [], verdict, place, start=_start(first))
    return verdict


def _start(first: _Line | None) -> Head:
    found = chain.read_link(first.data) if first else None
    return Head(found.seq - 1, found.previous) if found and found.seq > 1 else Head()


def _check(
    files: list[Path],
    anchors: list[Checkpoint],
    verdict: Verdict,
    newest: Path,
    start: Head = Head(),  # noqa: B008 - frozen
    excuse: Callable[[Checkpoint], bool] = lambda _: False,
) -> None:
    """Follow the chain through its files and fill in the verdict; `excuse` is asked of what does not agree."""
    promised: dict[int, list[Checkpoint]] = {}
    for one in anchors:
        if one.seq:
            promised.setdefault(one.seq, []).append(one)
    verdict.head = agreed = start
    before, last = None, None
    lines = _lines(files, verdict)
    for line in lines:
        verdict.records += 1
        follows = chain.after(verdict.head, line.data)
        if follows is None:
            verdict.first_bad = _kind(verdict.head, before, line, agreed, lambda: _lines(files, Verdict()))
            break
        said = promised.pop(follows.seq, ())
        broken = next((anchor for anchor in said if anchor.hash != follows.hash and not excuse(anchor)), None)
        if broken is not None:
            verdict.first_bad = _rewritten(files, agreed, broken)
            break
        if agreeing := sum(anchor.hash == follows.hash for anchor in said):
            agreed = follows
            verdict.checkpoints += agreeing
        verdict.head, before, last = follows, line, line
        verdict.size += len(line.data) + 1
        verdict.torn_notes += line.data.startswith(_TORN_NOTE)
    else:
        where = (last.file, last.number + 1) if last else (newest.name, 1)
        verdict.first_bad = _cut((one for said in promised.values() for one in said), verdict.head, where, excuse)
    verdict.records += sum(1 for _ in lines)


def _cut(
    left: Iterable[Checkpoint], head: Head, where: tuple[str, int], excuse: Callable[[Checkpoint], bool]
) -> FirstBad | None:
    """Return that records are missing behind the last one, by the first of the checkpoints that the chain misses."""
    missed = [one for one in left if one.seq > head.seq and not excuse(one)]
    first = min(missed, key=lambda one: one.seq, default=None)
    if first is None:
        return None
    return FirstBad(
        *where, "truncated", f"the checkpoint of {first.time} ended at record {first.seq}, not at {head.seq}"
    )


def _rewritten(files: list[Path], agreed: Head, anchor: Checkpoint) -> FirstBad:
    """Name the first line after the last checkpoint that agrees: from there the chain was cut or made anew."""
    detail = (
        f"record {anchor.seq} is not the one of the checkpoint of {anchor.time}: rewritten after record {agreed.seq}"
    )
    for line in _lines(files, Verdict()):
        found = chain.read_link(line.data)
        if found is not None and found.seq == agreed.seq + 1:
            return FirstBad(line.file, line.number, "changed", detail)
    raise AssertionError(detail)


def _kind(head: Head, before: _Line | None, line: _Line, agreed: Head, every: Any) -> FirstBad:
    """Say what was done at the first line that does not continue the chain."""
    own = chain.read_link(line.data)
    where = (line.file, line.number)
    rest = _After(head, own, _behind(every(), line))
    if rest.continues:
        if own is not None and own.sound and own.seq > head.seq + 1 and not rest.repeats:
            return FirstBad(*where, "reordered", f"record {own.seq} stands before record {head.seq + 1}")
        return FirstBad(*where, "inserted", f"record {head.seq + 1} follows behind it")
    if own is None or not own.sound:
        if rest.is_empty and (own is None or not line.data.strip()):
            added = not any(mark in line.data for mark in _MARKS)
            return FirstBad(
                *where, "inserted" if added else "changed", "the last line is none of the chain" + _look(line)
            )
        return FirstBad(*where, "changed", "what it says is not what its hash is of" + _look(line))
    if own.previous == head.hash:
        return FirstBad(*where, "changed", f"it is bound to record {head.seq}, and its number is {own.seq}")
    if own.seq > head.seq + 1:
        return FirstBad(*where, "deleted", f"records {head.seq + 1} to {own.seq - 1} are missing before it")
    if own.seq == head.seq + 1 and before is not None and head.seq > agreed.seq:
        return FirstBad(before.file, before.number, "changed", "the next line was bound to another one in its place")
    return FirstBad(*where, "changed", "it is not bound to the line before it")


def _look(line: _Line) -> str:
    """Say what an editor has done to the line, if it shows."""
    if line.data.endswith(b"\r"):
        return " (it ends in CR LF)"
    if line.data.startswith(b"\xef\xbb\xbf"):
        return " (it begins with a byte order mark)"
    return " (it is blank)" if not line.data.strip() else ""


class _After:
    """What stands behind a line that does not continue the chain."""

    def __init__(self, head: Head, own: Link | None, lines: Iterable[bytes]) -> None:
        self.continues = False
        """Whether the record that belongs in its place comes later."""
        self.repeats = False
        """Whether the line itself comes again."""
        self.is_empty = True
        for data in lines:
            self.is_empty = False
            self.repeats = self.repeats or (own is not None and data.endswith(f'"_hash":"{own.hash}"}}'.encode()))
            self.continues = self.continues or chain.after(head, data) is not None


def _behind(lines: Iterator[_Line], line: _Line) -> Iterator[bytes]:
    found = False
    for one in lines:
        if found:
            yield one.data
        found = found or (one.file, one.number) == (line.file, line.number)


def _lines(files: Sequence[Path], verdict: Verdict) -> Generator[_Line]:
    """Yield every whole line; what is torn at the end of the last file is counted in the verdict."""
    for place in files:
        number, rest = 0, b""
        with disk_faults(place), place.open("rb", buffering=0) as file:
            while chunk := file.read(_CHUNK_BYTES):
                *whole, rest = (rest + chunk).split(b"\n")
                for number, data in enumerate(whole, start=number + 1):  # noqa: B020 - counts on
                    yield _Line(place.name, number, data)
        if rest and place == files[-1]:
            verdict.torn_tail_bytes = len(rest)
        elif rest:
            yield _Line(place.name, number + 1, rest)


def _verify_original(place: Path) -> Verdict:
    verdict, head = Verdict(format="original"), Head(0, original.GENESIS)
    for line in _lines([place], verdict):
        verdict.records += 1
        follows = original.after(head, line.data)
        if follows is not None:
            verdict.head, verdict.size = follows, verdict.size + len(line.data) + 1
            head = follows
        elif verdict.first_bad is None:
            verdict.first_bad = FirstBad(line.file, line.number, *original.kind(head, line.data))
            return verdict
    return verdict

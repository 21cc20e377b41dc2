"""The records of one journal from a moment on, one by one, whatever files they are in by now."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from agent_studio.environment.sharing import sharing
from agent_studio.monitor import blocks, shared
from agent_studio.monitor.lines import MARK, record_of
from agent_studio.monitor.segments import JOURNALS, folder_of, segments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.context import Context
    from agent_studio.monitor.blocks import Stretch
    from agent_studio.monitor.segments import Segment


def records(
    context: Context, kind: str, since_ms: int, now_ms: int
) -> Iterator[tuple[dict[str, Any], int] | None]:  # fmt: skip
    """Yield each record with its time, ms since 1970, in the order of the journal; None for damage.

    Older ones, those from the future, and those of other environments that write to the same file come as well where
    they stand beside what is asked for. Who reads while files are sealed has to read again: see `metrics.settled`.
    What many machines share has no order but that of time, see `shared.records`.
    """
    if context.shared is not None:
        yield from shared.records(context, kind, since_ms)
        return
    owner = next(iter(sharing(context, JOURNALS[kind][0]).values()))
    index = blocks.Index(owner.state, folder_of(context.root, kind), kind)
    for segment in segments(context.root, kind):
        try:
            parts = index.stretches(segment, since_ms, now_ms + 1, now_ms)
            for line in _lines(context, segment, parts):
                yield record_of(line)
        except blocks.DamagedFileError:
            yield None
    index.keep()


def _lines(context: Context, segment: Segment, parts: list[Stretch]) -> Iterator[bytes]:
    if not parts:
        return
    with blocks.opened(folder_of(context.root, segment.kind), segment) as file:
        for part in parts:
            file.seek(part.start)
            left = None if part.end is None else part.end - part.start
            if not part.start and file.read(len(MARK)) != MARK:
                file.seek(0)
            yield from _stretch(file, left)


def _stretch(file: IO[bytes], left: int | None) -> Iterator[bytes]:
    while (left is None or left > 0) and (line := file.readline()):
        left = None if left is None else left - len(line)
        if not line.isspace():
            yield line.removesuffix(b"\n")

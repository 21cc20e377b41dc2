"""What a cost report over transcripts costs beside ccusage on the same files: the first time, and with nothing new."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script: the checkout is not on the path

from bench import measure
from bench.transcripts import ccusage, generate

if TYPE_CHECKING:
    from collections.abc import Iterator

COLD_RATIO, WARM_RATIO = 0.6, 0.05
_LIMITED_MB = 500
"""The limits are for this size: of a small report, starting an interpreter is most."""
ZONE = "Europe/Berlin"


class Compared(NamedTuple):
    """A report beside the peer's."""

    name: str
    wall_s: float
    ratio: float
    """Of CPU time, the peer's is 1."""
    limit: float | None


def compared(folder: Path, mb: int, rounds: int, seed: int) -> Iterator[Compared]:
    """Compare cold and warm on transcripts of a size; raise `ProgramMissingError` where the peer cannot be had."""
    program = ccusage.install()
    client, project = folder / f"client-{mb}", folder / f"project-{mb}"
    (project / ".claude").mkdir(parents=True)
    generate.of_size(client, mb, seed)
    own = (
        str(measure.SCRIPT), "cost", "report", "--source", "transcripts", "--config-dir", str(client),
        "--by", "day,model", "--timezone", ZONE, "--json", "--project", str(project),
    )  # fmt: skip
    variables = [f"{name}={value}" for name, value in ccusage.variables(client).items()]
    other = ("env", "-i", *variables, *ccusage.command(program, ZONE))
    for name, limit, prepare in (
        ("nothing read before", COLD_RATIO, lambda: _forget(project)), ("nothing new", WARM_RATIO, lambda: None),
    ):  # fmt: skip
        costs = measure.beside(lambda: own, other, rounds, prepare=prepare)
        held_to = limit if mb >= _LIMITED_MB else None
        yield Compared(f"`cost report`, {mb} MB of transcripts, {name}", costs.wall_s(), costs.cpu_ratio(), held_to)


def _forget(project: Path) -> None:
    for place in project.glob(".agent-studio/*/transcripts-*"):
        place.unlink()


def main() -> int:
    """Print both sizes; exit code 1 when a limit was missed."""
    import tempfile  # noqa: PLC0415 - only as a script

    missed = False
    with tempfile.TemporaryDirectory() as name:
        for mb in (100, 500):
            for one in compared(Path(name).resolve(), mb, 5, 1):
                print(f"{one.name}: {one.wall_s:.2f} s, {one.ratio:.3f} x CPU of ccusage (<= {one.limit})", flush=True)
                missed = missed or (one.limit is not None and one.ratio > one.limit)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())

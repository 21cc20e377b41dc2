"""Use everything at once while much goes wrong, and hold every total to a ledger of the trial's own.

python -m bench.soak --minutes 60 [--out FILE] [--keep DIR]: four clients (real ones where they can be installed), the
daemon, its dashboard, ingest, alerts, knowledge base, memory, parties, costs, evals, backups, promotions, retention;
kills, a full disk, wrong clocks, dirty lines. Exit code 1 when a total is not exact or something is left.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.soak.trial import Soak

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run it and print the report."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--no-client", action="store_true", help="recorded sessions alone")
    parser.add_argument("--disk-mb", type=int, help="size of the project's own disk (needs root)")
    parser.add_argument("--out", type=Path, help="where the report goes, as JSON")
    parser.add_argument("--keep", type=Path, help="a folder that does not exist: everything is left in it")
    args = parser.parse_args(argv)
    report = Soak(args.minutes, with_client=not args.no_client, disk_mb=args.disk_mb, keep=args.keep).run()
    text = json.dumps(report.as_dict(), indent=2)
    if args.out:
        args.out.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())

"""Audit what we stand on without a network: pinned and hashed, licensed as written down, files unchanged: make audit.

  --yanked   also ask the package index whether a pinned version was withdrawn (downloads every locked package)

It knows no vulnerabilities: for those the example workflow runs pip-audit, which asks a service.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script: the checkout is not on the path

from scripts.locked import GROUPS, LOCK, PAGE, REPOSITORY, SHIPPED, groups, read_lock, read_page, read_shipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scripts.locked import Locked, Stated

TOOLS = REPOSITORY / "packaging" / "tools.lock"
ALLOWED = frozenset((
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CNRI-Python", "ISC", "LGPL-3.0-only",
    "MIT", "MIT-0", "MPL-2.0", "PSF-2.0", "Zlib",
))  # fmt: skip
"""Licences that ask for their notice, and MPL-2.0 and LGPL-3.0, which ask for the source of
what they cover. None reaches over to ours: what is used is neither changed nor shipped."""
_SPOKEN = {
    "MIT License": "MIT",
    "Apache Software License": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
"""What older packages write for an SPDX expression."""


def main(argv: Sequence[str] | None = None) -> int:
    """Say what is wrong, else what was looked at; exit code 1 when anything is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lock", type=Path, default=LOCK, help="default: requirements.lock")
    parser.add_argument("--page", type=Path, default=PAGE, help="default: THIRD_PARTY.md")
    parser.add_argument("--yanked", action="store_true", help="also ask the package index")
    args = parser.parse_args(argv)
    lock, page = (place.read_text(encoding="utf-8") for place in (args.lock, args.page))
    locked, _ = read_lock(lock)
    stated = read_page(page)
    faults = [
        *_pins(args.lock.name, lock),
        *_pins(TOOLS.name, TOOLS.read_text(encoding="utf-8")),
        *_listed(locked, stated),
        *_licences(locked, stated),
        *_files(page, locked),
        *(_yanked(args.lock) if args.yanked else ()),
    ]
    for fault in faults:
        print(f"audit: {fault}", file=sys.stderr)
    if not faults:
        print(
            f"{len(locked)} locked packages, each pinned, hashed and under a licence of the list; {PAGE.name} is true"
        )
    return 1 if faults else 0


def _pins(name: str, text: str) -> Iterator[str]:
    locked, unread = read_lock(text)
    for line in unread:
        yield f"{name}: {line.strip()!r} pins no version by ==; run: make lock"
    for one in locked:
        if not one.hashes:
            yield f"{name}: {one.name} {one.version} has no hash; run: make lock"


def _listed(locked: Sequence[Locked], stated: dict[str, Stated]) -> Iterator[str]:
    for group, names in groups(list(locked)).items():
        for name in sorted(names):
            if name not in stated:
                yield f"{name} has no line in {PAGE.name}, under {group!r}"
            elif stated[name].group != group:
                yield f"{name} stands under {stated[name].group!r} in {PAGE.name}, and belongs under {group!r}"
    known = {one.name for one in locked}
    for name, one in stated.items():
        if name not in known and one.group != GROUPS[1]:  # extras for people need not be in the lock
            yield f"{name} stands in {PAGE.name} and is not locked"


def _licences(locked: Sequence[Locked], stated: dict[str, Stated]) -> Iterator[str]:
    names = {one.name for one in locked}
    for name, one in stated.items():
        try:
            written = canonicalize_license_expression(one.licence)
        except InvalidLicenseExpression:
            yield f"{name}: {one.licence!r} is no SPDX expression"
            continue
        refused = sorted(set(re.findall(r"[\w.+-]+", written)) - {"AND", "OR"} - ALLOWED)
        if refused:
            yield f"{name}: {', '.join(refused)} is not on the list of licences"
        found = _installed(name) if name in names else None
        if found and found != written:
            yield f"{name}: {PAGE.name} says {written}, the package says {found}"


def _installed(name: str) -> str | None:
    """Return what the installed package says; nothing where it is not installed here, or says it in prose only."""
    try:
        told = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    classified = [
        line.rpartition(" :: ")[2] for line in told.get_all("Classifier", []) if line.startswith("License ::")
    ]
    expression, prose = ((told.get_all(key) or [""])[0] for key in ("License-Expression", "License"))
    for said in (expression, prose.partition("\n")[0], *(classified if len(classified) == 1 else ())):
        try:
            if said:
                return str(canonicalize_license_expression(_SPOKEN.get(said, said)))
        except InvalidLicenseExpression:
            continue
    return None


def _files(page: str, locked: Sequence[Locked]) -> Iterator[str]:
    for one in read_shipped(page):
        place = REPOSITORY / SHIPPED / one.path
        if not place.is_file():
            yield f"{one.path} stands in {PAGE.name} and is not in the package"
        elif hashlib.sha256(place.read_bytes()).hexdigest() != one.sha256:
            yield f"{one.path} is not the file whose SHA-256 stands in {PAGE.name}"
        if one.licence not in ALLOWED:
            yield f"{one.path}: {one.licence} is not on the list of licences"
        name, _, version = one.purl.removeprefix("pkg:pypi/").partition("@")
        for package in locked:  # data that was compiled from a locked package
            if (package.name, package.version) == (name, version) and not set(package.hashes) & set(_digests(page)):
                yield f"{one.path}: no hash of {name} {version} in the lock stands in {PAGE.name}"


def _digests(page: str) -> list[str]:
    return re.findall(r"\b[0-9a-f]{64}\b", page)


def _yanked(lock: Path) -> Iterator[str]:
    asked = ("install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps", "--require-hashes", "--report", "-")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *asked, "-r", str(lock)],
        capture_output=True, text=True, check=False, env={**os.environ, "PIP_CONSTRAINT": ""},
    )  # fmt: skip
    if done.returncode:
        yield f"the package index could not be asked: {done.stderr.strip()[-300:]}"
        return
    for item in json.loads(done.stdout)["install"]:
        if item.get("is_yanked"):
            name, version = (item["metadata"][key] for key in ("name", "version"))
            yield f"{name} {version} was withdrawn from the index; run: make lock"


if __name__ == "__main__":
    sys.exit(main())

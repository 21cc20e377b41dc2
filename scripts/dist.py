"""Build wheel and source archive of the last commit twice, compare every byte, check what they hold: make dist.

The two builds differ in folder, umask, time zone and hash seed, and share the commit's time (SOURCE_DATE_EPOCH). The
wheel is built once more from the source archive. What passes is written to dist/, with SHA256SUMS.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = "src/agent_studio/"
BESIDE = ("CHANGELOG.md", "LICENSE", "README.md", "THIRD_PARTY.md", "packaging/licenses/", "pyproject.toml")
"""What the source archive holds beside the package; a name that ends in a slash is a folder."""
_MADE = {"wheel": r"METADATA|RECORD|WHEEL|entry_points\.txt", "sdist": r"PKG-INFO|\.gitignore"}
"""What the builder adds."""
_PLACES = re.compile(rb"(?<![\w.~/])/(?:home|root|Users|work|tmp)/[\w.-]+/[\w.-]+")
"""Paths of a machine. Texts that speak of such folders in general name no file in them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Build, compare, check, write; exit code 1 and nothing written when anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "dist", help="folder to write to (default: dist)")
    parser.add_argument("--once", action="store_true", help="do not build a second time")
    args = parser.parse_args(argv)
    if _git("status", "--porcelain"):
        print("dist: changes that are not committed are not in it", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="dist-") as name:
        place = Path(name)
        source = _exported(place / "a")
        built = _built(source, place / "out-a", umask=0o022, TZ="UTC", PYTHONHASHSEED="0")
        faults = [fault for each in built for fault in _faults(each, source)]
        if not args.once:
            other = _built(_exported(place / "some where else"), place / "b", umask=0o077, TZ="Asia/Tokyo")
            faults += _differences(built, other, "two builds of one commit")
            unpacked = _unpacked(next(each for each in built if each.suffix == ".gz"), place / "c")
            wheel = _built(unpacked, place / "out-c", "wheel", umask=0o027, TZ="America/Lima")
            faults += _differences([each for each in built if each.suffix == ".whl"], wheel, "commit and archive")
        print(*(f"dist: {fault}" for fault in faults), sep="\n", end="\n" if faults else "", file=sys.stderr)
        if not faults:
            _write(built, args.out)
        return 1 if faults else 0


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=REPOSITORY, check=True, capture_output=True).stdout


def _exported(folder: Path) -> Path:
    with tarfile.open(fileobj=io.BytesIO(_git("archive", "HEAD"))) as archive:
        archive.extractall(folder, filter="data")
    return folder


def _unpacked(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    return next(folder.iterdir())


def _built(source: Path, out: Path, *targets: str, umask: int, **variables: str) -> list[Path]:
    epoch = _git("log", "-1", "--format=%ct").decode().strip()
    chosen = [word for target in targets for word in ("-t", target)]
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", *chosen, "-d", str(out)],
        cwd=source, umask=umask, check=False, capture_output=True, text=True,
        env={**os.environ, "SOURCE_DATE_EPOCH": epoch, **variables},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"dist: the builder failed:\n{done.stderr}")
    return sorted(out.iterdir())


def _differences(ours: Sequence[Path], theirs: Sequence[Path], what: str) -> list[str]:
    if [each.name for each in ours] != [each.name for each in theirs]:
        return [f"{what} give files of other names"]
    return [
        f"{what} differ in {one.name}: {_first_difference(members(one), members(other))}"
        for one, other in zip(ours, theirs, strict=True)
        if one.read_bytes() != other.read_bytes()
    ]


def _first_difference(ours: Mapping[str, bytes], theirs: Mapping[str, bytes]) -> str:
    names = sorted(ours.keys() | theirs.keys())
    return next((name for name in names if ours.get(name) != theirs.get(name)), "order, times or modes")


def members(archive: Path) -> dict[str, bytes]:
    """Return every file of a wheel or source archive with its bytes."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return {one.filename: wheel.read(one) for one in wheel.infolist() if not one.is_dir()}
    with tarfile.open(archive) as source:
        opened = ((one, source.extractfile(one)) for one in source.getmembers())
        return {one.name: file.read() for one, file in opened if file is not None}


def _faults(archive: Path, source: Path) -> list[str]:
    """Return what is missing in it, what is in it and should not be, and whose bytes are another's."""
    held = members(archive)
    kind = "wheel" if archive.suffix == ".whl" else "sdist"
    wanted = _wheel_files(held) if kind == "wheel" else _source_files(held)
    made = re.compile(rf"[^/]+/(?:{_MADE[kind]})")
    more = [name for name in held if name not in wanted and not made.fullmatch(name)]
    faults = [f"{archive.name} lacks {name}" for name in wanted if name not in held]
    faults += [f"{archive.name} has {name}, which is no part of it" for name in more]
    faults += [f"{name} in {archive.name} is not as committed" for name, path in wanted.items()
               if name in held and held[name] != (source / path).read_bytes()]  # fmt: skip
    for name, content in held.items():
        for found in sorted(set(_PLACES.findall(content))):
            faults.append(f"{name} in {archive.name} names a place of a machine: {found.decode()}")
    return faults


def _committed() -> list[str]:
    return _git("ls-tree", "-r", "--name-only", "-z", "HEAD").decode().rstrip("\0").split("\0")


def _wheel_files(held: Mapping[str, bytes]) -> dict[str, str]:
    """Return which committed file each member of the wheel is."""
    base = next(name.partition("/")[0] for name in held if ".dist-info/" in name)
    wanted = {}
    for path in _committed():
        if path.startswith(PACKAGE):
            wanted[path.removeprefix("src/")] = path
        elif path in {"LICENSE", "THIRD_PARTY.md"} or path.startswith("packaging/licenses/"):
            wanted[f"{base}/licenses/{path}"] = path
    return wanted


def _source_files(held: Mapping[str, bytes]) -> dict[str, str]:
    base = next(iter(held)).partition("/")[0]
    beside = tuple(name for name in BESIDE if name.endswith("/"))
    chosen = [path for path in _committed() if path in BESIDE or path.startswith((PACKAGE, *beside))]
    return {f"{base}/{path}": path for path in chosen}


def _write(built: Sequence[Path], out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for old in (*out.glob("agent_studio-*"), *out.glob("SHA256SUMS")):
        old.unlink()
    sums = [f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.name}" for each in built]
    for each in built:
        shutil.copyfile(each, out / each.name)
    (out / "SHA256SUMS").write_text("\n".join(sums) + "\n", encoding="utf-8")
    print(*sums, sep="\n")


if __name__ == "__main__":
    sys.exit(main())

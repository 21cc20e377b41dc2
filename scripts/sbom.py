"""Write the bill of materials as CycloneDX JSON, from the lock and what the package ships of others: make sbom.

Runs in .tools. The same commit gives the same bytes: the time is the commit's, the serial number follows from the rest.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, UUID, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script: the checkout is not on the path

from scripts.locked import GROUPS, LOCK, PAGE, REPOSITORY, groups, normal, read_lock, read_page, read_shipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scripts.locked import Locked, Shipped

VERSION = SchemaVersion.V1_6
_SCOPES = dict(zip(GROUPS, (ComponentScope.REQUIRED, ComponentScope.OPTIONAL, ComponentScope.EXCLUDED), strict=True))
_licences = LicenseFactory()


def main(argv: Sequence[str] | None = None) -> int:
    """Write the file; exit code 1 and nothing written when it does not follow the schema."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="default: dist/agent_studio-VERSION.cdx.json")
    args = parser.parse_args(argv)
    ours = (REPOSITORY / "src/agent_studio/__init__.py").read_text(encoding="utf-8")
    version = re.search(r'^__version__ = "(.+)"$', ours, re.MULTILINE)
    if version is None:
        raise SystemExit("sbom: src/agent_studio/__init__.py names no version")
    out = args.out or REPOSITORY / "dist" / f"agent_studio-{version[1]}.cdx.json"
    text = _written(_bill(version[1]))
    faults = JsonStrictValidator(VERSION).validate_str(text, all_errors=True)
    for fault in faults or ():
        print(f"sbom: {fault}", file=sys.stderr)
    if faults:
        return 1
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    print(out)
    return 0


def _bill(version: str) -> Bom:
    locked, _ = read_lock(LOCK.read_text(encoding="utf-8"))
    page = PAGE.read_text(encoding="utf-8")
    stated = read_page(page)
    scopes = {name: _SCOPES[group] for group, names in groups(locked).items() for name in names}
    root = Component(
        name="agent-studio", version=version, type=ComponentType.APPLICATION, bom_ref="agent-studio",
        licenses=[_licences.make_from_string("MIT")], purl=PackageURL("generic", None, "agent-studio", version),
        components=_shipped(read_shipped(page)),
    )  # fmt: skip
    bill = Bom(serial_number=UUID(int=0))
    bill.metadata.component = root
    bill.metadata.timestamp = _committed()
    made = {one: _package(one, stated[one.name].licence, scopes[one.name]) for one in locked}
    bill.components.update(made.values())
    for needing in {"agent-studio", *(one.name for one in locked)}:
        needed = [component for one, component in made.items() if needing in one.needed_by]
        for subject in [root] if needing == "agent-studio" else [made[one] for one in locked if one.name == needing]:
            bill.register_dependency(subject, needed)
    return bill


def _package(one: Locked, licence: str, scope: ComponentScope) -> Component:
    when = [Property(name="agent-studio:marker", value=one.marker)] if one.marker else []
    return Component(
        name=one.name, version=one.version, type=ComponentType.LIBRARY, scope=scope, properties=when,
        purl=PackageURL("pypi", None, normal(one.name), one.version), bom_ref=f"{one.name}@{one.version}",
        licenses=[_licences.make_from_string(licence)], hashes=_sha256(one.hashes),
    )  # fmt: skip


def _shipped(files: Iterable[Shipped]) -> list[Component]:
    """Return one component a project, which holds its files."""
    found: dict[str, list[Shipped]] = {}
    for one in files:
        found.setdefault(one.purl, []).append(one)
    return [
        Component(
            name=PackageURL.from_string(purl).name, version=PackageURL.from_string(purl).version, bom_ref=purl,
            type=ComponentType.LIBRARY, purl=PackageURL.from_string(purl), scope=ComponentScope.REQUIRED,
            licenses=[_licences.make_from_string(held[0].licence)],
            components=[
                Component(name=f"agent_studio/{one.path}", type=ComponentType.FILE, bom_ref=f"file:{one.path}",
                          hashes=_sha256([one.sha256]))
                for one in held
            ],
        )
        for purl, held in found.items()
    ]  # fmt: skip


def _sha256(digests: Iterable[str]) -> list[HashType]:
    return [HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in digests]


def _committed() -> datetime:
    line = ("git", "log", "-1", "--format=%ct")
    done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return datetime.fromtimestamp(int(done.stdout), UTC)


def _written(bill: Bom) -> str:
    """Return the bill as JSON; its serial number is made of all else in it."""
    drawn = make_outputter(bill, OutputFormat.JSON, VERSION).output_as_string(indent=2)
    bill.serial_number = uuid5(NAMESPACE_URL, drawn)
    return str(make_outputter(bill, OutputFormat.JSON, VERSION).output_as_string(indent=2)) + "\n"


if __name__ == "__main__":
    sys.exit(main())

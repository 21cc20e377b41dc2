"""The page on architecture says what the test of the architecture allows, and names modules that exist."""

from __future__ import annotations

import re
from pathlib import Path

from tests.test_architecture import ARROWS, FLOORS, GROUND_ORDER, MODULES

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
_FLOORS_ON_THE_PAGE = {4: 4, 3: 3, 2: 2, 1: 0}
"""The ground is floor 1 on the page, and 0 where it is counted."""


def names(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def test_the_page_puts_every_package_on_its_floor() -> None:
    rows = re.findall(r"^\| (\d) \w+ \| ([^|]+) \|", PAGE, re.MULTILINE)
    told = {name: _FLOORS_ON_THE_PAGE[int(floor)] for floor, cell in rows for name in names(cell)}
    assert told == {name: floor for name, floor in FLOORS.items() if name != "__main__"}
    assert names(rows[-1][1]) == list(GROUND_ORDER)


def test_the_page_has_every_arrow_between_neighbours_and_no_other() -> None:
    table = PAGE.split("| from | to |", 1)[1].split("\n\n", 1)[0]
    rows = re.findall(r"^\| (`[^|]+) \| ([^|]+) \|", table, re.MULTILINE)
    assert {(one, other) for left, right in rows for one in names(left) for other in names(right)} == ARROWS


def test_modules_that_the_page_names_exist() -> None:
    """A name in code with a dot is a module, or something in one; the package may be left out where it is plain."""
    packages = {name.split(".")[1] for name in MODULES if "." in name}
    missing = []
    for name in re.findall(r"`([a-z_]+(?:[./]\w+)+)`", PAGE):
        parts = name.removesuffix(".py").replace("/", ".").split(".")
        if parts[0] not in packages:
            continue
        depth = next((n for n in range(len(parts), 0, -1) if ".".join(("agent_studio", *parts[:n])) in MODULES), 0)
        source = MODULES[".".join(("agent_studio", *parts[:depth]))].read_text(encoding="utf-8")
        if not depth or (parts[depth:] and not re.search(rf"^(?:def |class )?{parts[depth]}\b", source, re.MULTILINE)):
            missing.append(name)
    assert missing == ["cli/commands/VERB.py"]

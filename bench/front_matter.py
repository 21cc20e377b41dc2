"""Holds the front-matter reader to a strict one over a whole tree: `python -m bench.front_matter TREE`.

Each block that ruamel.yaml accepts must be read as the same fields without a repair; each other one must be repaired,
and ruamel.yaml must read the repaired block as the same fields. Exit code 1 when a file fails.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from agent_studio.knowledge.front_matter import FrontMatter, flat, read
from agent_studio.knowledge.text import decode

_NULL = "tag:yaml.org,2002:null"


def strict(block: str) -> dict[str, Any] | None:
    """Return what a strict reader makes of a block, scalars as they are written; None where it refuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # reused anchors
        try:
            loaded = YAML(typ="safe", pure=True).load(block)
            node = YAML(typ="safe", pure=True).compose(block)
            found = _plain(node) if node else {}
        except Exception:  # noqa: BLE001 - it may refuse in many ways
            return None
    return found if loaded is None or (isinstance(loaded, dict) and isinstance(found, dict)) else None


def _plain(node: Any) -> Any:
    if node.id == "scalar":
        return "" if node.tag == _NULL else node.value
    if node.id == "sequence":
        return [_plain(item) for item in node.value]
    found = {_plain(key): _plain(value) for key, value in node.value}
    if len(found) < len(node.value):
        raise ValueError("an empty key and one that is null: the same to us")
    return found


def verdict(text: str, found: FrontMatter) -> str:
    """Return `same`, `repaired`, `none` (no front matter), or what is wrong."""
    lines = text.replace("\r\n", "\n").split("\n")
    before = strict(_block(lines))
    if not lines[0].startswith("---"):
        return "none"
    if not found.repairs:
        return "same" if before is not None and flat(before) == found.fields else "DIFFERS"
    for one in reversed(found.repairs):
        lines[one.line - 1 : one.line - 1 + one.lines] = one.repaired.split("\n") if one.repaired else []
    after = strict(_block(lines))
    if before is not None and flat(before) == found.fields:
        return "NEEDLESS"
    return "repaired" if after is not None and flat(after) == found.fields else "UNSOUND"


def _block(lines: list[str]) -> str:
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), len(lines))
    return "\n".join(lines[1:end]) + "\n"


def main(tree: str) -> int:
    """Read every Markdown file below a folder, compare, and print the counts."""
    texts = {place: decode(place.read_bytes())[0] for place in sorted(Path(tree).rglob("*.md"))}
    started = time.process_time()
    found = {place: read(text) for place, text in texts.items()}
    seconds = time.process_time() - started
    verdicts = {place: verdict(texts[place], one) for place, one in found.items()}
    codes = Counter(one.code for matter in found.values() for one in matter.repairs)
    wrong = [place for place, said in verdicts.items() if said.isupper()]
    for place in wrong:
        sys.stdout.write(f"{verdicts[place]}: {place}\n")
    sys.stdout.write(f"{len(texts)} files read in {seconds:.2f} s of processor time\n")
    sys.stdout.write(f"{dict(Counter(verdicts.values()))}\nrepairs: {dict(codes)}\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

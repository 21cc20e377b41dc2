"""Build the documentation as a site that asks nobody anything: scripts/site.py, started by `make docs`.

Pages are laid out in build/docs/pages as they lie in the repository, so that a link means the same here and on a code
host. Whatever a page would fetch from elsewhere when it is opened is taken out or an error.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
TARGET = REPOSITORY / "build" / "docs"
CONFIGURATION = REPOSITORY / "docs" / "zensical.toml"
_SHIM = re.compile(r'<script src="https://unpkg\.com/iframe-worker/shim"[^>]*></script>')
_WORDS = re.compile(r"^(```\w+) [^\n]+$", re.MULTILINE)
"""What stands after the language of a block is for our tests; the site's reader would take such a block for text."""
_FENCE = re.compile(r"^ *(```+).*?^ *\1$", re.MULTILINE | re.DOTALL)
_FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc\s*=\s*["']?(?:https?:)?//[^\s"'>]*"""
    r"""|<link\b[^>]*\bhref\s*=\s*["']?(?:https?:)?//[^\s"'>]*"""
    r"""|(?:url\(|@import\s)\s*["']?(?:https?:)?//[^\s"')]*"""
)
"""What a browser asks for without being told to by a person."""


def main() -> int:
    """Build the site; return 1 where a link is broken, or a page would fetch something or has lost something."""
    lay_out(TARGET / "pages")
    shutil.copy(CONFIGURATION, TARGET / CONFIGURATION.name)
    build = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "--config-file", CONFIGURATION.name]
    if subprocess.run(build, cwd=TARGET, check=False).returncode:
        return 1
    settle(TARGET / "site")
    found = [*fetched(TARGET / "site"), *lost(TARGET / "site")]
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{len(pages())} pages: {(TARGET / 'site' / 'index.html').relative_to(REPOSITORY)}")
    return int(bool(found))


def pages() -> list[str]:
    """Return the path of every page of the site, in the repository."""
    places = (*REPOSITORY.glob("*.md"), *REPOSITORY.glob("bench/*.md"), *REPOSITORY.glob("docs/**/*.md"))
    return sorted(place.relative_to(REPOSITORY).as_posix() for place in places)


def named(nav: list[Any]) -> list[str]:
    """Return the paths of the pages in a navigation, in its order."""
    found: list[str] = []
    for entry in nav:
        for target in entry.values():
            found += named(target) if isinstance(target, list) else [target]
    return found


def navigation() -> list[str]:
    """Return the paths of the pages in the navigation of the site."""
    return named(tomllib.loads(CONFIGURATION.read_text(encoding="utf-8"))["project"]["nav"])


def lay_out(target: Path) -> None:
    """Copy pages, pictures, and the files that pages link to."""
    shutil.rmtree(target, ignore_errors=True)
    linked = {
        (REPOSITORY / page).parent / link
        for page in pages()
        for link in re.findall(r"\]\(([^)#\s:]+)\)", (REPOSITORY / page).read_text(encoding="utf-8"))
    }
    assets = set((REPOSITORY / "docs" / "assets").rglob("*"))
    for place in {*linked, *assets, *(REPOSITORY / page for page in pages())}:
        if place.is_file():
            copy = target / place.resolve().relative_to(REPOSITORY)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(place, copy)
            if copy.suffix == ".md":
                copy.write_text(_WORDS.sub(r"\1", copy.read_text(encoding="utf-8")), encoding="utf-8")


def settle(site: Path) -> None:
    """Have search work from the disk with a script of our own, where the theme would fetch one."""
    (worker,) = site.glob("assets/javascripts/workers/search.*.min.js")
    source = (site / "docs/assets/site/search.js").read_text(encoding="utf-8")
    text = f"window.searchWorker = {json.dumps(worker.read_text(encoding='utf-8'))};\n{source}"
    (site / "assets" / "search.js").write_text(text, encoding="utf-8")
    for page in site.rglob("*.html"):
        up = "../" * (len(page.relative_to(site).parts) - 1)
        mended = _SHIM.sub(f'<script src="{up}assets/search.js"></script>', page.read_text(encoding="utf-8"))
        page.write_text(mended, encoding="utf-8")


def fetched(site: Path) -> list[str]:
    """Return what pages and style sheets would fetch from other hosts, each with the file that does."""
    return [
        f"{place.relative_to(site).as_posix()}: {found}"
        for place in sorted(site.rglob("*"))
        if place.suffix in {".html", ".css", ".svg"}
        for found in _FETCHED.findall(place.read_text(encoding="utf-8"))
    ]


def lost(site: Path) -> list[str]:
    """Return the pages that have fewer headings, blocks or tables in the site than in the repository."""
    found = []
    for page in pages():
        text = (REPOSITORY / page).read_text(encoding="utf-8")
        prose = _FENCE.sub("", text)
        place = (site / page).with_suffix(".html")
        html = (place.with_name("index.html") if place.stem == "README" else place).read_text(encoding="utf-8")
        counts = {
            "headings": (len(re.findall(r"^#{1,6} ", prose, re.MULTILINE)), len(re.findall(r"<h[1-6] id=", html))),
            "blocks": (len(_FENCE.findall(text)), html.count("<pre>")),
            "tables": (len(re.findall(r"^\|[ :]*-{2,}", prose, re.MULTILINE)), html.count("<table>")),
        }
        found += [
            f"{page}: {ours} {kind}, {theirs} in the site" for kind, (ours, theirs) in counts.items() if ours != theirs
        ]
    return found


if __name__ == "__main__":
    sys.exit(main())

"""The site of `make docs`, without building it: pages, navigation, what pages would fetch, what both renderers read."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from scripts import site
from tests.conftest import REPOSITORY

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_ITEM = re.compile(r"(?:[-*]|\d+\.) ")


def test_the_navigation_names_every_page_once() -> None:
    named = Counter(site.navigation())
    missing = sorted(set(site.pages()) - set(named))
    assert missing == [], f"add to nav in docs/zensical.toml: {', '.join(missing)}"
    assert sorted(set(named) - set(site.pages())) == [], "nav in docs/zensical.toml names pages that are not there"
    assert [page for page, count in named.items() if count > 1] == []


def test_what_a_page_would_fetch_from_another_host_is_found(tmp_path: Path) -> None:
    tmp_path.joinpath("page.html").write_text(
        '<a href="https://example.org">a person clicks</a><link rel="next" href="./b.html">\n'
        '<script src="//example.org/a.js"></script><img alt="" src=https://example.org/b.png>\n'
        '<link rel="stylesheet" href="https://example.org/c.css"><script src="assets/search.js"></script>\n'
    )
    tmp_path.joinpath("page.css").write_text("@import '//example.org/d.css'; a { background: url(./e.png) }")
    found = " ".join(site.fetched(tmp_path))
    assert re.findall(r"example\.org/(\w)\.", found) == ["d", "a", "b", "c"]


def test_search_is_given_its_worker_in_a_script_of_our_own(tmp_path: Path) -> None:
    for name, text in {
        "assets/javascripts/workers/search.1.min.js": 'say("</script>")',
        "docs/assets/site/search.js": "later();",
        "docs/page.html": '<script src="https://unpkg.com/iframe-worker/shim" type="text/javascript"></script>',
    }.items():
        tmp_path.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        tmp_path.joinpath(name).write_text(text)
    site.settle(tmp_path)
    assert tmp_path.joinpath("docs/page.html").read_text() == '<script src="../assets/search.js"></script>'
    assert "searchWorker" in tmp_path.joinpath("assets/search.js").read_text()
    assert site.fetched(tmp_path) == []


def test_what_a_block_says_to_our_tests_is_kept_from_the_reader_of_the_site(tmp_path: Path) -> None:
    site.lay_out(tmp_path)
    text = tmp_path.joinpath("README.md").read_text()
    assert "```bash no-run\n" in REPOSITORY.joinpath("README.md").read_text()
    assert re.findall(r"^```.* .*$", text, re.MULTILINE) == []
    assert text.count("```") == REPOSITORY.joinpath("README.md").read_text().count("```")


def test_pages_are_laid_out_with_all_that_they_link_to(tmp_path: Path) -> None:
    site.lay_out(tmp_path)
    for page in site.pages():
        for link in re.findall(r"\]\(([^)#\s:]+)\)", _FENCE.sub("", tmp_path.joinpath(page).read_text())):
            assert (tmp_path / page).parent.joinpath(link).exists(), f"{page}: {link}"


@pytest.mark.parametrize("page", site.pages())
def test_lists_and_tables_of_a_page_are_read_alike_on_a_code_host_and_in_the_site(page: str) -> None:
    """The site's reader wants an empty line before a list or table, and four columns for a list in a list."""
    text = _FENCE.sub(lambda found: "\n" * found[0].count("\n"), (REPOSITORY / page).read_text())
    lines = ["", *text.splitlines()]
    for number, (before, line) in enumerate(itertools.pairwise(lines), 1):
        begins = bool(_ITEM.match(line)) and not _ITEM.match(before) and not before.startswith("  ")
        begins |= line.startswith("|") and not before.startswith("|")
        assert not (begins and before.strip()), f"{page}:{number}: an empty line is missing before: {line}"
        assert not re.match(r" {1,3}[-*] ", line), f"{page}:{number}: four spaces are needed: {line}"


def test_pictures_of_the_pages_that_explain_are_what_the_package_works_out() -> None:
    script = REPOSITORY / "scripts" / "figures.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), "run: python scripts/figures.py"


def test_the_readme_is_read_in_minutes_and_its_pictures_are_light() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert len(_FENCE.sub("", text).split()) <= 700
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert {Path(picture).suffix for picture in pictures} == {".png", ".svg"}
    assert all((REPOSITORY / picture).stat().st_size < 300_000 for picture in pictures)

"""Pictures of the web dashboard for the documentation: a real Chromium with the font Inter, on a project made for it.

scripts/screenshots.py [NAME ...] writes docs/assets/web/NAME.png, every one unless some are named.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script

from bench.browser import browser, dashboard, program, settled
from bench.measure import REPOSITORY, clean_variables
from scripts import demo

if TYPE_CHECKING:
    from playwright.sync_api import Page

TARGET = REPOSITORY / "docs" / "assets" / "web"
DESK = {"viewport": {"width": 1280, "height": 860}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2}
DARK = {"color_scheme": "dark"}


class Shot(NamedTuple):
    """One picture."""

    name: str
    page: str
    options: dict[str, Any]


SHOTS = (
    Shot("overview", "", DESK),
    Shot("overview-dark", "", DESK | DARK),
    Shot("overview-phone", "", PHONE),
    Shot("hooks", "/hooks", DESK | DARK),
    Shot("hook", "/hook?of=format-on-save.py", DESK),
    Shot("agents", "/agents", DESK),
    Shot("errors", "/errors", DESK),
    Shot("costs", "/costs?hours=168", DESK),
    Shot("session", "/session?of=SESSION", DESK | DARK),
    Shot("alerts", "/alerts", DESK),
    Shot("knowledge", "/knowledge?of=review+pull+request", DESK),
)


def main() -> None:
    """Take every picture, or those that are named."""
    wanted = [shot for shot in SHOTS if shot.name in sys.argv[1:] or not sys.argv[1:]]
    place = program() or sys.exit("no Chromium is installed")
    if not subprocess.run(["fc-list", "Inter"], check=False, capture_output=True).stdout:
        sys.exit("the font Inter is not installed: apt-get install fonts-inter")
    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        project = demo.make(Path(folder))
        evaluate = (sys.executable, "-m", "agent_studio", "monitor", "--alerts", "--env", "staging")
        subprocess.run(evaluate, cwd=project, env=clean_variables(), check=False, capture_output=True)
        with dashboard(project) as address, browser(place) as started:
            for shot in wanted:
                take(started.new_context(**shot.options).new_page(), address, shot)
    print(f"{len(wanted)} pictures in {TARGET.relative_to(REPOSITORY)}")


def take(window: Page, address: str, shot: Shot) -> None:
    """Open a page as a person would, and take its picture once it is drawn."""
    window.goto(address)
    settled(window)
    url = address.partition("#")[0] + shot.page.replace("SESSION", busiest(window))
    window.goto(url)
    settled(window)
    window.get_by_text("Live", exact=True).wait_for()
    window.wait_for_timeout(300)  # charts are drawn once they know their width
    window.screenshot(path=TARGET / f"{shot.name}.png", animations="disabled")


def busiest(window: Page) -> str:
    """Return the session in which most happened."""
    found = json.loads(window.evaluate("fetch('/api/sessions').then((answer) => answer.text())"))["sessions"]
    name: str = max(found, key=lambda one: (one["failures"], one["calls"]))["sessionId"]
    return name


if __name__ == "__main__":
    main()

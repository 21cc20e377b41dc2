"""A real Chromium on the web dashboard: for tests, for pictures, and for how long figures of many events take."""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench.measure import clean_variables
from bench.projects import Trial

from agent_studio import clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIETLY = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
"""It asks nobody anything; the sandbox needs rights that root in a container lacks."""
EVENTS = 1_000_000
DAYS = 30
PAINT_MS = 1_000
_VISITS = 5
_STUDIO = (sys.executable, "-m", "agent_studio")


def program() -> str | None:
    """Return where a Chromium is, or None."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@contextmanager
def browser(place: str) -> Iterator[Browser]:
    """Start it without a window."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where there is a browser

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=place, args=list(QUIETLY))
        yield started
        started.close()


def settled(window: Page) -> None:
    """Wait until a page is drawn, its figures included."""
    window.wait_for_selector("main[aria-busy=false] h1")


def first_figures_ms(window: Page, url: str) -> tuple[float, float]:
    """Return how long it takes from the address to the first paint, and to figures on the screen."""
    began = time.perf_counter()
    window.goto(url)
    settled(window)
    took = (time.perf_counter() - began) * 1000
    painted: float = window.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    return painted, took


@contextmanager
def dashboard(project: Path, environment: str = "staging") -> Iterator[str]:
    """Serve a project's dashboard; yield its address, token included."""
    process = subprocess.Popen(
        [*_STUDIO, "monitor", "web", "--env", environment, "--port", "0"], cwd=project, env=clean_variables(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        line = process.stdout.readline() if process.stdout else ""
        found = re.search(r"http\S+", line)
        if found is None:
            raise RuntimeError(f"the dashboard does not start: {line}{process.communicate(timeout=20)[1]}")
        yield found[0]
    finally:
        process.terminate()
        process.communicate(timeout=20)


def crowd(place: Path, count: int) -> None:
    """Write that many hook runs over 30 days, in order, a record a line."""
    span_s = DAYS * 86_400
    began = time.time() - span_s
    fixed = '"event":"PostToolUse","tool":"Edit","status":"success","agent":null,"metadata":{},"environment":"staging"'
    with place.open("w") as journal:
        for number in range(count):
            at = clock.of_ms(round((began + span_s * number / count) * 1000))
            journal.write(
                f'{{"timestamp":"{at}","hook":"hook-{number % 40}","executionTimeMs":{3 + number % 11},{fixed},'
                f'"sessionId":"s-{number // 500}","eventId":"{number:032x}","release":null}}\n'
            )


def examine(project: Path, events: int) -> Trial:
    """Open the first page on that many events, again and again."""
    place = program()
    if place is None or not events:
        reason = "no Chromium is installed" if events else "--web-events 0"
        return Trial("the web dashboard on many events", not_run=reason)
    with browser(place) as started:
        return visit(started, project, events)


def visit(started: Browser, project: Path, events: int) -> Trial:
    """Do so in a browser that runs already."""
    trial = Trial(f"the web dashboard on {events:,} events")
    (project / ".claude").mkdir(parents=True)
    subprocess.run(
        [*_STUDIO, "init", "--env", "staging", "--no-hooks"], cwd=project, env=clean_variables(),
        check=True, capture_output=True,
    )  # fmt: skip
    crowd(project / ".claude/staging/metrics/hooks.jsonl", events)
    with dashboard(project) as address:
        url = address.partition("#")[0]
        visits = [first_figures_ms(started.new_context().new_page(), url) for _ in range(_VISITS)]
    painted, figures = (statistics.median(column) for column in zip(*visits, strict=True))
    shown = f"first paint {painted:.0f} ms, the day's figures {figures:.0f} ms"
    trial.figures.append(f"median of {_VISITS} visits: {shown}")
    if painted > PAINT_MS:
        trial.faults.append(f"first paint after {painted:.0f} ms, more than {PAINT_MS}")
    return trial

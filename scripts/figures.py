"""Draw the pictures of the pages that explain: scripts/figures.py writes docs/assets/explanation/*.svg.

What is a figure in them is worked out by the package. `--check` names stale pictures and exits 1.
"""

from __future__ import annotations

import sys
from pathlib import Path

from agent_studio.reasoning.party.consensus import STRONG_AT, SUPPORT, WEAK_AT, Ballot, bucket, count
from agent_studio.release.evidence import FAIL, PASS
from agent_studio.release.statistics import share_verdict

TARGET = Path(__file__).resolve().parent.parent / "docs" / "assets" / "explanation"
_LIMIT = 0.06
_SAMPLES = ((0, 66), (0, 10), (3, 40), (9, 30))
"""Failed runs, runs."""
_STEP, _SHOWN = 0.001, 0.5
_SEATS = (("planner", "Postgres", 0.9), ("developer", "Redis", 0.6),
          ("code-reviewer", "Postgres", 0.9), ("docs-writer", "Postgres", 0.9))  # fmt: skip
_CLASSES = {PASS: "good", FAIL: "bad"}
_FRAME = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"
 font-family="sans-serif" font-size="13">
<title>{title}</title>
<style>
.bg{{fill:#fff}}text{{fill:#24292f}}.soft,text.soft{{fill:#57606a}}.line{{stroke:#57606a;stroke-width:1.5;fill:none}}
.box{{fill:#f6f8fa;stroke:#8c959f}}.good,text.good{{fill:#1a7f37}}.bad,text.bad{{fill:#b62324}}.open,text.open{{fill:#9a6700}}
@media(prefers-color-scheme:dark){{
.bg{{fill:#0d1117}}text{{fill:#e6edf3}}.soft,text.soft{{fill:#9198a1}}.line{{stroke:#9198a1}}
.box{{fill:#1c2128;stroke:#57606a}}.good,text.good{{fill:#3fb950}}.bad,text.bad{{fill:#f85149}}.open,text.open{{fill:#d29922}}}}
</style>
<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0 8 4 0 8z" class="soft"/></marker></defs>
<rect class="bg" width="{width}" height="{height}" rx="6"/>
{body}
</svg>
"""


def frame(width: int, height: int, title: str, *parts: str) -> str:
    """Return a whole picture."""
    return _FRAME.format(width=width, height=height, title=title, body="\n".join(parts))


def text(x: float, y: float, words: str, style: str = "", anchor: str = "start") -> str:
    """Return one line of text."""
    return f'<text x="{x:g}" y="{y:g}" class="{style}" text-anchor="{anchor}">{words}</text>'


def bar(style: str, x: float, y: float, width: float, height: float) -> str:
    """Return a bar."""
    return f'<rect class="{style}" x="{x:.1f}" y="{y:g}" width="{width:.1f}" height="{height:g}" rx="3"/>'


def box(x: float, y: float, width: float, height: float, *lines: str) -> str:
    """Return a box with lines of text in its middle, the first of them the name."""
    top = y + height / 2 + 5 - (len(lines) - 1) * 8.5
    words = [
        text(x + width / 2, top + 17 * number, line, "soft" if number else "", "middle")
        for number, line in enumerate(lines)
    ]
    return "\n".join((f'<rect class="box" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5"/>', *words))


def arrow(path: str, words: str = "", at: tuple[float, float] = (0, 0)) -> str:
    """Return an arrow along a path, with words beside it."""
    return f'<path class="line" marker-end="url(#a)" d="{path}"/>{text(*at, words, "soft", "middle") if words else ""}'


def three_verdicts() -> str:
    """Draw four samples: which true rates the gate's bets have not ruled out, and what follows for one limit."""
    left, scale = 250.0, 880.0
    parts = [
        f'<path class="line" stroke-dasharray="4 4" d="M{left + _LIMIT * scale:g} 34V204"/>',
        text(left + _LIMIT * scale, 26, f"limit {_LIMIT:.0%}", "soft", "middle"),
    ]
    for number, (hits, runs) in enumerate(_SAMPLES):
        verdict, y = share_verdict(hits, runs, _LIMIT), 58 + number * 38
        style = _CLASSES.get(verdict, "open")
        low, high = not_ruled_out(hits, runs)
        parts += [
            text(20, y + 5, f"{hits} of {runs} runs failed"),
            text(left - 108, y + 5, verdict, style),
            bar(style, left + low * scale, y - 3, (min(high, _SHOWN) - low) * scale, 6),
            f'<circle class="{style}" cx="{left + hits / runs * scale:.1f}" cy="{y}" r="6"/>',
        ]
    parts += [text(left + share * scale, 226, f"{share:.0%}", "soft", "middle") for share in (0, 0.1, 0.2, 0.3, 0.4)]
    return frame(720, 240, "Four samples against one limit: the truth may lie anywhere on the bar", *parts)


def not_ruled_out(hits: int, runs: int) -> tuple[float, float]:
    """Return the limits between which a sample decides nothing: it fails what is lower, and passes what is higher."""
    limits = [number * _STEP for number in range(1, round(1 / _STEP))]
    verdicts = [share_verdict(hits, runs, limit) for limit in limits]
    failed = [limit for limit, verdict in zip(limits, verdicts, strict=True) if verdict == FAIL]
    passed = [limit for limit, verdict in zip(limits, verdicts, strict=True) if verdict == PASS]
    return max(failed, default=0.0), min(passed, default=1.0)


def isolation() -> str:
    """Draw what a run of staging can and cannot get at."""
    inside, read_only, hidden = 250, 470, 20
    return frame(
        720, 300, "A run of staging: what it may write, what it may read, and what is not there for it",
        box(hidden, 44, 180, 56, "production's data", "not there"),
        box(hidden, 116, 180, 56, "keys, credentials", "not there"),
        box(hidden, 188, 180, 56, "state of production", "not there"),
        '<path class="line" stroke-dasharray="5 4" d="M225 24V268"/>',
        text(225, 286, "the kernel", "soft", "middle"),
        box(inside, 116, 160, 56, "the run", "agent, hooks, tools"),
        box(read_only, 44, 230, 56, "definitions, evidence, git's hooks", "to read only"),
        box(read_only, 116, 230, 56, "source, staging's data, /tmp", "to write"),
        box(read_only, 188, 230, 56, "the network", "open: not narrowed"),
        arrow("M330 116C330 72 380 72 466 72"), arrow("M410 144H466"), arrow("M330 172C330 216 380 216 466 216"),
        arrow("M250 144H231"),
    )  # fmt: skip


def consensus() -> str:
    """Draw the tally of the party that the page tells of."""
    ballots = [Ballot(seat, {option: SUPPORT}, confidence=sure) for seat, (_, option, sure) in enumerate(_SEATS)]
    tally = count(ballots, seats=len(ballots))
    left, width = 250.0, 440.0
    whole = sum(bucket(sure) for *_, sure in _SEATS)
    parts, run = [], 0
    for row, (name, option, sure) in enumerate(_SEATS):
        y, weight = 34 + row * 32, bucket(sure)
        style = "good" if option == tally.option else "open"
        parts += [
            text(20, y + 5, f"{name}: {option}, {sure:g}, weighs {weight}", style),
            bar(style, left + run / whole * width, y - 8, weight / whole * width - 2, 16),
        ]
        run += weight
    share = tally.share
    agreed = float(share) * width
    parts += [
        bar("good", left, 166, agreed, 20),
        bar("open", left + agreed, 166, width - agreed, 20),
        text(20, 181, f"{tally.option}: {share} = {float(share):.1%}, {tally.state}"),
    ]
    for name, at in (("weak", WEAK_AT), ("strong", STRONG_AT)):
        x = left + float(at) * width
        parts += [
            f'<path class="line" stroke-dasharray="4 4" d="M{x:.1f} 158V194"/>',
            text(x, 210, f"{float(at):.0%}: {name}", "soft", "middle"),
        ]
    return frame(720, 224, "Four votes, weighed by how sure they are, and the share that follows", *parts)


def release() -> str:
    """Draw how one hash holds a release together."""
    return frame(
        720, 250, "Files make a manifest, the manifest makes a name, and everything else names that name",
        box(20, 24, 150, 40, "agents/taster.md"), box(20, 74, 150, 40, "hooks/guard.sh"),
        box(20, 124, 150, 40, "settings.json"),
        box(225, 64, 160, 60, "manifest", "mode, sha256, path"),
        box(440, 64, 120, 60, "one hash", "the candidate"),
        box(40, 190, 150, 44, "evidence"), box(210, 190, 150, 44, "burn-in"), box(380, 190, 150, 44, "waivers"),
        box(550, 190, 150, 44, "signatures"), box(600, 64, 100, 60, "production", "these bytes"),
        arrow("M170 44C200 44 200 84 221 88"), arrow("M170 94H221"), arrow("M170 144C200 144 200 104 221 100"),
        arrow("M385 94H436"), arrow("M560 94H596"),
        arrow("M115 190C115 150 420 172 470 128"), arrow("M285 190C285 160 440 172 485 128"),
        arrow("M455 190C455 165 480 160 500 128"), arrow("M625 190C625 160 550 160 520 128"),
    )  # fmt: skip


def main() -> int:
    """Write or check every picture."""
    made = {
        "three-verdicts": three_verdicts(),
        "isolation": isolation(),
        "consensus": consensus(),
        "release": release(),
    }
    places = {TARGET / f"{name}.svg": picture for name, picture in made.items()}
    stale = [place for place, picture in places.items() if not place.is_file() or place.read_text() != picture]
    for place in stale:
        if "--check" not in sys.argv:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(places[place], encoding="utf-8", newline="\n")
        print(place.name)
    return int("--check" in sys.argv and bool(stale))


if __name__ == "__main__":
    sys.exit(main())

"""Projects made by a small deterministic generator: the same seed always gives the same bytes."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_VERBS = (
    "reviewing", "planning", "profiling", "migrating", "documenting", "triaging", "refactoring", "verifying",
    "estimating", "tracing", "deploying", "translating", "sketching", "hardening", "pruning", "explaining",
)  # fmt: skip
_NOUNS = (
    "release-notes", "database-schemas", "flaky-tests", "access-rules", "cache-keys", "import-graphs", "error-budgets",
    "translations", "image-sizes", "retry-policies", "audit-trails", "api-contracts", "build-scripts", "dashboards",
    "feature-flags", "incident-reports", "log-formats", "message-queues", "onboarding-guides", "pull-requests",
)  # fmt: skip
_PLACES = ("checkout", "billing", "search", "catalogue", "payments", "shipping", "accounts", "support", "warehouse")
_TOOLS = ("Read", "Grep", "Glob", "Edit", "Write", "Bash", "WebFetch")
_LARGE_BYTES = 50 * 1024 * 1024


def generate(project: Path, count: int, seed: int = 1) -> Path:
    """Write a project with `count` artifacts of every kind and return its folder."""
    chance = random.Random(seed)
    for number in range(count):
        name = f"{chance.choice(_VERBS)}-{chance.choice(_NOUNS)}-{number:05d}"
        place = project / ".claude" / _place(number, name)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(_text(place.suffix, name, chance), encoding="utf-8")
    return project


def add_awkward(project: Path) -> int:
    """Add what real checkouts hold and nobody expects; return how many artifacts that makes."""
    folder = project / ".claude"
    files = {
        "skills/with space/SKILL.md": b"---\nname: with space\ndescription: A folder name with a space.\n---\nx\n",
        "skills/\u00fcn\u00ef \u65e5/SKILL.md": "---\nname: \u00fcn\u00ef\ndescription: \u65e5.\n---\n".encode(),
        "agents/latin-1.md": "---\nname: caf\u00e9\ndescription: na\u00efve.\n---\nx\n".encode("latin-1"),
        "agents/binary.md": bytes(range(256)) * 8,
        "agents/empty.md": b"",
        "agents/nul.md": b"---\nname: nul\ndescription: a\x00b\n---\n",
        "agents/formula.md": b'---\nname: "=1+1"\ndescription: "@SUM(A1)"\n---\n',
        "commands/unterminated.md": b"---\nname: unterminated\ndescription: [a, b\n",
        "commands/crlf.md": b"---\r\nname: crlf\r\ndescription: Windows line ends.\r\n---\r\nText.\r\n",
        "rules/quote's \"name\".md": b"---\ndescription: Quotes in a name.\n---\n",
    }  # fmt: skip
    for relative, content in files.items():
        place = folder / relative
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    large = folder / "skills/large/SKILL.md"
    large.parent.mkdir(parents=True, exist_ok=True)
    large.write_bytes(b"---\nname: large\ndescription: A file of 50 MB.\n---\n" + b"x" * _LARGE_BYTES)
    (folder / "skills/dangling").symlink_to("nowhere")
    (folder / "skills/cycle").symlink_to("../skills")
    (folder / "agents/self.md").symlink_to("self.md")
    return len(files) + 1


def _place(number: int, name: str) -> str:
    """Return where an artifact lies; most of real collections are skills."""
    kinds = ("skills", "skills", "skills", "skills", "skills", "agents", "agents", "commands", "workflows", "hooks")
    kind = kinds[number % len(kinds)]
    if kind == "skills":
        return f"skills/{name}/SKILL.md"
    return f"hooks/{name.replace('-', '_')}.py" if kind == "hooks" else f"{kind}/{name}.md"


def _text(suffix: str, name: str, chance: random.Random) -> str:
    words = name.rpartition("-")[0].replace("-", " ")
    place, other = chance.sample(_PLACES, 2)
    body = "\n\n".join(
        f"{step}. Look at {chance.choice(_NOUNS)} of {place}." for step in range(1, chance.randint(3, 40))
    )
    if suffix == ".py":
        return f'"""Hook for {words} in {place}."""\n\nprint("{name}")\n'
    tools = ", ".join(chance.sample(_TOOLS, 3))
    return (
        f"---\nname: {name}\ndescription: Use when {words} for {place}, never for {other}.\ntools: {tools}\n---\n\n"
        f"# {words.capitalize()}\n\n{body}\n"
    )

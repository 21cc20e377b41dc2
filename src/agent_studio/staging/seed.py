"""What a fresh environment holds: memory files, empty logs, evolution state, generated test artifacts."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from agent_studio.environment.roots import EVOLUTION_FILE, LOGS, MEMORY_FILES
from agent_studio.knowledge.table import TEST_DOMAIN, Row, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent_studio.environment.config import Config
    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.knowledge.base import KnowledgeBase

ARTIFACTS_FOLDER = "artifacts"
_MARK = "Generated test data of the staging environment."
_TITLES = {"learnings.md": "Learnings", "decisions.md": "Decisions", "issues.md": "Open issues"}
_ENTRIES = {
    "learnings.md": "## Staging keeps its own memory\n\nWhat is written here never reaches production's files.\n",
    "decisions.md": "## Staging comes before production\n\nStatus: accepted\n\nA change is proven here first.\n",
    "issues.md": "## No open issue\n\nReplace this entry with the first one that staging shows.\n",
}
_VERBS = ("review", "plan", "profile", "migrate", "document", "triage", "refactor", "verify", "estimate", "trace")
_NOUNS = (
    "release notes", "database schemas", "flaky tests", "access rules", "cache keys", "import graphs", "error budgets",
    "translations", "image sizes", "retry policies", "audit trails",
)  # fmt: skip
_NAME = re.compile(r"^test-artifact-(\d{6})\.md$")


def files(config: Config) -> Iterator[tuple[str, str, bytes]]:
    """Yield kind, name and content of every file that an initialised environment has beside its index."""
    seeded = seeds_test_data(config)
    for name in MEMORY_FILES:
        yield "memory", name, memory_text(name, seeded=seeded).encode()
    for kind, logs in LOGS.items():
        for log in logs:
            yield kind, log, b""
    yield "context", EVOLUTION_FILE, evolution_state()


def seeds_test_data(config: Config) -> bool:
    """Tell whether test data belongs here; production never has any."""
    return config.environment != "production" and bool(config["testData.enabled"] and config["testData.seedData"])


def memory_text(name: str, *, seeded: bool) -> str:
    """Return a memory file's first content."""
    heading = f"# {_TITLES[name]}\n"
    return f"{heading}\n{_MARK}\n\n{_ENTRIES[name]}" if seeded else heading


def evolution_state() -> bytes:
    """Return the state of an evolution workflow at rest."""
    state = {
        "version": 1, "currentPhase": "idle", "researchEntries": [], "history": [], "patterns": [],
        "suggestionsQueue": [],
    }  # fmt: skip
    return json.dumps(state, indent=2).encode() + b"\n"


def table_rows(base: KnowledgeBase, config: Config) -> list[Row]:
    """Return the rows of an environment's table: the artifacts of the index, test artifacts after them."""
    root = base.context.root
    rows = rows_of(base.list(sort="path"))
    numbers = {*artifact_numbers(config, len(rows)), *present_artifacts(root)}
    return [*rows, *artifact_rows(root, sorted(numbers))]


def artifact_numbers(config: Config, real: int) -> range:
    """Return the numbers of the test artifacts that fill the index up to `testData.artifactsCount` rows."""
    wanted = int(config["testData.artifactsCount"]) if seeds_test_data(config) else 0
    return range(1, max(0, wanted - real) + 1)


def artifact_files(numbers: Iterable[int]) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of test artifacts; the same number always gives the same bytes."""
    for number in numbers:
        text = (
            f"---\nname: {_artifact_name(number)}\ndescription: {_artifact_description(number)}\n"
            f"domain: {TEST_DOMAIN}\ngenerated: true\n---\n\n# {_artifact_name(number)}\n\n{_MARK}\n"
        )
        yield f"{_artifact_name(number)}.md", text.encode()


def artifact_rows(root: EnvironmentRoot, numbers: Iterable[int]) -> list[Row]:
    """Return the index rows of test artifacts."""
    folder = f"{root.kinds['context']}/{ARTIFACTS_FOLDER}"
    return [
        {
            "name": _artifact_name(number),
            "path": f"{folder}/{_artifact_name(number)}.md",
            "description": _artifact_description(number),
            "domain": TEST_DOMAIN,
            "complexity": "LOW",
            "use_cases": "",
            "tools": "",
            "deprecated": "false",
            "alias": "",
            "usage_count": "0",
            "last_used": "",
        }
        for number in numbers
    ]


def present_artifacts(root: EnvironmentRoot) -> list[int]:
    """Return the numbers of the test artifacts that are there."""
    try:
        names = root.folder("context").names(ARTIFACTS_FOLDER)
    except FileNotFoundError:
        return []
    return [int(match[1]) for name in names if (match := _NAME.match(name))]


def _artifact_name(number: int) -> str:
    return f"test-artifact-{number:06d}"


def _artifact_description(number: int) -> str:
    verb = _VERBS[number % len(_VERBS)]
    noun = _NOUNS[number % len(_NOUNS)]
    return f"Test artifact {number}: would {verb} {noun}; generated, does nothing."

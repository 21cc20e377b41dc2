"""`kb build`: read every artifact again and replace the index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Problem, Result, working
from agent_studio.environment.roots import INDEX_FILE
from agent_studio.errors import ExitCode, IntegrityError
from agent_studio.knowledge import table
from agent_studio.staging.seed import build_index

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options; there are none."""


def run(args: argparse.Namespace, session: Session) -> Result:  # noqa: ARG001 - every sub-verb has this form
    """Build the index; usage counts are kept."""
    root = session.context.root
    try:
        previous = table.load(root)
    except (FileNotFoundError, IntegrityError):
        previous = []
    with working("Reading artifacts"):
        built = build_index(root, session.context.config, previous)
    data = table.encode(built.rows)
    root.folder("knowledge").make()
    root.folder("knowledge").replace(INDEX_FILE, data)
    test_rows = sum(row["domain"] == table.TEST_DOMAIN for row in built.rows)
    problems = [
        *(
            Problem("secret", f"{hit.path} holds a credential ({hit.kind}); it was kept out of the index")
            for hit in built.secrets
        ),
        *(Problem("skipped", f"{path} was not indexed: {reason}") for path, reason in built.skipped),
    ]
    real = len(built.rows) - test_rows
    text = f"Indexed {real} artifacts and {test_rows} test artifacts ({len(data)} bytes)"
    figures: dict[str, Any] = {"artifacts": real, "testArtifacts": test_rows, "bytes": len(data)}
    return Result(figures, lambda screen: screen.mark("ok", text), ExitCode.DONE, problems)

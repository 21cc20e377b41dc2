"""`kb build`: read every artifact again and replace the index and its table."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from agent_studio.cli.kb import vectors
from agent_studio.cli.output import Problem, Result, Screen, working
from agent_studio.environment.roots import INDEX_FILE
from agent_studio.errors import ExitCode
from agent_studio.isolation.secrets import baseline
from agent_studio.knowledge import index, table
from agent_studio.knowledge.base import knowledge_anew
from agent_studio.staging.seed import table_rows

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--user", action="store_true", help="also the artifacts in the user's own folder; later refreshes keep to it"
    )
    vectors.configure(parser)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Build the index; usage counts are kept."""
    vectors.check(args)
    context = session.context
    root = context.root
    started_s = time.monotonic()
    is_first = root.state.make()
    with working("Reading artifacts") as told, knowledge_anew(context, user=args.user, progress=told) as base:
        rows = table_rows(base, context.config)
    size_bytes = table.save(root, rows)
    status = root.state.status(index.FILE)
    generated = sum(row["domain"] == table.TEST_DOMAIN for row in rows)
    taken = base.taken
    figures: dict[str, Any] = {
        "artifacts": len(rows) - generated,
        "testArtifacts": generated,
        "skipped": len(taken.skipped) if taken else 0,
        "bytes": size_bytes,
        "indexBytes": status.st_size if status else 0,
        "durationMs": round(1000 * (time.monotonic() - started_s), 1),
    }
    problems = [Problem(*note) for note in base.notes]
    if is_first:
        hint = f"agent-studio init --env {context.environment} also adds what git should ignore"
        problems.append(Problem("not-initialised", f"{context.environment} is not initialised", hint, is_note=True))
    if taken:
        problems += [
            Problem("secret", f"{hit.path} holds a credential ({hit.kind}); it was kept out of the index")
            for hit in baseline.load(context.project).unanswered(taken.secrets)
        ]
        problems += [
            Problem("skipped", f"{path} was not indexed: {reason}", "agent-studio kb doctor")
            for path, reason in taken.skipped
        ]
    semantic, left = vectors.updated(context, args) if base.is_kept else (None, [])
    figures["semantic"] = semantic
    problems += left
    code = ExitCode.DONE if base.is_kept else ExitCode.FAILED
    return Result(figures, lambda screen: _render(screen, figures), code, problems)


def _render(screen: Screen, figures: dict[str, Any]) -> None:
    generated = f" and {figures['testArtifacts']} test artifacts" if figures["testArtifacts"] else ""
    screen.mark("ok", f"Indexed {figures['artifacts']} artifacts{generated} in {figures['durationMs'] / 1000:.1f} s")
    screen.line(f"  {INDEX_FILE}: {figures['bytes']:,} bytes; {index.FILE}: {figures['indexBytes']:,} bytes")
    if semantic := figures["semantic"]:
        screen.line(
            f"  {semantic['vectors']:,} vectors, {semantic['computed']:,} texts computed in "
            f"{semantic['durationMs'] / 1000:.1f} s; {semantic['bytes']:,} bytes"
        )

"""The part of `kb build` that the extra `semantic` adds: the vectors by which artifacts are ranked by meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Problem, working
from agent_studio.errors import UsageError
from agent_studio.knowledge.base import knowledge

if TYPE_CHECKING:
    import argparse

    from agent_studio.environment.context import Context

_LIMIT_S = 120.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--no-semantic", action="store_true", help="compute no vectors")
    parser.add_argument(
        "--semantic-limit", type=float, default=_LIMIT_S, metavar="SECONDS",
        help="time for vectors at most (default: 120); the next build goes on with what is left",
    )  # fmt: skip


def check(args: argparse.Namespace) -> None:
    """Refuse a limit that is no time."""
    if not 0 <= args.semantic_limit < float("inf"):
        raise UsageError(f"--semantic-limit {args.semantic_limit:g} is not 0 or more seconds")


def updated(context: Context, args: argparse.Namespace) -> tuple[dict[str, Any] | None, list[Problem]]:
    """Compute the vectors that are missing; None where they are not wanted or the extra is not installed."""
    from agent_studio.knowledge.semantic import model  # noqa: PLC0415 - only to build

    if args.no_semantic or not context.config["knowledge.semantic"] or (weights := model.place()) is None:
        return None, []
    from agent_studio.knowledge.semantic import embedding  # noqa: PLC0415 - NumPy belongs to the extra

    with working("Computing vectors") as told, knowledge(context, fresh=False) as base:
        done = embedding.update(base.db, context.root.state, weights, limit_s=args.semantic_limit, progress=told)
    problems = []
    if done.left:
        message = f"{done.left:,} artifacts have no vector yet and are found by their words only"
        problems.append(Problem("vectors-left", message, "go on: agent-studio kb build --semantic-limit 600"))
    return {
        "vectors": done.artifacts - done.left,
        "computed": done.computed,
        "left": done.left,
        "bytes": done.size_bytes,
        "durationMs": round(1000 * done.seconds, 1),
    }, problems

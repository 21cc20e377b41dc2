"""The configuration keys of evals, as rows of the table of keys: name, form, default, what it is, least, most."""

from __future__ import annotations

from typing import Any

_POLICY = "release.policy.evals"

EVALS: tuple[tuple[str, str, Any, str, float | None, float | None], ...] = (
    ("evals.repeats", "integer", 3, "Attempts of each task and side, unless it says.", 1, 1_000),
    ("evals.parallel", "integer", 2, "Attempts of evals at the same time.", 1, 64),
    ("evals.limitUsd", "number", 5, "Cost of one run of evals at most, USD.", 0, 100_000),
    ("evals.attempt.seconds", "number", 600, "Time of one attempt at most.", 1, 86_400),
    ("evals.attempt.turns", "integer", 40, "Turns of one attempt at most.", 1, 10_000),
    ("evals.attempt.usd", "number", 0.5, "Cost of one attempt at most, USD.", 0.001, 10_000),
    ("evals.startLimitMb", "number", 500, "Size of a task's starting files at most.", 1, 1e6),
    ("evals.margin", "number", 0.1, "Difference of pass rates that counts as none.", 0.01, 0.5),
    ("evals.backend", "list of strings", ("claude",), "What makes attempts: claude, or a command's words.", None, None),
    ("evals.model", "string", None, "Model of attempts where a task names none; else the client's own.", None, None),
    ("evals.judge", "string", None, "Model that judges where a check names none; else models.default.", None, None),
    (f"{_POLICY}.required", "boolean", False, "Whether a promotion needs evals: no-regression.", None, None),
    (f"{_POLICY}.tags", "list of strings", (), "Tags whose tasks decide no-regression; all if empty.", None, None),
    (f"{_POLICY}.margin", "number", 0.1, "Loss of pass rate that no-regression lets through.", 0.01, 0.5),
    (f"{_POLICY}.attempts", "integer", 1, "Pairs of attempts that no-regression needs at least.", 1, 100_000),
    (f"{_POLICY}.backend", "list of strings", ("claude",), "Whose attempts decide no-regression.", None, None),
    (f"{_POLICY}.imported", "boolean", False, "Whether imported results may decide no-regression.", None, None),
)

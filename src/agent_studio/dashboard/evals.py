"""The evals as a page shows them: the runs, and one comparison in full. Nothing is tried and nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.environment.detect import Environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.environment.context import Context


def evals(context: Context, variables: Mapping[str, str], subject: str = "") -> dict[str, Any]:
    """Return `{environment, runs, faults, comparison}`: of the run that is named, else the newest with two sides."""
    from agent_studio.evals.runs import begin, listed  # noqa: PLC0415 - store and journals come with it
    from agent_studio.evals.runs.together import Runs  # noqa: PLC0415 - the same
    from agent_studio.evals.verdicts import comparison  # noqa: PLC0415 - the same
    from agent_studio.release.production.sides import open_sides  # noqa: PLC0415 - the same

    staging = open_sides(context.project, variables, looking=True).staging
    runs, faults = listed.runs(staging)
    both = [one["run"] for one in runs if one["against"] is not None]
    found = None
    if chosen := subject if subject in both else both[-1] if both else "":
        asked = Runs(begin.folder_of(staging)).together(chosen)
        found = comparison.data(asked, float(staging.config["evals.margin"]))
    return {
        "environment": str(Environment.STAGING), "runs": runs, "faults": [one.message for one in faults],
        "comparison": found,
    }  # fmt: skip

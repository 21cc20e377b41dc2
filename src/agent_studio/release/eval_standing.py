"""What is there now beside evidence on evals: the tasks, and whether more was tried since.

Tasks are in no candidate, and evidence is made by whoever runs them: so the gate looks at both again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.errors import AgentStudioError, IntegrityError
from agent_studio.release import eval_runs, no_regression, suite

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_studio.environment.context import Context
    from agent_studio.release.evidence import Evidence
    from agent_studio.release.no_regression import Standing


def standing(staging: Context, policy: Mapping[str, Any], evidence: Mapping[str, Evidence]) -> Standing:
    """Return what evidence has to be held against, nothing where the policy does not ask or there is none."""
    rules, held = no_regression.rules(policy), evidence.get(no_regression.KIND)
    if not rules.required or held is None or held.data.get("imported"):
        return no_regression.Standing()
    try:
        known = suite.now(staging.project)
    except AgentStudioError as error:
        return no_regression.Standing(fault=error.message)
    wanted = {name: one.sha256 for name, one in known.items() if not rules.tags or set(rules.tags) & set(one.tags)}
    damage: list[str] = []
    since = tuple(_since(staging, held, damage))
    return no_regression.Standing(wanted, since, tuple(damage))


def _since(staging: Context, held: Evidence, damage: list[str]) -> Iterator[str]:
    """Yield the runs that decide more than evidence knows of; what is not as it was goes to the damage."""
    folder = staging.root.state.at(eval_runs.FOLDER)
    noted = held.data.get("runs")
    noted = noted if isinstance(noted, dict) else {}
    tasks = held.data.get("suite") or {}
    words = tuple(held.data.get("words") or ())
    asked = eval_runs.Run("", held.candidate, str(held.data.get("against")), words, tasks)
    try:
        known = {one.id for one in eval_runs.all_of(folder)}
        runs = [one.id for one in eval_runs.alike(folder, asked)]
    except IntegrityError as error:
        damage.append(error.message)
        return
    if lost := sorted(noted.keys() - known):
        place = folder.path / eval_runs.REGISTER
        damage.append(f"{place} knows no {', '.join(lost)}, which evidence was made of: {eval_runs.MEND}")
        return
    for run in sorted({*runs, *noted}):
        try:
            now = eval_runs.refuse_other(folder, run, noted.get(run, {"seq": 0}))
        except IntegrityError as error:
            damage.append(error.message)
            continue
        if now.deciding > int(noted.get(run, {}).get("deciding", 0)):
            yield run

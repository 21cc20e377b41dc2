"""What the sub-verbs of `eval` share: options, the environment, how a comparison and a run are shown."""

from __future__ import annotations

import shlex
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agent_studio.cli import files
from agent_studio.cli.aliases import alias
from agent_studio.cli.output import Problem
from agent_studio.cost.money import usd_of
from agent_studio.errors import ExitCode, UsageError
from agent_studio.evals.runs.header import AGAINST, CANDIDATE, NONE
from agent_studio.evals.tasks import loading
from agent_studio.evals.verdicts import betting, comparison, keeping, reports
from agent_studio.release import no_regression, policy, suite
from agent_studio.release.production.sides import open_sides

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.environment.context import Context
    from agent_studio.evals.runs.begin import Done
    from agent_studio.evals.runs.header import Header
    from agent_studio.evals.runs.together import Runs
    from agent_studio.evals.tasks.task import Task

CODES = {
    betting.BETTER: ExitCode.DONE, betting.NO_DIFFERENCE: ExitCode.DONE, betting.WORSE: ExitCode.FAILED,
    betting.INSUFFICIENT: ExitCode.INSUFFICIENT,
}  # fmt: skip
_SHOWN = 8
_MARKS = {betting.BETTER: "ok", betting.NO_DIFFERENCE: "ok", betting.WORSE: "bad", betting.INSUFFICIENT: "none"}


def context_of(session: Session) -> Context:
    """Return staging: evals are part of the way from there to production."""
    return open_sides(session.project, session.variables, session.overrides, looking=True).staging


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add what chooses tasks."""
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="ids of tasks; * stands for any text (default: all)")
    parser.add_argument(
        "--tag", action="append", default=[], metavar="TAG", help="tasks with this tag; may be repeated"
    )


def add_running(parser: argparse.ArgumentParser) -> None:
    """Add what says how attempts are made."""
    parser.add_argument("--candidate", metavar="HASH", help="its first digits (default: the working checkout's)")
    parser.add_argument("--repeats", type=int, metavar="N", help="attempts of each task and side (default: as it says)")
    parser.add_argument(
        "--backend", metavar="COMMAND", help="claude, a command that takes a prompt, or scripted:FILE (evals.backend)"
    )
    parser.add_argument(
        "--model", metavar="MODEL", help="model of the attempts (default: evals.model, else the client's)"
    )
    usd = parser.add_argument("--limit-usd", metavar="USD", help="cost of the run at most (default: evals.limitUsd)")
    alias(parser, usd, "--budget-usd")
    parser.add_argument("--parallel", type=int, metavar="N", help="attempts at the same time (default: evals.parallel)")
    parser.add_argument("--seed", type=int, metavar="N", help="order of the tasks in each round (default: 1)")
    parser.add_argument("--resume", nargs="?", const="", metavar="RUN", help="go on with a run (default: the newest)")
    parser.add_argument("--keep", action="store_true", help="keep the copies of the attempts, to look at them")
    parser.add_argument(
        "--allow-vacuous", action="store_true", help="go on with tasks that could not fail; it is no evidence then"
    )
    parser.add_argument(
        "--unconfined", action="store_true",
        help="let an agent reach the whole machine where nothing keeps it to its copy (needs isolation.require: false)",
    )  # fmt: skip


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add the files that a comparison can be written to."""
    parser.add_argument("--junit", metavar="FILE", help="also write it as JUnit XML, one test case a task")
    parser.add_argument("--markdown", metavar="FILE", help="also write it as a table for a pull request")
    parser.add_argument(
        "--margin",
        type=float,
        metavar="SHARE",
        help="difference that counts as none, 0.01 to 0.5 (default: evals.margin)",
    )


def selected(args: argparse.Namespace, context: Context) -> list[Task]:
    """Return the tasks that are meant."""
    return loading.select(loading.load(context.project, context.config), args.tasks, args.tag)


def backend(args: argparse.Namespace, context: Context) -> list[str]:
    """Return the words that attempts are made with."""
    try:
        return shlex.split(args.backend) if args.backend is not None else list(context.config["evals.backend"])
    except ValueError as error:
        raise UsageError(f"--backend {args.backend}: {error}", hint="quote it as in a shell") from None


def limit_usd(args: argparse.Namespace, context: Context) -> Decimal:
    """Return the most that a run may cost."""
    written = args.limit_usd if args.limit_usd is not None else str(context.config["evals.limitUsd"])
    value = usd_of(written)
    if value is None:
        raise UsageError(f"--limit-usd {written} is no amount", hint="such as --limit-usd 2.50")
    return value


def positive(name: str, value: int | None, otherwise: int) -> int:
    """Return a count that was given, or another; raise `UsageError` for less than one."""
    if value is not None and value < 1:
        raise UsageError(f"{name} {value} is less than 1", hint=f"{name} 1 or more")
    return otherwise if value is None else value


def margin(args: argparse.Namespace, context: Context) -> float:
    """Return the difference that counts as none."""
    value = float(context.config["evals.margin"]) if args.margin is None else args.margin
    if not 0.01 <= value <= 0.5:  # noqa: PLR2004 - as the configuration has it
        raise UsageError(f"--margin {value:g} is out of range", hint="from 0.01 to 0.5, 0.1 for ten points")
    return float(value)


def refuse_files(args: argparse.Namespace, session: Session) -> None:
    """Raise before anything is tried when a report may not be written where it should be."""
    definitions = files.definitions_of(session)
    for place, kind in ((args.junit, files.JUNIT), (args.markdown, files.EVALS)):
        if place is not None:
            files.refuse(place, kind, definitions)


def write_files(args: argparse.Namespace, session: Session, data: dict[str, Any]) -> None:
    """Write the reports that were asked for."""
    for place, written in ((args.junit, reports.junit), (args.markdown, reports.markdown)):
        if place is not None:
            files.write(place, written(data), files.definitions_of(session))


def kept(context: Context, runs: Runs, header: Header, tasks: Sequence[Task]) -> keeping.Kept:
    """Keep what was found of the policy's tasks as evidence."""
    if header.against in {None, NONE}:
        return keeping.Kept(None)
    rules = no_regression.rules(policy.in_force(context.project, header.candidate).values)
    wanted = {
        task.id: suite.whole(context.project, task.sha256, task.start.folder, task.start.ref)
        for task in tasks
        if not rules.tags or set(rules.tags) & set(task.tags)
    }
    asked = runs.whole(header.id, wanted)
    if missing := sorted(wanted.keys() - {one.id for one in asked.header.tasks}):
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        why = f"it is no evidence: the policy asks about {', '.join(missing[:_SHOWN])}{more} as well"
        return keeping.Kept(None, why, f"{no_regression.COMMAND} with all of its tasks as they are now")
    return keeping.keep(context, asked, rules, rules.margin or float(context.config["evals.margin"]))


def notes(done: Done) -> list[Problem]:
    """Return what deserves attention about how a run went."""
    found = [
        Problem("vacuous", f"{one.task}: passes before anything is done: {', '.join(one.vacuous)}",
                "mend the check, or declare that it has to hold all along: keeps: true", is_note=True)
        for one in done.untouched if one.vacuous
    ]  # fmt: skip
    if done.header.isolation == "advisory":
        found.append(Problem("advisory", "nothing but their own good behaviour kept attempts in their copies",
                             "agent-studio doctor isolation", is_note=True))  # fmt: skip
    if done.header.against is not None and (left := _left_out(done)):
        found.append(Problem(
            "uneven", f"{left} pairs do not count: the mean over tasks is meant, and not every task has as many",
            "--repeats N gives every task as many", is_note=True,
        ))  # fmt: skip
    if done.changed:
        more = f" and {len(done.changed) - _SHOWN} more" if len(done.changed) > _SHOWN else ""
        found.append(Problem(
            "project-changed", f"files of the project changed meanwhile: {', '.join(done.changed[:_SHOWN])}{more}",
            "by you or by an attempt: look at them", is_note=True,
        ))  # fmt: skip
    found += list(_idle(done))
    found += [Problem("unjudged", f"pairs were not judged: {one}", is_note=True) for one in done.unjudged]
    if not done.is_whole:
        left = sum(task.repeats for task in done.header.tasks) * len(done.header.sides) - len(done.state.attempts)
        made = "attempt was" if left == 1 else "attempts were"
        verb = "run" if done.header.against is None else "compare"
        found.append(Problem(
            "incomplete", f"{left} {made} not made: the limit of {done.header.limit_usd} USD leaves no more",
            f"agent-studio eval {verb} --resume {done.header.id} --limit-usd MORE", is_note=True,
        ))  # fmt: skip
    if done.budget and done.budget.overruns:
        found.append(Problem("overrun", f"cost more than was set aside: {', '.join(done.budget.overruns[:_SHOWN])}",
                             "raise limits.usd of the task", is_note=True))  # fmt: skip
    return found


def _left_out(done: Done) -> int:
    found = [one for one in comparison.pairs(done.state.attempts, done.header.tasks) if not one.is_idle]
    return len(found) - len(comparison.balanced(found, [task.id for task in done.header.tasks]))


def _idle(done: Done) -> Iterator[Problem]:
    """Yield one problem where agents could not work at all, with what the first of them said last."""
    idle = [one for one in done.state.attempts.values() if comparison.is_idle(one) and not one["void"]]
    if idle:
        first, count = idle[0], len(idle)
        told = f"{count} attempt{'' if count == 1 else 's'} ended without a sign that an agent did anything"
        yield Problem(
            "idle", f"{told}: {first['facts']['ended']}, {first['facts']['reason'] or 'no reason was given'}",
            f"agent-studio eval show {done.header.id} --attempt {first['attempt']}; mend the client or the command",
            is_note=True,
        )  # fmt: skip


def render(screen: Screen, data: dict[str, Any]) -> None:
    """Draw a comparison."""
    shown = reports.WORDS.get(data["verdict"], data["verdict"])
    screen.mark(_MARKS[data["verdict"]], f"{shown}: pass rate {reports.difference(data)}")
    screen.line(
        f"  candidate {data['candidate'][:12]} against {data['against'][:12]}, run {data['run']}, {data['backend']}"
    )
    if len(data["runs"]) > 1:
        screen.line(f"  judged together: all {len(data['runs'])} runs of these sides, tasks and backend")
    if data["reason"]:
        screen.line(f"  {data['reason']}")
    screen.line()
    rows = [("pass rate", reports.rate(data, CANDIDATE), reports.rate(data, AGAINST), reports.difference(data))]
    screen.columns(("an attempt", CANDIDATE, AGAINST, "difference"), [*rows, *reports.figures(data)])
    screen.line()
    screen.columns(
        ("task", CANDIDATE, AGAINST, "tags"),
        [
            (one["id"] + (" (flaky)" if one["flaky"] else ""), reports.share(one, CANDIDATE),
             reports.share(one, AGAINST), ", ".join(one["tags"]))
            for one in data["tasks"]
        ],
    )  # fmt: skip
    _render_tags(screen, data)
    _render_behaviour(screen, data)
    for one in data["tasks"]:
        for text in one["failed"][CANDIDATE][:2]:
            screen.told("bad", f"{one['id']}, candidate: {text}")
    if reports.needed(data):
        screen.line()
        screen.told("note", reports.needed(data))


def _render_tags(screen: Screen, data: dict[str, Any]) -> None:
    rows = [
        (one["tag"], str(one["pairs"]), f"{one['won']}", f"{one['lost']}",
         "-" if one["difference"] is None else f"{one['difference']:+.0%} ({one['low']:+.0%} to {one['high']:+.0%})")
        for one in data["tags"]
    ]  # fmt: skip
    if rows:
        screen.line()
        screen.columns(("tag", "pairs", "won", "lost", "difference"), rows, numbers={"pairs", "won", "lost"})


def _render_behaviour(screen: Screen, data: dict[str, Any]) -> None:
    rows = [
        (f"{one['kind']} {one['name']}", f"{one[CANDIDATE]:g}", f"{one[AGAINST]:g}", "")
        for one in data["behaviour"] if one[CANDIDATE] != one[AGAINST]
    ][:_SHOWN]  # fmt: skip
    if rows:
        screen.line()
        screen.columns(("what they did, a mean of times", CANDIDATE, AGAINST, ""), rows, numbers={CANDIDATE, AGAINST})


def single(header: Header, attempts: comparison.Attempts) -> dict[str, Any]:
    """Return what a run with one side says."""
    tasks = []
    for task in header.tasks:
        names = [f"{task.id}.{number}.{CANDIDATE}" for number in range(1, task.repeats + 1)]
        own = [attempts[name] for name in names if name in attempts]
        decided = [one for one in own if one["passed"] is not None]
        tasks.append({
            "id": task.id, "tags": list(task.tags), "made": len(own), "decided": len(decided),
            "passed": sum(one["passed"] for one in decided), "failed": comparison.failures(decided),
            "flaky": len({one["passed"] for one in decided}) > 1,
        })  # fmt: skip
    decided, passed = sum(one["decided"] for one in tasks), sum(one["passed"] for one in tasks)
    interval = betting.wilson(passed, decided)
    costs = [Decimal(one["usd"]) for one in attempts.values() if one["usd"] is not None]
    return {
        "run": header.id, "candidate": header.candidate, "against": None, "tasks": tasks, "decided": decided,
        "passed": passed, "passRate": passed / decided if decided else None,
        "interval": None if interval is None else list(interval), "costUsd": f"{sum(costs, Decimal(0)):f}",
        "unpriced": sum(one["usd"] is None for one in attempts.values()), "backend": header.backend,
        "model": header.model, "isolation": header.isolation, "pin": header.pin,
    }  # fmt: skip


def render_single(screen: Screen, data: dict[str, Any]) -> None:
    """Draw a run with one side."""
    good = data["decided"] and data["passed"] == data["decided"]
    interval = f" ({data['interval'][0]:.0%} to {data['interval'][1]:.0%})" if data["interval"] else ""
    rate = "-" if data["passRate"] is None else f"{data['passRate']:.0%}{interval}"
    screen.mark("ok" if good else "bad" if data["decided"] else "none",
                f"{data['passed']} of {data['decided']} attempts passed: {rate}, {data['costUsd']} USD")  # fmt: skip
    screen.line(f"  candidate {data['candidate'][:12]}, run {data['run']}, {data['backend']}")
    screen.line()
    screen.columns(
        ("task", "passed", "tags"),
        [(one["id"] + (" (flaky)" if one["flaky"] else ""), f"{one['passed']}/{one['decided']}", ", ".join(one["tags"]))
         for one in data["tasks"]],
    )  # fmt: skip
    for one in data["tasks"]:
        for text in one["failed"][:2]:
            screen.told("bad", f"{one['id']}: {text}")


def single_code(data: dict[str, Any]) -> ExitCode:
    """Return the exit code of a run with one side."""
    if not data["decided"]:
        return ExitCode.INSUFFICIENT
    return ExitCode.DONE if data["passed"] == data["decided"] else ExitCode.FAILED

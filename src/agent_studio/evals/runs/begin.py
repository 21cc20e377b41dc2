"""Begins a run or goes on with one: resolves the sides, pins tasks and their starts, and hands all to the runner."""

from __future__ import annotations

import secrets
import shlex
import shutil
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from agent_studio import clock
from agent_studio.errors import UsageError
from agent_studio.evals.attempts import backends, places, room, start
from agent_studio.evals.attempts.scripted import Scripted
from agent_studio.evals.runs import header as headers
from agent_studio.evals.runs import judging, log, looking, runner, together
from agent_studio.evals.runs.header import NONE, Header, Pinned
from agent_studio.evals.runs.spending import Spending
from agent_studio.isolation.backends import NotIsolatedError
from agent_studio.release import checkout, eval_runs, suite
from agent_studio.release.content import candidates
from agent_studio.release.content.store import Store
from agent_studio.release.production import history
from agent_studio.storage.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import Project
    from agent_studio.evals.attempts.backends import Backend
    from agent_studio.evals.checks import running
    from agent_studio.evals.runs.budget import Budget
    from agent_studio.evals.tasks.task import Task
    from agent_studio.storage.folder import Folder

Tell = Callable[[int, int, "Mapping[str, Any] | None"], None]
"""Told how many attempts are done, of how many, and the newest."""
_LOCK = "evals.lock"
_REQUIRE = "isolation.require"
LIVE = "live"
SHOWN = "evals.json"
"""Of the environment's state: how far the newest run is, by which pages know that there is something new."""


class Asked(NamedTuple):
    """What somebody wants."""

    tasks: Sequence[Task]
    candidate: str
    against: str | None
    backend: Sequence[str]
    model: str | None
    limit_usd: Decimal
    parallel: int
    repeats: int | None = None
    """Of every task; None: as each says."""
    seed: int = 1
    keep: bool = False
    vacuous: bool = False
    """Whether to go on with tasks that could not fail."""
    unconfined: bool = False
    """Whether to go on where the kernel keeps nobody to a copy."""


class Done(NamedTuple):
    """A run and what became of it."""

    header: Header
    state: log.State
    budget: Budget | None
    untouched: Sequence[running.Untouched] = ()
    changed: Sequence[str] = ()
    """Files of the project that are not what they were when the run began."""
    unjudged: Sequence[str] = ()
    """Why pairs could not be judged."""

    @property
    def is_whole(self) -> bool:
        """Whether every attempt was made."""
        return all(slot.name in self.state.attempts for unit in headers.units(self.header) for slot in unit)


def resolved(project: Project, name: str | None) -> str:
    """Return the hash of the definitions that are meant, which the store then has.

    None is the working checkout; `live` is the release in production; `none` no definitions; else the beginning of a
    hash. Raises `UsageError` for what is not known.
    """
    if name is None:
        return candidates.create(project).candidate
    if name == NONE:
        return NONE
    past = history.read(project)
    if name == LIVE:
        if past.current is None:
            raise UsageError(
                "nothing was promoted yet, so there is no release to compare with",
                hint="name another side: --against HASH of a candidate (candidate create), or --against none",
            )
        return past.current.release
    known = dict.fromkeys([*candidates.made(project), *(one.release for one in past.releases)])
    fit = [one for one in known if one.startswith(name.lower())]
    if len(fit) != 1 or len(name) < 6:  # noqa: PLR2004 - as candidates are named
        listed = ", ".join(one[:12] for one in known) or "none was made"
        raise UsageError(
            f"{name!r} names {'several candidates' if len(fit) > 1 else 'no candidate or release'}",
            hint=f"at least 6 digits of one: {listed}",
        )
    if not Store(project).has(fit[0]):
        raise UsageError(f"the bytes of {fit[0][:12]} are no longer in the store", hint="choose another")
    return fit[0]


def folder_of(context: Context) -> Folder:
    """Return the folder of an environment's runs."""
    return context.root.state.at(eval_runs.FOLDER)


def begin(context: Context, variables: Mapping[str, str], asked: Asked, tell: Tell) -> Done:
    """Pin the tasks, look at their untouched starts, and make all attempts.

    Raises `UsageError` for tasks that could not fail, `BusyError` where another run is at work, and what the runner
    raises.
    """
    if asked.candidate == asked.against:
        raise UsageError(
            f"both sides are {asked.candidate[:12]}: there is nothing to compare",
            hint="edit a definition first, or name another side: --against",
        )
    _refuse_unpaid(asked, backends.opened(asked.backend))  # a run that cannot be is not begun
    folder = folder_of(context)
    folder.make()
    with exclusive(context.root.state, _LOCK, doing="eval"):
        run = f"{clock.file_stamp(clock.now())[:19].replace('.', '')}-{secrets.token_hex(3)}".lower()
        cancelled = threading.Event()
        with places.held(context.project.path, run) as place:
            try:
                rooms = room.Rooms(context, variables, place, cancelled)
                refuse_unconfined(context, rooms, asked.backend, unconfined=asked.unconfined)
                kept = _kept(context, asked.tasks, place)
                snapshots = {name: one.folder for name, one in kept.items()}
                found = _untouched(asked, rooms, snapshots)
                _refuse_edited(context, asked.tasks, kept)
                header = Header(
                    run, clock.timestamp(clock.now()), asked.candidate, asked.against,
                    tuple(_pin(task, kept[task.id], asked.repeats) for task in asked.tasks),
                    shlex.join(asked.backend), asked.model, rooms.backend, f"{asked.limit_usd:f}", asked.seed,
                    not all(one.is_sound for one in found),
                )  # fmt: skip
                _refuse_damaged(folder, header)
                folder.make(run)
                _write(folder, header)
            except BaseException:
                shutil.rmtree(place, ignore_errors=True)
                raise
            return _run(context, header, asked, rooms, place, snapshots, cancelled, tell)._replace(untouched=found)


def resume(
    context: Context, variables: Mapping[str, str], run: str, tasks: Sequence[Task], parallel: int,
    tell: Tell, limit_usd: Decimal | None = None, repeats: int | None = None, *, unconfined: bool = False,
) -> Done:  # fmt: skip
    """Go on with a run, with a higher limit or more repeats if those are given; no finished attempt is made again.

    Raises `UsageError` when its tasks are no longer the same.
    """
    folder = folder_of(context)
    header = headers.read(folder.at(run))
    if limit_usd is not None:
        header = header._replace(limit_usd=f"{limit_usd:f}")
    if repeats is not None:
        header = header._replace(tasks=tuple(one._replace(repeats=max(one.repeats, repeats)) for one in header.tasks))
    own = {one.id for one in header.tasks}
    chosen = [task for task in tasks if task.id in own]
    with exclusive(context.root.state, _LOCK, doing="eval"), places.held(context.project.path, run) as place:
        cancelled = threading.Event()
        rooms = room.Rooms(context, variables, place, cancelled)
        refuse_unconfined(context, rooms, shlex.split(header.backend), unconfined=unconfined)
        for left in (places.STARTS, places.PREPARED):
            shutil.rmtree(place / left, ignore_errors=True)
        kept = _kept(context, chosen, place)
        headers.refuse_changed(header, [(task, kept[task.id].sha256) for task in chosen])
        snapshots = {name: one.folder for name, one in kept.items()}
        _write(folder, header)
        asked = Asked(
            chosen, header.candidate, header.against, shlex.split(header.backend), header.model,
            Decimal(header.limit_usd), parallel,
        )  # fmt: skip
        return _run(context, header, asked, rooms, place, snapshots, cancelled, tell)


def _refuse_unpaid(asked: Asked, backend: Backend) -> None:
    """Raise `UsageError` for a limit at which nothing at all could be tried."""
    cheapest = min(asked.tasks, key=lambda task: runner.worst_usd(task, backend))
    unit, sides = ("attempt", 1) if asked.against is None else ("pair of attempts", 2)
    least = runner.worst_usd(cheapest, backend) * sides
    if least > asked.limit_usd:
        raise UsageError(
            f"a limit of {asked.limit_usd:f} USD pays for nothing: a {unit} of {cheapest.id} may cost {least:f} USD",
            hint="--limit-usd with more, or a lower limits.usd of the task",
        )


def _refuse_damaged(folder: Folder, header: Header) -> None:
    """Raise `IntegrityError` before anything is paid for where earlier attempts would count and are not there."""
    if header.against is not None:
        for one in eval_runs.alike(folder, together.as_begun(header)):
            eval_runs.reached(folder, one.id)


def _write(folder: Folder, header: Header) -> None:
    """Keep a run's header, begin its journal, and say that it was begun: from here on its attempts count."""
    headers.write(folder.at(header.id), header)
    with log.opened(folder.at(header.id)):
        pass
    if header.against is not None:
        eval_runs.begun(folder, together.as_begun(header))


def refuse_unconfined(context: Context, rooms: room.Rooms, backend: Sequence[str], *, unconfined: bool) -> None:
    """Raise `NotIsolatedError` where an agent would work that the kernel does not keep to its copy.

    It could write anywhere and end any process of the machine, so it takes both a line of the configuration and a word
    on the command line. A script starts nothing.
    """
    is_said = len(context.config.explain(_REQUIRE)) > 1
    if rooms.is_confined or backends.is_scripted(backend) or (unconfined and is_said):
        return
    reasons = "; ".join(f"{name}: {reason}" for name, reason in rooms.refused) or "advisory was asked for by name"
    raise NotIsolatedError(
        f"nothing here keeps an agent to its copy ({reasons}): nothing was started",
        hint=f"install bubblewrap or use Linux 6.2 or newer; on a machine that has nothing to lose, {_REQUIRE}: false "
        "in the configuration and --unconfined",
    )


def _kept(context: Context, tasks: Sequence[Task], place: Path) -> dict[str, start.Kept]:
    """Keep what each task begins with, alike ones once; return it by task."""
    limit_mb = float(context.config["evals.startLimitMb"])
    known: dict[str, start.Kept] = {}
    found: dict[str, start.Kept] = {}
    for number, task in enumerate(tasks):
        start.refuse_missing(context.project, task)
        key = headers.canonical([task.start.folder, task.start.ref, task.start.empty, task.start.files])
        if key not in known:
            folder = place / places.STARTS / str(number)
            known[key] = start.materialise(context.project, task, folder, limit_mb)
        found[task.id] = known[key]
    return found


def _refuse_edited(context: Context, tasks: Sequence[Task], kept: Mapping[str, start.Kept]) -> None:
    """Raise `UsageError` before anything is paid for where a start is no longer what was copied of it."""
    project = context.project
    edited = [
        task.id for task in tasks
        if kept[task.id].suite(task) != suite.whole(project, task.sha256, task.start.folder, task.start.ref)
    ]  # fmt: skip
    if edited:
        raise UsageError(
            f"what {', '.join(edited)} begins with was changed while the run began",
            hint="begin anew when nothing writes to start.folder or moves start.ref",
        )


def _pin(task: Task, kept: start.Kept, repeats: int | None) -> Pinned:
    judged = task.is_judged
    return Pinned(task.id, task.sha256, kept.sha256, repeats or task.repeats, task.tags, judged, kept.suite(task))


def _untouched(asked: Asked, rooms: room.Rooms, snapshots: Mapping[str, Path]) -> list[running.Untouched]:
    found = looking.look(asked.tasks, rooms, snapshots, asked.candidate)
    unfit = [one for one in found if not one.is_sound]
    if unfit and not asked.vacuous:
        lazy = [one.task for one in unfit if not one.can_fail]
        broken = [f"{one.task}: {', '.join(one.broken)}" for one in unfit if one.broken]
        told = [f"an agent that does nothing succeeds at {', '.join(lazy)}"] if lazy else []
        told += [f"what should hold from the start does not in {'; '.join(broken)}"] if broken else []
        raise UsageError(
            "; ".join(told), hint="agent-studio eval check says it of every check; --allow-vacuous goes on"
        )
    return found


def inspected(context: Context, variables: Mapping[str, str], tasks: Sequence[Task]) -> list[running.Untouched]:
    """Look at the untouched starts of tasks with the working checkout's definitions, without any agent."""
    candidate = candidates.create(context.project).candidate
    with places.held(context.project.path, f"{places.LOOKING}{secrets.token_hex(3)}") as place:
        try:
            rooms = room.Rooms(context, variables, place, threading.Event())
            folders = {name: one.folder for name, one in _kept(context, tasks, place).items()}
            return looking.look(tasks, rooms, folders, candidate, once=True)
        finally:
            shutil.rmtree(place, ignore_errors=True)


def _run(
    context: Context, header: Header, asked: Asked, rooms: room.Rooms, place: Path, snapshots: Mapping[str, Path],
    cancelled: threading.Event, tell: Tell,
) -> Done:  # fmt: skip
    state = context.root.state

    def told(made: int, total: int, newest: Mapping[str, Any] | None) -> None:
        state.replace(
            SHOWN, headers.canonical({"run": header.id, "made": made, "wanted": total}).encode(), durable=False
        )
        tell(made, total, newest)

    backend = backends.opened(asked.backend)
    folder = folder_of(context).at(header.id)
    work = runner.Work(
        header, folder, rooms, place, {task.id: task for task in asked.tasks}, snapshots, backend,
        Spending(context, header.id, backend.name, keeps=not isinstance(backend, Scripted)), asked.parallel, cancelled,
        told, asked.keep,
    )  # fmt: skip
    before = _stamps(context.project.path)
    budget = runner.run(work)
    judged = judging.run(context, header, folder, work.tasks, budget.limit_usd - budget.spent_usd)
    places.keep(place) if asked.keep else shutil.rmtree(place, ignore_errors=True)
    changed = sorted({name for name, _ in _stamps(context.project.path).items() ^ before.items()})
    return Done(header, log.read(folder), budget, (), tuple(changed), tuple(judged.faults))


def _stamps(project: Path) -> dict[str, tuple[int, int, int]]:
    """Return size, time and mode of a project's own files: what attempts must leave as it is."""
    found = {}
    for name in checkout.listed(project):
        status = (project / name).lstat()
        found[name] = (status.st_size, status.st_mtime_ns, status.st_mode)
    return found

"""The attack program: every route to what `run` protects, by each backend, as root and as another user.

bench/attacks.py prints a table and exits 1 when a route reaches that is claimed to be blocked; --write puts the table
into docs/isolation.md. A route counts as blocked only if it reaches the same thing without protection.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a script: the checkout is not on the path

from bench import attack_routes, attack_scenarios, measure

from agent_studio.isolation import claims, probe
from agent_studio.isolation.probe import Asked, Route, Target
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BACKENDS = ("bubblewrap", "landlock", "advisory")
OTHER_USER = 1000
PAGE = measure.REPOSITORY / "docs/isolation.md"
_MARK = "<!-- attacks -->"
_GUARDED = "hooks of git"
_OF_FIRST = probe.OF_PROCESSES | {"inherited descriptors", "write by inherited descriptors"}
"""Routes that are about the first target."""
_SOURCE = measure.REPOSITORY / "bench/attacks.c"
_ORDER = (probe.REACHES, probe.NOT_TRIED, probe.BLOCKED, probe.IMPOSSIBLE)
"""What one cell says of several targets: the first of these that any of them has."""


def main(argv: Sequence[str] | None = None) -> int:
    """Attack, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into docs/isolation.md")
    parser.add_argument("--json", action="store_true", help="print every route to every target")
    parser.add_argument("--backend", action="append", choices=BACKENDS, help="only these")
    parser.add_argument("--quick", action="store_true", help="only production's data and definitions")
    parser.add_argument("--one", metavar="DIR", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    backends = args.backend or BACKENDS
    if args.one:
        print(json.dumps([asdict(route) for route in _attacked(args.one, backends[0], quick=args.quick)]))
        return 0
    results = {(backend, user): attacked(backend, user, quick=args.quick) for user in users() for backend in backends}
    found = list(faults(results))
    print(
        json.dumps([[*key, asdict(one)] for key, found in results.items() for one in found])
        if args.json
        else _table(results)
    )
    print(*found, sep="\n", file=sys.stderr)
    if args.write:
        _write(results)
    return 1 if found else 0


def users() -> list[int]:
    """Return whose attacks can be made here: root's and another user's for root, else only one's own."""
    own = os.getuid()
    return [own, OTHER_USER] if own == 0 and shutil.which("setpriv") and interpreter(OTHER_USER) else [own]


def interpreter(user: int) -> str:
    """Return a Python that a user can start, of our own version; empty when there is none."""
    wanted = f"{sys.version_info.major}.{sys.version_info.minor}"
    for program in (sys.executable, shutil.which(f"python{wanted}", path=os.defpath)):
        if program:
            started = ("sh", "-c", '"$0" -c ""', program)  # by a shell: setpriv itself may start more than its user may
            done = subprocess.run([*_as(user), *started], capture_output=True, check=False, cwd="/")
            if done.returncode == 0:
                return program
    return ""


def attacked(backend: str, user: int, *, quick: bool = False) -> list[Route]:
    """Try every route to a project of a user's own, as that user; raise `RuntimeError` when it cannot be done."""
    with tempfile.TemporaryDirectory(prefix="attacks-") as name:
        place = Path(name).resolve()
        _prepare(place)
        _own(place, user)
        program = interpreter(user)
        folders = [measure.REPOSITORY / "src", *(path for path in sys.path if path.endswith("site-packages"))]
        words = [program, __file__, "--one", str(place), "--backend", backend, *(["--quick"] if quick else [])]
        done = subprocess.run(
            [*_as(user), *words], capture_output=True, text=True, check=False, cwd=place / "shop",
            env=variables(place) | {"PYTHONPATH": os.pathsep.join(map(str, folders))},
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{backend} as user {user}: {done.stderr[-2000:]}")
        return [Route(**one) for one in json.loads(done.stdout)]


def variables(place: Path) -> dict[str, str]:
    """Return what the attacks see: a home of their own."""
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(place / "home"), "LANG": "C.UTF-8",
            "GIT_CONFIG_GLOBAL": os.devnull, "TMPDIR": str(place / "tmp")}  # fmt: skip


def _as(user: int) -> list[str]:
    if user == os.getuid():
        return []
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]


def _prepare(place: Path) -> None:
    """Make two checkouts, a home with keys and definitions, and the program in C."""
    shop, target, home = place / "shop", place / "target", place / "home"
    for checkout in (shop, target):
        shutil.copytree(measure.REPOSITORY / "examples/bookshop", checkout)
        subprocess.run(["git", "init", "-q", str(checkout)], check=True)
    for folder in (".ssh", ".claude/agents", ".aws"):
        (home / folder).mkdir(parents=True)
    (home / ".ssh/id_ed25519").write_text("not a key\n", encoding="utf-8")
    (home / ".netrc").write_text("machine example.org\n", encoding="utf-8")
    (place / "tmp").mkdir(mode=0o700)
    with (shop / ".claude/config.yaml").open("a", encoding="utf-8") as file:
        file.write("\nrelease:\n  target: ../target\n")
    for project, environment in ((target, "production"), (shop, "production"), (shop, "staging")):
        words = (
            "init",
            "--env",
            environment,
            "--no-hooks",
            "--project",
            str(project),
            "--set",
            "testData.artifactsCount=1",
        )
        _ours(words, place)
    for name in ("evidence", "backups"):
        (shop / ".agent-studio/staging" / name).mkdir(exist_ok=True)
    (shop / ".agent-studio/production").mkdir(exist_ok=True)
    compiler = shutil.which("cc")
    if compiler:
        subprocess.run([compiler, "-O1", "-o", str(place / "attacks"), str(_SOURCE)], check=True)


def _ours(words: Sequence[str], place: Path) -> None:
    env = {**os.environ, **variables(place)}
    done = subprocess.run(
        [sys.executable, "-m", "agent_studio", *words], env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stdout}{done.stderr}")


def _own(place: Path, user: int) -> None:
    """Give everything to a user."""
    place.chmod(0o755)
    for folder, names, files in os.walk(place):
        for name in (".", *names, *files):
            os.chown(os.path.join(folder, name), user, user, follow_symlinks=False)  # noqa: PTH118 - there are many


def _attacked(place: Path, backend: str, *, quick: bool) -> list[Route]:
    """Attack as the user that we are by now."""
    shop = place / "shop"
    runner = attack_scenarios.Runner(shop, backend)
    program = place / "attacks"
    asked = Asked(
        list(_targets(place, compiled=program.exists(), quick=quick)),
        more=[Path(attack_routes.__file__)],
        given={"program": str(program)},
    )
    routes = probe.attack(asked, Folder(shop, ".agent-studio/staging"), runner.start)
    return routes if quick else [*routes, *attack_scenarios.tried(runner)]


def _targets(place: Path, *, compiled: bool, quick: bool) -> Iterator[Target]:
    shop, target, home = place / "shop", place / "target", place / "home"
    changing = [*probe.ON_READONLY, *(attack_routes.CHANGING if compiled else ())]
    hidden = [*probe.ON_HIDDEN, *(attack_routes.ROUTES if compiled else ())]
    yield Target("data of production", shop / ".claude/metrics", hidden)
    yield Target("definitions", shop / ".claude/agents", [name for name in changing if name not in _OF_FIRST])
    if quick:
        return
    changing = [name for name in changing if name not in _OF_FIRST]
    hidden = [name for name in hidden if name not in _OF_FIRST]
    yield Target("configuration", shop / ".claude", changing)
    yield Target("data in release.target", target / ".claude/metrics", hidden)
    yield Target("definitions in release.target", target / ".claude/agents", changing)
    yield Target("state of production", shop / ".agent-studio/production", hidden)
    yield Target("evidence of staging", shop / ".agent-studio/staging/evidence", changing)
    yield Target("backups of staging", shop / ".agent-studio/staging/backups", changing)
    yield Target("keys", home / ".ssh", hidden)
    yield Target("definitions of the user", home / ".claude/agents", changing)
    yield Target(_GUARDED, shop / ".git/hooks", changing)


def faults(results: dict[tuple[str, int], list[Route]]) -> Iterator[str]:
    """Yield what reaches although it is claimed to be blocked, and what was not tried."""
    for (backend, user), routes in results.items():
        for one in claims.broken(backend, routes):
            yield f"{backend}, user {user}: {one.name} reaches {one.target}: {one.detail}"
        for one in routes:
            if one.verdict == probe.NOT_TRIED:
                yield f"{backend}, user {user}: {one.name} was not tried on {one.target}: {one.detail}"


def _table(results: dict[tuple[str, int], list[Route]]) -> str:
    results = {key: [_told(one) for one in routes] for key, routes in results.items()}
    names = list(dict.fromkeys(one.name for routes in results.values() for one in routes))
    headings = ["route", *(f"{backend}, {_who(user)}" for backend, user in results)]
    rows = [(name, *(_cell(name, backend, found) for (backend, _), found in results.items())) for name in names]
    return measure.table(headings, rows)


def _told(route: Route) -> Route:
    """Return a route as the table has it: what is guarded only, by all routes in one row."""
    return replace(route, name=f"any change of {_GUARDED}") if route.target == _GUARDED else route


def _who(user: int) -> str:
    return "root" if user == 0 else "user"


def _cell(name: str, backend: str, routes: Sequence[Route]) -> str:
    found = [one for one in routes if one.name == name]
    worst = next((verdict for verdict in _ORDER if any(one.verdict == verdict for one in found)), "-")
    if worst != probe.REACHES:
        return worst
    where = list(dict.fromkeys(one.target for one in found if one.verdict == worst))
    mark = " (!)" if claims.broken(backend, found) else ""
    some = f" ({', '.join(where)})" if len(where) < len(found) else ""
    return f"**{worst}**{mark}{some}"


def _write(results: dict[tuple[str, int], list[Route]]) -> None:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_MARK)
    _, _, after = rest.partition(_MARK)
    PAGE.write_text(f"{before}{_MARK}\n\n{_table(results)}\n{_MARK}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

"""Make the candidate that would go live, show it, and compare it with production.

A candidate is named by one hash over the bytes and modes of all definitions. Evidence and signatures are of exactly
that hash: another byte in a definition, and it is another candidate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_studio.cli.output import Result
from agent_studio.release import evidence
from agent_studio.release.content import candidates, diff, manifest
from agent_studio.release.content.store import Store
from agent_studio.release.content.tree import Tree
from agent_studio.release.production import history, whose
from agent_studio.release.production.sides import SOURCE, open_sides, refuse_development

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.release.content.candidates import Made


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-verbs."""
    verbs = parser.add_subparsers(dest="subverb", metavar="SUBCOMMAND", required=True)
    verbs.add_parser(
        "create", help="put the working checkout's definitions into the store",
        description="Keep every byte of the working checkout's definitions and name them by one hash. Credentials and "
        "links that lead out are refused.",
    )  # fmt: skip
    show = verbs.add_parser(
        "show", help="its files, its commit, the evidence so far",
        description="Show a candidate's files, who made it, and the evidence there is on it.",
    )  # fmt: skip
    show.add_argument("candidate", metavar="HASH", nargs="?", help="its first digits (default: the checkout's)")
    show.add_argument("--files", action="store_true", help="list every file")
    compared = verbs.add_parser(
        "diff", help="what would change in production",
        description="Compare a candidate with the live release, or with production's files before the first.",
    )  # fmt: skip
    compared.add_argument("candidate", metavar="HASH", nargs="?", help="its first digits (default: the checkout's)")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Carry out one sub-verb."""
    refuse_development(session.choice)
    whose.refuse_production(session.project)
    return {"create": _create, "show": _show, "diff": _diff}[args.subverb](args, session)


def _create(args: argparse.Namespace, session: Session) -> Result:
    made = candidates.create(session.project)

    def render(screen: Screen) -> None:
        screen.mark("ok", f"Candidate {made.candidate}")
        _describe(screen, made)
        for path, reason in made.left_out:
            screen.mark("note", f"not in it: {path} ({reason})")
        screen.line("  next: gather evidence on it (agent-studio smoke --env staging), then agent-studio gate")

    left_out = [{"path": path, "reason": reason} for path, reason in made.left_out]
    data = {"candidate": made.candidate, "files": made.files, "commit": made.commit, **_more(made)}
    return Result({**data, "leftOut": left_out}, render)


def _more(made: Made) -> dict[str, Any]:
    return {"dirty": made.dirty, "author": made.author, "sizeBytes": made.size_bytes, "time": made.time}


def _describe(screen: Screen, made: Made) -> None:
    at = "no git commit" if made.commit is None else f"commit {made.commit[:12]}"
    changed = ", with changes that are not committed" if made.dirty else ""
    by = f", by {made.author}" if made.author else ""
    screen.line(f"  {made.files} files, {made.size_bytes:,} bytes; {at}{changed}{by}")


def _show(args: argparse.Namespace, session: Session) -> Result:
    made = candidates.of(session.project, candidates.named(session.project, args.candidate))
    store = Store(session.project)
    files: list[dict[str, Any]] = [
        {"path": path, "mode": entry.mode, "sha256": entry.sha256, "sizeBytes": len(store.read(entry.sha256))}
        for path, entry in store.manifest(made.candidate).items()
    ]
    found = evidence.of(session.project, SOURCE, made.candidate)
    gathered = [{"kind": one.kind, "verdict": one.verdict, "time": one.time} for one in found.evidence.values()]

    def render(screen: Screen) -> None:
        screen.line(f"Candidate {made.candidate}")
        _describe(screen, made)
        screen.table(("evidence", "verdict", "found at"), [tuple(one.values()) for one in gathered])
        for fault in found.faults:
            screen.mark("bad", fault)
        if args.files:
            rows = [(one["mode"], one["sizeBytes"], one["sha256"][:12], one["path"]) for one in files]
            screen.table(("mode", "bytes", "sha256", "path"), rows, numbers={"bytes"})

    data = {"candidate": made.candidate, "files": files, "commit": made.commit, **_more(made)}
    return Result({**data, "evidence": gathered, "faults": found.faults}, render)


def _diff(args: argparse.Namespace, session: Session) -> Result:
    project = session.project
    held: dict[str, bytes] = {}

    def hold(data: bytes) -> str:
        sha256 = manifest.name_of(data)
        held[sha256] = data
        return sha256

    store, sides = Store(project), open_sides(project, session.variables, session.overrides)
    current = history.read(project).current
    against = "" if current is None else current.release
    old = store.manifest(against) if against else sides.target.tree.read(hold).entries
    if args.candidate is None:
        new = Tree(project.definitions.resolve(), project.path).read(hold).entries
        name = manifest.name_of(manifest.render(new))
    else:
        name = candidates.named(project, args.candidate)
        new = store.manifest(name)
    found = diff.between(
        old, sides.target.tree.takes(new), lambda sha256: held[sha256] if sha256 in held else store.read(sha256)
    )

    def render(screen: Screen) -> None:
        screen.line(f"{name[:12]} against {f'release {against[:12]}' if against else 'the files of production'}")
        for one in found:
            note = " (binary)" if one.binary else ""
            screen.mark("note", f"{one.change}: {one.path}{note}")
            for line in one.text.splitlines():
                screen.line(f"  {line}")
        if not found:
            screen.mark("ok", "nothing differs")

    files = [{"path": one.path, "change": one.change, "binary": one.binary, "diff": one.text} for one in found]
    return Result({"candidate": name, "against": against or None, "files": files}, render)

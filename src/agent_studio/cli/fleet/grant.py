"""`fleet grant`: let a machine write its own records, a reader read one project, a drain write for all."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from agent_studio.cli import files
from agent_studio.cli.output import Result
from agent_studio.errors import StorageError, UsageError
from agent_studio.fleet import access
from agent_studio.fleet.address import INGEST_PASSWORD, PASSWORD, address
from agent_studio.fleet.jetstream import subject_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from agent_studio.cli.dispatch import Session
    from agent_studio.cli.output import Screen
    from agent_studio.fleet.access import Grant
    from agent_studio.fleet.address import Address

_BLOCK = """  {{
    user: {name}
    password: ${variable}
    permissions {{
      publish: [{subject}]
      subscribe: ["_INBOX.>"]
    }}
  }}"""
"""As NATS has it: who may publish on its own subject alone."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("who", metavar="WHO", choices=sorted(access.WHO), help="machine, reader or drain")
    parser.add_argument("name", metavar="NAME", help="as whom it connects")
    parser.add_argument("--of", dest="of", metavar="PROJECT", help="whose records (default: this project's)")
    parser.add_argument("--machine", metavar="MACHINE", help="of a machine: its name in the records (default: NAME)")
    parser.add_argument("--out", metavar="FILE", help="write the password that is made there, not to the screen")
    parser.add_argument("--password-stdin", action="store_true", help="read the password, one line; print none")
    parser.add_argument("--new-password", action="store_true", help="of a name that is let in: give it another")
    parser.add_argument("--dry-run", action="store_true", help="print the statements, change nothing")


def run(args: argparse.Namespace, session: Session) -> Result:
    """Grant one thing; a name that is new gets a password, told once and kept nowhere."""
    context = session.context
    project = args.of or context.config["fleet.project"] or context.project.path.name
    wanted = access.wanted(args.who, args.name, project, args.machine)
    if context.config["fleet.ingest"] and wanted.may == "write":
        return _into_the_stream(args, session, wanted)
    where = address(context.config, "fleet.engine")
    with access.doors(where) as doors:
        if args.dry_run:
            plan = doors.plan(wanted)
            data = {"engine": where.shown, "statements": plan, "dryRun": True}
            return Result(data, lambda screen: screen.block("".join(f"{statement};\n" for statement in plan).rstrip()))
        password, is_made = _password(args, session)
        with _written(args.out, password) if args.out else nullcontext() as file:
            done = doors.grant(wanted, password, anew=args.new_password)
            if file is not None and not done.is_password_set:
                file.unlink()
    is_told = is_made and done.is_password_set
    data = {
        "engine": where.shown, "name": done.grant.name, "may": wanted.may, "project": wanted.project or None,
        "machine": wanted.machine or None, "steps": list(done.steps), "passwordSet": done.is_password_set,
        "file": args.out if is_told else None, "dryRun": False,
    }  # fmt: skip

    def render(screen: Screen) -> None:
        for step in done.steps or [f"{done.grant.name} may do that already: nothing to do"]:
            screen.mark("ok", step)
        if done.is_password_set:
            _render_settings(screen, where, done.grant)
        if is_told and args.out:
            screen.line(f"its password is in {args.out}: put it into {PASSWORD} there, and remove the file")
        elif is_told:
            screen.line(f"and in {PASSWORD} this password, which is kept nowhere:")
            screen.line(f"  {password}")

    return Result(data, render)


def _into_the_stream(args: argparse.Namespace, session: Session, wanted: Grant) -> Result:
    """Return what the stream's own configuration needs, where machines send to a stream in place of the engine."""
    where = address(session.context.config, "fleet.ingest")
    variable = f"{re.sub('[^A-Za-z0-9]', '_', wanted.name).upper()}_PASSWORD"
    block = _BLOCK.format(
        name=json.dumps(wanted.name), variable=variable, subject=json.dumps(subject_of(wanted.project, wanted.machine))
    )
    password, is_made = ("", False) if args.dry_run else _password(args, session)
    with _written(args.out, password) if args.out and is_made else nullcontext():
        pass
    data = {
        "ingest": where.shown, "name": wanted.name, "may": wanted.may, "project": wanted.project,
        "machine": wanted.machine, "block": block, "variable": variable, "file": args.out if is_made else None,
        "dryRun": args.dry_run,
    }  # fmt: skip

    def render(screen: Screen) -> None:
        screen.line(f"{wanted.name} sends to {where.shown}: into `users` of its configuration, then reload it:")
        screen.block(block)
        if is_made and args.out:
            screen.line(f"{variable} of the server is in {args.out}; it is {INGEST_PASSWORD} of the machine, too")
        elif is_made:
            screen.line(f"{variable} of the server, and {INGEST_PASSWORD} of the machine, kept nowhere:")
            screen.line(f"  {password}")

    return Result(data, render)


def _render_settings(screen: Screen, where: Address, grant: Grant) -> None:
    """Say what its configuration holds."""
    user = where._replace(user=quote(grant.name, safe="")).shown
    screen.line(f"in the .claude/config.yaml of {grant.name}, below fleet:")
    screen.line(f"  engine: {user}")
    for key in ("project", "machine"):
        if value := getattr(grant, key):
            screen.line(f"  {key}: {value}")


def _password(args: argparse.Namespace, session: Session) -> tuple[str, bool]:
    """Return a password, and whether it was made here and has to be told."""
    if args.password_stdin:
        if args.out:
            raise UsageError("--out is for a password that is made", hint="leave --out or --password-stdin out")
        given = sys.stdin.readline().rstrip("\r\n")
        access.refuse_weak(given)
        return given, False
    if session.common.json and not args.out:
        raise UsageError("a password is not put into --json", hint="--out FILE, or --password-stdin")
    if args.out:
        files.refuse_guarded(args.out, files.definitions_of(session))
    return access.new_password(), True


@contextmanager
def _written(name: str, password: str) -> Iterator[Path]:
    """Write a password to a new file that is the owner's alone, before it counts; remove it when it never will."""
    file = Path(name)
    try:
        with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii") as written:
            written.write(f"{password}\n")
    except FileExistsError:
        raise UsageError(f"{name} is there already", hint="name another file") from None
    except OSError as error:
        raise StorageError(f"cannot write {name}: {error.strerror}", hint="name a file in a folder") from error
    try:
        yield file
    except BaseException:
        file.unlink(missing_ok=True)
        raise

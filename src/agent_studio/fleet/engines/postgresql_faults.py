"""What a fault of PostgreSQL means for who sends records: later, never, or ask somebody."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agent_studio.fleet.engines import FleetError, RefusedError, SchemaError, UnreachableError

if TYPE_CHECKING:
    import psycopg

_LATER = ("08", "40", "53", "57", "58", "25006", "25P03", "25P04", "55P03", "55006")
"""Connection, conflict, resources (disk, memory, connections), shutdown and timeout, system; a standby; locks."""
_WRONG = ("22", "23", "21000")
_NO_SCHEMA = ("42P01", "42703", "42883", "3F000")
_NOT_LET_IN = re.compile(
    r"password authentication failed|no password supplied|role .* (does not exist|is not permitted to log in)"
    r"|no pg_hba.conf entry|authentication failed"
)
_NO_DATABASE = re.compile(r"database .* does not exist")
_NOT_TRUSTED = re.compile(r"certificate|SSL error: |server does not support SSL|root\.crt")


def fault(error: psycopg.Error, where: str) -> FleetError:
    """Return a fault of the engine as one of ours."""
    state, said = error.sqlstate or "", _said(error)
    if state.startswith(_LATER):
        return UnreachableError(f"{where} cannot do it now: {said}")
    if state.startswith(_WRONG) or _is_refused_here(error):
        return RefusedError(f"{where} refuses: {said}")
    if state.startswith(_NO_SCHEMA):
        return SchemaError(f"{where}: {said}", hint="agent-studio fleet init creates and migrates the tables")
    if state == "42501":
        return FleetError(f"{where}: {said}", hint="agent-studio fleet access shows what a role may do")
    if state.startswith("28") or (not state and _NOT_LET_IN.search(said)):
        return FleetError(f"{where} does not let us in: {said}", hint="set AGENT_STUDIO_FLEET_PASSWORD")
    if state == "3D000" or (not state and _NO_DATABASE.search(said)):
        return FleetError(f"{where}: {said}", hint="create the database first: createdb NAME")
    if not state and _NOT_TRUSTED.search(said):
        return FleetError(f"{where}: no trusted connection: {said}", hint="fleet.tls.ca: the file with its authority")
    if not state:
        return UnreachableError(f"{where} cannot be reached: {said}")
    return FleetError(f"{where}: {said} ({state})")


def _is_refused_here(error: psycopg.Error) -> bool:
    """Whether the client itself could not write a value: a NUL in a text, a type that is none of the column's."""
    return error.sqlstate is None and type(error).__name__ in {"DataError", "ProgrammingError", "NotSupportedError"}


def _said(error: psycopg.Error) -> str:
    """Return one line of what was said: of the server's words the main one, of the client's the last."""
    lines = (error.diag.message_primary or str(error)).strip().splitlines() or ["no reason given"]
    return lines[0 if error.diag.message_primary else -1].strip()

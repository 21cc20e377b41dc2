"""The status line of Claude Code: one line from what the client says of a session and what we know of the environment.

Also a program, run by file path as `python -I -S statusline.py`: it imports only what costs nothing, because the
client starts it after every message. It never fails: what cannot be read is left out.
"""

import sys
import time

if sys.platform == "win32":
    import os as posix
else:
    import posix

_READ_MAX = 1 << 20  # a real object has 2 kB; what is larger is not one
_DRAINED_MAX = 64 << 20
_STATUS_MAX = 4_096
_STALE_S = 15 * 60
_NAME_MAX = 40
_TYPE, _REGULAR = 0o170000, 0o100000
_RED, _PLAIN = "\x1b[31m", "\x1b[0m"
_ENVIRONMENTS = ("development", "staging", "production")
_STATUS = "{project}/.agent-studio/{environment}/status.json"


def line(data: bytes, variables: dict[str, str], now_s: float) -> str:
    """Return the line for one object of the client, as bytes; never raises.

    `.agent-studio/<environment>/status.json` is `{"budgetLeftUsd": "12.30" or null, "openAlerts": n, "updatedAt":
    RFC 3339}`; what is missing or older than 15 minutes is left out.
    """
    variable = variables.get("AGENT_STUDIO_ENV")
    environment = "development" if variable is None else variable.strip().lower()
    known = environment in _ENVIRONMENTS
    parts = [environment if known else f"?{_plain(variable)}"]
    if environment == "production" and not variables.get("NO_COLOR") and variables.get("TERM") != "dumb":
        parts = [f"{_RED}{environment}{_PLAIN}"]
    client = _parsed(data)
    parts += _of_session(client)
    if known:
        parts += _of_environment(_status(client, variables, environment), now_s)
    return " | ".join(parts)


def read_input() -> bytes:
    """Return what stands on stdin, empty when it is a terminal or too much; drained so that its writer can end."""
    try:
        if posix.isatty(0):
            return b""
        kept, size = b"", 0
        while size < _DRAINED_MAX and (chunk := posix.read(0, 1 << 16)):
            size += len(chunk)
            kept += chunk if size <= _READ_MAX else b""
    except OSError:
        return b""
    return kept if size <= _READ_MAX else b""


def _of_session(client: object) -> list[str]:
    parts = []
    cost = _number(_field(client, "cost", "total_cost_usd"))
    if cost is not None:
        parts.append(f"${cost:.2f}")
    model = _plain(_field(client, "model", "display_name"))
    if model:
        parts.append(model)
    used = _number(_field(client, "context_window", "used_percentage"))
    if used is not None:
        parts.append(f"ctx {used:.0f}%")
    return parts


def _of_environment(status: object, now_s: float) -> list[str]:
    updated = _field(status, "updatedAt")
    if not isinstance(updated, str) or not _moment(now_s - _STALE_S) <= updated[:19] <= _moment(now_s + _STALE_S):
        return []
    parts = []
    left, alerts = _field(status, "budgetLeftUsd"), _field(status, "openAlerts")
    if isinstance(left, str) and len(left) < _NAME_MAX and left.removeprefix("-").replace(".", "", 1).isdecimal():
        shown = f"${float(left.removeprefix('-')):.2f}"
        parts.append(f"budget {shown} left" if left[0] != "-" else f"budget over by {shown}")
    if isinstance(alerts, int) and not isinstance(alerts, bool) and 0 < alerts < 1 << 31:
        parts.append(f"{alerts} alert{'' if alerts == 1 else 's'}")
    return parts


def _status(client: object, variables: dict[str, str], environment: str) -> object:
    """Return what other parts last wrote about the environment; only a regular file is read, and little of it."""
    project = _field(client, "workspace", "project_dir") or variables.get("CLAUDE_PROJECT_DIR")
    if not isinstance(project, str) or not project:
        return None
    flags = posix.O_RDONLY | getattr(posix, "O_NONBLOCK", 0) | getattr(posix, "O_NOFOLLOW", 0)
    try:
        descriptor = posix.open(_STATUS.format(project=project, environment=environment), flags)
    except (OSError, ValueError):
        return None
    try:
        if posix.fstat(descriptor).st_mode & _TYPE != _REGULAR:
            return None
        return _parsed(posix.read(descriptor, _STATUS_MAX))
    except OSError:
        return None
    finally:
        posix.close(descriptor)


def _parsed(data: bytes) -> object:
    """Return parsed JSON, or None; the parser's core alone, because all of `json` doubles what the process costs."""
    try:
        text = data.decode().lstrip("\ufeff").strip(" \t\r\n")
        try:
            from _json import make_scanner  # noqa: PLC0415 - CPython only
        except ImportError:
            import json  # noqa: PLC0415 - elsewhere

            return json.loads(text)
        found, end = make_scanner(_Strict)(text, 0)  # type: ignore[arg-type] # it looks only at the attributes
    except Exception:  # noqa: BLE001 - the core alone has more ways to fail than the whole parser
        return None
    return found if end == len(text) else None


class _Strict:
    """What the parser's core asks of its decoder."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, float


def _field(found: object, *names: str) -> object:
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _number(found: object) -> float | None:
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found) if 0 <= found < 1e9 else None  # noqa: PLR2004 - more is no cost of a session


def _plain(found: object) -> str:
    """Return a name without what could act on a terminal."""
    text = found if isinstance(found, str) else ""
    return "".join(character for character in text[: 4 * _NAME_MAX] if character.isprintable())[:_NAME_MAX].strip()


def _moment(at_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_s))


def _variables() -> dict[str, str]:
    if sys.platform == "win32":
        return dict(posix.environ)
    return {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in posix.environ.items()}


def _main() -> None:
    try:
        text = line(read_input(), _variables(), time.time())
    except Exception:  # noqa: BLE001 - the client shows nothing at all when its status line fails
        text = "?"
    try:
        posix.write(1, text.encode("utf-8", "replace") + b"\n")
    except OSError:
        return  # nobody reads it


if __name__ == "__main__":
    _main()

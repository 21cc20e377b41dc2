"""Writing values into an environment's configuration file, so that they are what it then says, or nothing changes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agent_studio.environment.config import file_name, inspect
from agent_studio.environment.detect import DEFINITIONS
from agent_studio.environment.edit import set_value
from agent_studio.environment.roots import Project
from agent_studio.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_studio.environment.context import Context
    from agent_studio.environment.sources import Layer

_HEADER = "# What {} has otherwise than config.yaml.\n"


@contextmanager
def changed_file(context: Context, values: Mapping[str, Any]) -> Iterator[None]:
    """Hold values in the environment's own file from here on; what fails inside puts the file back as it was.

    Every other byte of the file survives. Raises `ConfigurationError` when the file cannot take a value, or when it
    would not be the value in force.
    """
    folder, name = context.project.folder.at(DEFINITIONS), file_name(context.environment)
    try:
        old: bytes | None = folder.read(name)
    except FileNotFoundError:
        old = None
    text = _HEADER.format(context.environment) if old is None else old.decode()
    for key, value in values.items():
        text = set_value(text, key, value, file=Project.shown(name))
    folder.replace(name, text.encode())
    try:
        _prove(context, values)
        yield
    except BaseException:
        if old is None:
            folder.remove(name)
        else:
            folder.replace(name, old)
        raise


def place_of(layer: Layer) -> str:
    """Return where a layer stands: file and line, or the variable, rule or default."""
    if layer.file:
        return f"{Project.shown(layer.file)}:{layer.line}"
    return {"default": "default", "rule": f"rule: {layer.note}"}.get(layer.source, layer.note)


def _prove(context: Context, values: Mapping[str, Any]) -> None:
    """Read the files again and raise unless they now say what was wanted."""
    config, problems = inspect(context.project, context.environment, {})
    if problems:
        raise problems[0]
    for key, value in values.items():
        layer = config.explain(key)[-1]
        found = list(layer.value) if isinstance(layer.value, tuple) else layer.value
        if found != value:
            raise ConfigurationError(f"{key} would still be {layer.value!r} ({place_of(layer)})")

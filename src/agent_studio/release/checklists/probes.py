"""Functional probes: each uses one feature as a person would, in a project of its own that is gone afterwards.

A feature flag for which this version has no probe is named and not counted. A feature that is off where it should be
tried was not tried: that is no pass.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.cost import verify
from agent_studio.cost.calls import Ledger
from agent_studio.environment import flags
from agent_studio.environment.config import BASE_FILE, file_name
from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import DEFINITIONS
from agent_studio.environment.flag_journal import history
from agent_studio.environment.roots import LOGS, Project
from agent_studio.environment.schema import KINDS
from agent_studio.errors import AgentStudioError
from agent_studio.knowledge.answers import Query
from agent_studio.knowledge.base import knowledge
from agent_studio.release.evidence import FAIL, INSUFFICIENT, PASS
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from agent_studio.environment.flags import Evaluation

_LEDGER = LOGS["metrics"][-1]
_ARTIFACT = "agents/quartz-tuner.md"
_TEXT = "---\nname: quartz-tuner\ndescription: Tunes quartz oscillators of tower clocks.\n---\n\n# Quartz tuner\n"
_WHO, _WHY = "probe", "probe"
FLAGS = "flags"
"""The name of the probe of flags themselves, which no flag switches."""


class ProbeError(Exception):
    """A feature did not do what it is there for; the message says what."""


class Found(NamedTuple):
    """What one probe found."""

    feature: str
    verdict: str
    """PASS, FAIL, INSUFFICIENT, or empty for a feature that this version does not have."""
    message: str


def run(context: Context) -> list[Found]:
    """Try every feature that this version has with an environment's configuration, and name the flags of others."""
    found = [_tried(FLAGS, _flags, context)]
    for flag in context.config.flags:
        state = _state(context, flag)
        if flag not in PROBES:
            found.append(Found(flag, "", "this version has no such part: not tried, not counted"))
        elif not state.value:
            found.append(Found(flag, INSUFFICIENT, f"not tried: {state.detail}"))
        else:
            found.append(_tried(flag, PROBES[flag], context))
    return found


def _tried(feature: str, probe: Callable[[Context, Context], str], context: Context) -> Found:
    try:
        with scratch(context) as inner:
            return Found(feature, PASS, probe(inner, context))
    except ProbeError as error:
        return Found(feature, FAIL, str(error))
    except AgentStudioError as error:
        return Found(feature, FAIL, error.message)
    except OSError as error:
        return Found(feature, FAIL, f"{error.filename}: {error.strerror}")


@contextmanager
def scratch(context: Context) -> Iterator[Context]:
    """Give the same environment, by its own configuration files, in an empty project, and remove that again."""
    with tempfile.TemporaryDirectory(prefix="agent-studio-probe-") as place:
        project = Project(Path(os.path.realpath(place)))
        definitions = Folder(project.path, DEFINITIONS)
        definitions.make("agents")
        for name in (BASE_FILE, file_name(context.environment)):
            if name in context.config.files:
                definitions.create(name, context.project.read_definition(name))
        definitions.create(_ARTIFACT, _TEXT.encode())
        inner = open_context(project, context.choice, {})
        for kind in KINDS:
            inner.root.folder(kind).make()
        yield inner


def _flags(inner: Context, context: Context) -> str:
    """Ask every flag why it has its value; kill one that is on, and lift the kill again."""
    states = [_state(context, flag) for flag in context.config.flags]
    if not states or any(not one.detail for one in states):
        raise ProbeError("a flag does not say why it has its value")
    flag = next((one.flag for one in states if _state(inner, one.flag).value), None)
    if flag is None:
        return f"{len(states)} flags say why; none is on, so no kill was tried"
    flags.kill(inner, flag, who=_WHO, why=_WHY)
    off = _state(inner, flag)
    flags.lift(inner, flag, who=_WHO, why=_WHY)
    on = _state(inner, flag)
    if off.value or not on.value:
        raise ProbeError(f"{flag} was killed and is {_word(off.value)}, was lifted and is {_word(on.value)}")
    return f"{len(states)} flags say why; {flag} was killed and lifted"


def _state(context: Context, flag: str) -> Evaluation:
    return flags.evaluate(context.config, history(context.root), flag)


def _knowledge(inner: Context, context: Context) -> str:
    """Find an artifact by what it is for in an index made anew, and one of the project's by its name."""
    with knowledge(inner) as base:
        hits = base.search(Query("tune an oscillator", limit=1)).hits
        if [hit.entry.name for hit in hits] != ["quartz-tuner"]:
            raise ProbeError("a new index does not find its only artifact by what it is for")
    with knowledge(context, writes=False) as base:
        real = base.list(limit=1)
        if not real:
            return "a question found its artifact in a new index; the project has no artifacts"
        hits = base.search(Query(real[0].name, limit=10)).hits
        if real[0].path not in {path for hit in hits for path in (hit.entry.path, *hit.copies)}:
            raise ProbeError(f"a search for {real[0].name!r} does not find {real[0].path}")
        return f"a question found its artifact in a new index, and {real[0].name!r} in the project's own"


def _cost(inner: Context, context: Context) -> str:
    """Record calls and verify them; then change one, and see that it is found."""
    del context
    ledger = Ledger(inner)
    for number in range(3):
        ledger.record(model="claude-sonnet-4-5", input_tokens=1_000 + number, output_tokens=10)
    sound = verify.verify([inner.root])
    if not sound.passed or sound.records != 3:  # noqa: PLR2004 - as many as were recorded
        raise ProbeError(f"3 calls were recorded, and verify says {sound.first_bad or sound.records}")
    folder = inner.root.folder("metrics")
    folder.replace(_LEDGER, folder.read(_LEDGER).replace(b"1001", b"1002", 1))
    if verify.verify([inner.root]).passed:
        raise ProbeError("a changed record of the ledger verifies")
    return "3 calls were recorded and verified, and a changed one was found"


def _reasoning(name: str) -> Callable[[Context, Context], str]:
    def probe(inner: Context, context: Context) -> str:
        from agent_studio.release.checklists import reasoning_probes  # noqa: PLC0415 - all of reasoning is behind it

        del context
        said: str = getattr(reasoning_probes, name)(inner)
        return said

    return probe


PROBES: Mapping[str, Callable[[Context, Context], str]] = {
    "knowledgeBase": _knowledge,
    "costTracking": _cost,
    "partyMode": _reasoning("party"),
    "advancedElicitation": _reasoning("elicitation"),
    "sidecarMemory": _reasoning("sidecar"),
}
"""A probe for each feature flag whose part this version has; it gets a scratch environment and the real one."""


def _word(value: bool) -> str:  # noqa: FBT001 - inside one module
    return "on" if value else "off"

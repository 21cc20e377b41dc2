"""Verify: the locked draft is what the client takes, finished, whole and without secrets.

It is looked at where it would lie: in a project of its own that holds nothing else, which is gone afterwards.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.environment.detect import DEFINITIONS
from agent_studio.environment.findings import Severity
from agent_studio.environment.roots import Project
from agent_studio.evolution import drafts
from agent_studio.evolution.gate import FAIL, INSUFFICIENT, PASS, Gate, counted
from agent_studio.evolution.gates import placeholders, references
from agent_studio.evolution.gates.likeness import stems
from agent_studio.evolution.gates.need import WORDS_LEAST
from agent_studio.isolation.secrets import scan
from agent_studio.isolation.secrets.baseline import Baseline
from agent_studio.knowledge import diagnosis, front_matter
from agent_studio.knowledge.text import decode
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent_studio.evolution.drafts import Draft
    from agent_studio.evolution.state import Evolution
    from agent_studio.knowledge.base import KnowledgeBase
    from agent_studio.knowledge.front_matter import FrontMatter

_TEXTS = (".md", ".txt")
_SHOWN = 3
_GRANTS = ("hooks", "allowed-tools", "allowed_tools")
"""Fields by which an artifact runs something or may do so unasked: the gate says that they are there."""


class Looked(NamedTuple):
    """A draft, read."""

    one: Evolution
    draft: Draft
    matter: FrontMatter
    """Of its main file."""
    texts: dict[str, str]
    """Its files of text, by path; of the main file without front matter."""

    @property
    def description(self) -> str:
        """What the artifact says of itself."""
        value = self.matter.fields.get("description", "")
        return " ".join((value if isinstance(value, str) else ", ".join(value)).split())

    @property
    def lines_above(self) -> int:
        """How many lines of the main file are front matter."""
        main = next(part for part in self.draft.parts if part.path == drafts.main_file(self.one))
        return decode(main.data)[0].count("\n") - self.matter.body.count("\n")


def look(one: Evolution, draft: Draft) -> Looked:
    """Read a draft."""
    main = drafts.main_file(one)
    texts = {
        part.path: decode(part.data)[0].replace("\r\n", "\n") for part in draft.parts if part.path.endswith(_TEXTS)
    }
    matter = front_matter.read(texts.get(main, ""))
    return Looked(one, draft, matter, {**texts, main: matter.body})


def unchanged(one: Evolution, draft: Draft | None) -> Gate:
    """Say whether the draft is what was locked."""
    if draft is None:
        return Gate("unchanged", FAIL, f"{drafts.main_file(one)} is gone: what was locked is not there")
    if draft.sha256 != one.locked:
        return Gate(
            "unchanged", FAIL, f"it was changed after it was locked ({one.locked[:12]}, now {draft.sha256[:12]})"
        )
    return Gate("unchanged", PASS, f"{one.locked[:12]}, {counted(len(draft.parts), 'file')}")


def schema(found: Looked, project: Project) -> Gate:
    """Say whether the client takes the artifact for what it is meant to be."""
    faults = list(_fields(found))
    if not faults:
        worse = (Severity.WARNING, Severity.ERROR)
        faults = [
            f"{one.path.rpartition('/')[2]}:{one.line}: {one.message}"
            for one in diagnosis.diagnose(project).issues
            if one.severity in worse and one.code != "secret"
        ]
    if faults:
        return Gate("schema", FAIL, _listed(faults), tuple({"fault": one} for one in faults))
    told = f"{found.one.kind} {found.one.name}, {counted(len(found.matter.fields), 'field')}"
    brings = [f"the field {name}" for name in found.matter.fields if name.partition(".")[0] in _GRANTS]
    brings += [part.path for part in found.draft.parts if part.executable]
    return Gate("schema", PASS, f"{told}; look at {', '.join(dict.fromkeys(brings))}" if brings else told)


def spoken_of(found: Looked) -> set[str]:
    """Return every artifact and file that the draft names."""
    names = {one.name for one in references.named(found.matter.fields, found.texts.values())}
    is_skill = found.one.kind == "skill"
    return names.union(*(references.files(text, is_skill=is_skill) for text in found.texts.values()))


def _fields(found: Looked) -> Iterator[str]:
    """Yield what front matter must say, whatever a lenient reader makes of it."""
    one, fields = found.one, found.matter.fields
    if not fields:
        yield "there is no front matter"
        return
    if one.kind != "command" and fields.get("name", "") != one.name:
        yield f"name is {fields.get('name', '')!r}, not {one.name!r}"
    if one.kind == "command" and fields.get("name", one.name) != one.name:
        yield f"name is {fields['name']!r}, not {one.name!r}"
    if len(stems(found.description)) < WORDS_LEAST:
        yield "the description says too little for anybody to know when to use it"
    if len(found.description) > diagnosis.DESCRIPTION_MAX:
        yield f"the description has {len(found.description):,} characters; at most {diagnosis.DESCRIPTION_MAX:,}"
    if not found.matter.body.strip():
        yield "nothing stands below the front matter"
    if sum(part.path.casefold().endswith("skill.md") for part in found.draft.parts) > 1:
        yield "there is another skill in it: each is evolved by itself"


def no_placeholders(found: Looked) -> Gate:
    """Say whether anything is still to be written."""
    faults = [
        f"{name}: {held}"
        for name, value in found.matter.fields.items()
        if name in placeholders.TOLD
        and (held := placeholders.in_field(value if isinstance(value, str) else ", ".join(value)))
    ]
    main = drafts.main_file(found.one)
    above = found.lines_above
    for path, text in found.texts.items():
        offset = above if path == main else 0
        faults += [f"{path}:{one.line + offset}: {one.text}" for one in placeholders.in_body(text)]
    if faults:
        return Gate("placeholders", FAIL, _listed(faults), tuple({"found": one} for one in faults))
    return Gate("placeholders", PASS, "none")


def referenced(base: KnowledgeBase, project: Project, found: Looked) -> Gate:
    """Say whether everything that the draft speaks of is there."""
    one = found.one
    names = list(dict.fromkeys(references.named(found.matter.fields, found.texts.values())))
    absent = [
        f"the {ref.kind} {ref.name}" for ref in references.missing_named(base, one, names) if ref.name not in one.unlike
    ]
    own = [part.path for part in found.draft.parts]
    count = 0
    for path, text in found.texts.items():
        targets = list(references.files(text, is_skill=one.kind == "skill"))
        count += len(targets)
        missing = references.missing_files(project, one, path, own, targets)
        absent += [target for target in missing if target not in one.unlike]
    if absent:
        reason = f'not there: {_listed(absent)}; what is none is answered for: --unlike "{absent[0].split()[-1]}=WHY"'
        return Gate("references", FAIL, reason, tuple({"missing": name} for name in absent))
    return Gate("references", PASS, f"{counted(len(names), 'name')} and {counted(count, 'file')} that it speaks of")


def no_secrets(project: Project) -> Gate:
    """Say whether a credential stands in any file of the draft; what only looks like one is to be looked at."""
    sources = scan.below("draft", str(project.definitions), "")
    report = scan.scan(sources, Baseline("", {}))
    told = tuple({"path": hit.path, "line": hit.line, "kind": hit.kind} for hit in report.hits)
    said = [f"{hit.path}:{hit.line} ({hit.kind})" for hit in report.hits]
    unread = [one.path for one in report.skipped if one.matters]
    if report.hits:
        return Gate("secrets", FAIL, f"a credential, or what looks like one: {_listed(said)}", told)
    if unread:
        return Gate("secrets", INSUFFICIENT, f"not looked through: {_listed(unread)}")
    return Gate("secrets", PASS, f"none in {counted(report.files, 'file')}")


@contextmanager
def laid_out(one: Evolution, draft: Draft) -> Iterator[Project]:
    """Give a project that holds nothing but the draft, where it would lie."""
    with tempfile.TemporaryDirectory(prefix="agent-studio-draft-") as place:
        project = Project(Path(place).resolve())
        parent = (
            f"{DEFINITIONS}/{one.place}" if one.kind == "skill" else f"{DEFINITIONS}/{one.place.rpartition('/')[0]}"
        )
        folder = Folder(project.path, parent)
        folder.make()
        drafts.write(folder, draft.parts)
        yield project


def _listed(faults: Sequence[str]) -> str:
    more = f", and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    return "; ".join(faults[:_SHOWN]) + more

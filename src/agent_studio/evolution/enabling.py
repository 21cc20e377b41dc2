"""Enable: the locked bytes go among the working checkout's definitions, all of them in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.environment.detect import DEFINITIONS
from agent_studio.evolution import drafts
from agent_studio.storage.folder import Folder

if TYPE_CHECKING:
    from agent_studio.environment.context import Context
    from agent_studio.environment.roots import Project
    from agent_studio.evolution.drafts import Draft
    from agent_studio.evolution.state import Evolution


def is_placed(project: Project, one: Evolution) -> bool:
    """Tell whether what was about to be put in its place, when a process died, is there."""
    folder = project.folder.at(DEFINITIONS)
    if not one.placing or one.placing != one.locked or folder.status(one.place) is None:
        return False
    if one.kind == "skill":
        return drafts.read_folder(folder.at(one.place)).sha256 == one.locked
    part = drafts.Part(drafts.main_file(one), folder.read(one.place), executable=False)
    return drafts.Draft((part,)).sha256 == one.locked


def place(context: Context, one: Evolution, draft: Draft) -> str:
    """Put the draft in its place, unless it is there, and return that; what a killed process left is cleared first."""
    project = context.project
    definitions = project.folder.at(DEFINITIONS)
    parent, _, name = one.place.rpartition("/")
    beside = Folder(project.path, context.root.kinds["context"], shared=True)
    work = f"{drafts.home(one)}.placing"
    if beside.status(work):
        beside.remove_tree(work)
    if not is_placed(project, one):
        definitions.make(parent)
        beside.make(f"{work}/{name}" if one.kind == "skill" else work)
        built = beside.at(work)
        drafts.write(built.at(name) if one.kind == "skill" else built, draft.parts)
        built.move(name, definitions.at(parent), name)
        definitions.at(parent).sync()
        beside.remove_tree(work)
    return project.shown(one.place)


def take_back(context: Context, one: Evolution) -> None:
    """Take what was put in its place away again, in one step, unless somebody changed it meanwhile."""
    if not is_placed(context.project, one):
        return
    parent, _, name = one.place.rpartition("/")
    beside = Folder(context.project.path, context.root.kinds["context"], shared=True)
    work = f"{drafts.home(one)}.placing"
    if beside.status(work):
        beside.remove_tree(work)
    beside.make(work)
    context.project.folder.at(DEFINITIONS).at(parent).move(name, beside.at(work), name)
    beside.remove_tree(work)

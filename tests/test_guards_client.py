"""An exhausted budget and the guard of the ledger, in the real client: what they deny does not happen."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # plain `pytest` does not look for bench/ there

from bench.client import claude
from bench.client.journey import ours
from bench.client.messages_api import MessagesApi, Tool, Turn

MARK = "[guarded]"
LEDGER = ".claude/staging/metrics/llm-usage.log"


@pytest.mark.parametrize("version", claude.VERSIONS)
def test_what_a_guard_denies_does_not_happen(version: str, tmp_path: Path) -> None:
    try:
        client = claude.install(version)
    except claude.ClientMissingError as reason:
        pytest.skip(f"Claude Code {version} cannot be had: {reason}")
    project, home = tmp_path / "shop", tmp_path / "home"
    (project / ".claude").mkdir(parents=True)
    home.mkdir()
    turns = [
        Turn(tools=[Tool("Bash", {"command": "touch first"})]),
        Turn(tools=[Tool("Bash", {"command": f"echo spoiled >> {LEDGER}"})]),
        Turn(tools=[Tool("Bash", {"command": "touch second"})]),
        Turn("done"),
    ]
    api = MessagesApi({MARK: turns})
    with api.serving():
        variables = {**claude.variables(client, home, api.url), "AGENT_STUDIO_ENV": "staging"}
        ours(project, variables, "init")
        place = project / ".claude/config.staging.yaml"
        guards = "cost:\n  guardLedger: true\n  budgets: [{per: session, tokens: LIMIT, action: block}]\n"
        plain = place.read_text()
        place.write_text(plain + guards.replace("LIMIT", "1000000000"))
        ours(project, variables, "hooks", "install")
        assert claude.run(claude.words(f"{MARK} go on"), project, variables).code == 0
        assert (project / "first").exists()
        assert (project / "second").exists()
        assert "only agent-studio writes it" in json.dumps(api.requests)
        assert b"spoiled" not in (project / LEDGER).read_bytes()
        for name in ("first", "second"):
            (project / name).unlink()
        place.write_text(plain + guards.replace("LIMIT", "1"))
        api.requests.clear()
        claude.run(claude.words(f"{MARK} go on"), project, variables)
        assert not (project / "second").exists()
        assert "is used up" in json.dumps(api.requests)
        ours(project, variables, "cost", "verify")

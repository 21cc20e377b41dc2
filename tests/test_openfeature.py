"""The OpenFeature provider: flags by name, parameters with their types, errors on the details."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode

from agent_studio.environment import flags
from agent_studio.environment.context import Context, open_context
from agent_studio.environment.detect import Choice, Environment
from agent_studio.environment.openfeature import AgentStudioProvider
from agent_studio.environment.roots import Project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openfeature.client import OpenFeatureClient
    from tests.conftest import Studio

CONFIG = """\
features:
  partyMode:
    rolloutPercentage: 50
    maxAgents: 7
    costLimit: 12
  slowMode:
    enabled: false
  advancedElicitation:
    methods: [pre-mortem]
models: {default: opus}
"""


@pytest.fixture
def context(bare: Studio) -> Context:
    bare.write(".claude/config.yaml", CONFIG)
    return open_context(Project(bare.path), Choice(Environment.DEVELOPMENT, "test"), {})


@pytest.fixture
def client(context: Context) -> Iterator[OpenFeatureClient]:
    api.set_provider(AgentStudioProvider(context))
    yield api.get_client()
    api.clear_providers()


def test_a_flag_is_decided_for_the_targeting_key(client: OpenFeatureClient) -> None:
    inside = client.get_boolean_details("partyMode", False, EvaluationContext("abc"))
    outside = client.get_boolean_details("partyMode", True, EvaluationContext("session-1"))
    assert (inside.value, inside.reason, inside.variant) == (True, "SPLIT", "on")
    assert (outside.value, outside.reason, outside.variant) == (False, "SPLIT", "off")
    assert inside.flag_metadata["bucket"] == 4743
    assert ".claude/config.yaml:3" in str(inside.flag_metadata["detail"])
    assert inside.flag_metadata["environment"] == "development"


def test_without_a_targeting_key_a_partial_rollout_is_off(client: OpenFeatureClient) -> None:
    details = client.get_boolean_details("partyMode", True)
    assert (details.value, details.reason, details.error_code) == (False, "NO_UNIT", None)


def test_a_disabled_flag_is_off_whatever_the_default(client: OpenFeatureClient) -> None:
    details = client.get_boolean_details("slowMode", True)
    assert (details.value, details.reason, details.error_code) == (False, "DISABLED", None)


def test_a_kill_reaches_a_running_client(client: OpenFeatureClient, context: Context) -> None:
    unit = EvaluationContext("abc")
    assert client.get_boolean_value("partyMode", False, unit)
    flags.kill(context, "partyMode", who="Ada", why="too dear")
    for name in ("partyMode", "partyMode.enabled"):
        details = client.get_boolean_details(name, True, unit)
        assert (details.value, details.reason) == (False, "KILLED")
    flags.lift(context, "partyMode", who="Ada", why="cheap")
    assert client.get_boolean_value("partyMode", False, unit)


def test_parameters_come_in_their_types(client: OpenFeatureClient) -> None:
    integer = client.get_integer_details("partyMode.maxAgents", 1)
    assert (integer.value, integer.reason, integer.variant) == (7, "STATIC", "config.yaml")
    assert integer.flag_metadata["line"] == 4
    number = client.get_float_details("partyMode.costLimit", 1.0)
    assert number.value == 12.0
    assert type(number.value) is float
    methods = client.get_object_value("advancedElicitation.methods", [])
    assert methods == ["pre-mortem"]


@pytest.mark.parametrize("key", ["partMode", "partyMode.maxAgent", "models.default", "", "partyMode."])
def test_an_unknown_flag_is_flag_not_found_and_the_default(client: OpenFeatureClient, key: str) -> None:
    for details in (client.get_boolean_details(key, True), client.get_integer_details(key, 3)):
        assert details.error_code == ErrorCode.FLAG_NOT_FOUND
        assert details.reason == "ERROR"
        assert details.value in {True, 3}


def test_the_nearest_flag_is_named(client: OpenFeatureClient) -> None:
    assert 'did you mean "partyMode"?' in str(client.get_boolean_details("partMode", False).error_message)


def test_a_wrong_type_is_type_mismatch_and_the_default(client: OpenFeatureClient) -> None:
    wrong = (
        client.get_string_details("partyMode.maxAgents", "x"),
        client.get_boolean_details("partyMode.maxAgents", True),
        client.get_integer_details("partyMode.enabled", 1),
        client.get_integer_details("partyMode", 1),
        client.get_integer_details("advancedElicitation.minConfidence", 1),
        client.get_object_details("partyMode.maxAgents", []),
    )
    assert [details.error_code for details in wrong] == [ErrorCode.TYPE_MISMATCH] * 6
    assert [details.value for details in wrong] == ["x", True, 1, 1, 1, []]


def test_without_the_sdk_importing_names_the_extra() -> None:
    script = (
        "import sys\n"
        "sys.modules['openfeature'] = None\n"
        "import agent_studio.environment.openfeature\n"
    )  # fmt: skip
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'agent-studio[openfeature]'" in done.stderr


def test_the_command_line_never_imports_the_sdk(bare: Studio) -> None:
    script = (
        "import sys; from agent_studio.cli.main import main; code = main(['flags', 'list']);"
        "sys.exit(code or 'openfeature' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=bare.path, check=False).returncode == 0

"""What a run inherits, which values are production's, and which texts are opaque."""

from __future__ import annotations

import base64
import json
import math
import re
import stat
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_studio.isolation.secrets.opaque import entropy, is_opaque
from agent_studio.isolation.variables import Filtered, is_secret, without_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conftest import Finished, Studio

RUN = ("run", "--env", "staging", "--no-telemetry")
PRINT = "import json, os; print(json.dumps(dict(os.environ)))"
OPAQUE = "Zx81kLm29QwErTy7UiOp4AsD"
LIVE = "live-value-of-the-shop-1"


@pytest.mark.parametrize(
    "value",
    [
        OPAQUE, f"https://x.example/{OPAQUE}", f"a={OPAQUE}", "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzzKEY1", json.dumps({"a": OPAQUE}), f"prefix-{OPAQUE}",
    ],
)  # fmt: skip
def test_a_value_that_says_nothing_is_opaque(value: str) -> None:
    assert is_opaque(value)
    assert is_secret("SHOP_MODE", value)


@pytest.mark.parametrize(
    "value",
    [
        "", "development", "/usr/bin:/bin", "de_DE.UTF-8", "https://registry.example/simple/",
        "x86_64-unknown-linux-gnu",
        "w0t0p0:8A6B3F2E-1111-4222-9333-ABCDEFABCDEF", "/run/user/1000/vscode-f2b1c4d5e6a7-1.80-main.sock",
        "application.com.microsoft.VSCode.1234567.8901234", "postgresql-15-main-cluster-01",
        "C:\\Users\\me\\x8j2k4l6m8n0p2q4",
        "2026-01-31T09:30:00.000Z", "1234567890123456789012345678901234", "-O2 -g -fstack-protector-strong",
        "aws-us-east-1-prod-cluster-node-17", "deadbeefdeadbeefdeadbeefdeadbeef",
    ],
)  # fmt: skip
def test_paths_words_and_identifiers_are_not_opaque(value: str) -> None:
    assert not is_opaque(value)
    assert not is_secret("SHOP_MODE", value)


@given(st.binary(min_size=24, max_size=64))
def test_most_random_bytes_are_opaque_however_they_are_written(data: bytes) -> None:
    packed = base64.b64encode(data, altchars=b"AB").decode()  # a slash may part a path
    if len(set(data)) > 20 and re.search("[0-9]", packed):
        assert is_opaque(data.hex()) or entropy(data.hex()) < 3
        assert is_opaque(packed) or entropy(packed) < 4.2


@given(st.text(min_size=1))
def test_entropy_lies_between_none_and_that_of_all_different_characters(text: str) -> None:
    assert -1e-9 <= entropy(text) <= math.log2(len(text)) + 1e-9


def test_a_known_name_may_hold_what_another_may_not() -> None:
    assert not is_secret("GITHUB_SHA", "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c")
    assert not is_secret("invocation_id", "0f1e2d3c4b5a69788796a5b4c3d2e1f0")
    assert is_secret("GITHUB_TOKEN", "x1")
    assert is_secret("GITHUB_SHA", "ghp_" + "aB3" * 12)
    assert is_secret("HTTP_PROXY", "http://me:pw@proxy.example:3128")
    assert not is_secret("HTTP_PROXY", "http://proxy.example:3128")
    assert is_secret("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/1000/bus")


SECRET = (
    *(f"{name}=x1" for name in (  # noqa: SIM905 - a list of names
        "API_KEY1 TOKEN2 SECRET1 PASSWORD1 DEVPASSWORD1 SECRETKEY1 DBPASS SSHPASS MYPASS DBPW LDAP_BINDPW ENCRYPTIONKEY"
        " SIGNINGKEY MASTERKEY HMACKEY OPENAIKEY AUTHORIZATION VSCODE_GIT_IPC_HANDLE SHOP_KEY_PATH"
    ).split()),
    "DB_URI=Server=x;User Id=sa;Password=hunter2;", "TOKEN=1234", "PIN_CODE_PASSWORD=1234", f"COMMIT={OPAQUE}",
)  # fmt: skip
PLAIN = (
    "MAXTOKENS=5", "TOKENS_PER_MINUTE=100", "TOKEN_LIMIT=8000", "KEY_ID=7", "KEY_BINDINGS=vi", "MONKEY=1 of many",
    "COMMIT=0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c", "BUILD_ID=0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "PUBLIC_KEY_PATH=/srv/key.pub", "OAUTH_CALLBACK=https://shop.example/back", "REGISTRY_AUTH_FILE=/srv/auth.json",
    "PASSWORD_STORE_DIR=/home/me/.store", "SSH_KEY_PATH=~/.ssh/id", "GIT_CONFIG_KEY_0=safe.directory", "KEYMAP=us",
)  # fmt: skip


@pytest.mark.parametrize("given_", SECRET)
def test_names_and_values_of_secrets(given_: str) -> None:
    name, _, value = given_.partition("=")
    assert is_secret(name, OPAQUE if name == "SHOP_KEY_PATH" else value)


@pytest.mark.parametrize("given_", PLAIN)
def test_limits_places_and_revisions_are_no_secrets(given_: str) -> None:
    name, _, value = given_.partition("=")
    assert not is_secret(name, value)


def test_what_git_counts_passes_together_or_not_at_all() -> None:
    plain = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    assert without_secrets(plain, allowed=()).kept == plain
    telling = {**plain, "GIT_CONFIG_VALUE_0": "Authorization: Basic dXNlcjpwYXNz", "GIT_DIR": ".git"}
    found = without_secrets(telling, allowed=())
    assert (found.kept, found.withheld) == ({"GIT_DIR": ".git"}, tuple(sorted(plain)))


def test_names_of_plain_tools_are_known() -> None:
    names = ("GPG_TTY", "KUBECONFIG", "AWS_CA_BUNDLE", "HTTPLIB2_CA_CERTS", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
             "DEBIAN_FRONTEND", "TOKENIZERS_PARALLELISM")  # fmt: skip
    assert without_secrets(dict.fromkeys(names, "/x"), allowed=(), listed=()).withheld == ()


@given(st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=40)), st.sets(st.text(max_size=5)))
def test_every_variable_is_either_kept_as_it_is_or_named(given_: dict[str, str], listed: set[str]) -> None:
    for names in (None, listed):
        found = without_secrets(given_, allowed=(), listed=names)
        assert {**found.kept} == {name: given_[name] for name in found.kept}
        assert sorted([*found.kept, *found.withheld]) == sorted(given_)
        assert not any(is_secret(name, value) for name, value in found.kept.items())


def test_only_listed_and_known_names_pass_where_variables_are_listed() -> None:
    given_ = {"PATH": "/bin", "LC_ALL": "C", "SHOP_MODE": "x", "SHOP_REGION": "eu", "OTHER": "y", "SHOP_TOKEN": "z"}
    found = without_secrets(given_, allowed=(), listed=["SHOP_*"])
    assert found.kept.keys() == {"PATH", "LC_ALL", "SHOP_MODE", "SHOP_REGION"}
    assert without_secrets(given_, allowed=["OTHER"], listed=[]).kept.keys() == {"PATH", "LC_ALL", "OTHER"}


def ran(studio: Studio, *options: str, variables: Mapping[str, str]) -> Finished:
    return studio.process(*RUN, *options, "--", sys.executable, "-c", PRINT, variables=variables)


def seen(done: Finished) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.out)
    return found


def configured(studio: Studio, text: str) -> None:
    with (studio.path / ".claude/config.yaml").open("a") as file:
        file.write(text)


def test_variables_may_be_listed_in_the_configuration(staged: Studio) -> None:
    configured(staged, "isolation:\n  variables: listed\n  passed: [SHOP_*]\n")
    done = ran(staged, variables={"SHOP_MODE": "x", "OTHER": "y", "THIRD": "z"})
    assert "SHOP_MODE" in seen(done)
    assert not {"OTHER", "THIRD"} & seen(done).keys()
    assert "like secrets or are not listed" in done.err
    assert "OTHER" in seen(ran(staged, "--keep", "OTHER", variables={"OTHER": "y"}))
    done = ran(staged, "--set", "isolation.variables=some", variables={})
    assert (done.code, "none of: filtered, listed" in done.err) == (2, True)


def test_an_opaque_value_does_not_pass_under_a_name_that_nobody_knows(staged: Studio) -> None:
    done = ran(staged, variables={"SHOP_MODE": OPAQUE, "SHOP_REGION": "eu-central-1"})
    assert "SHOP_MODE" not in seen(done)
    assert "SHOP_REGION" in seen(done)
    assert OPAQUE not in done.err
    assert seen(ran(staged, "--keep", "SHOP_MODE", variables={"SHOP_MODE": OPAQUE}))["SHOP_MODE"] == OPAQUE


@pytest.fixture
def registered(staged: Studio) -> Studio:
    configured(staged, "secrets:\n  staging: [SHOP_TOKEN]\n  production: [SHOP_TOKEN, SHOP_LIVE, SHOP_PIN]\n")
    values = {"SHOP_TOKEN": LIVE, "SHOP_LIVE": "another-live-value", "SHOP_PIN": "1234"}
    done = staged.run("scan", "--register", "--env", "production", "--json", variables=values)
    assert done.data["registered"] == ["SHOP_LIVE", "SHOP_TOKEN"]
    assert (done.data["short"], done.data["missing"], done.code) == (["SHOP_PIN"], [], 0)
    return staged


def test_no_value_of_production_is_kept(registered: Studio) -> None:
    folder = registered.path / ".agent-studio/production"
    for name in ("secrets.json", "secrets.key"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert not any(LIVE.encode() in data for data in registered.snapshot().values())
    kept = json.loads((folder / "secrets.json").read_text())["values"]
    assert kept.keys() == {"SHOP_TOKEN", "SHOP_LIVE"}
    assert all(len(entry["hmac"]) == 64 for entry in kept.values())


def test_a_value_of_production_reaches_no_other_environment(registered: Studio) -> None:
    done = ran(registered, variables={"SHOP_TOKEN": LIVE})
    assert (done.code, done.out) == (2, "")
    assert "SHOP_TOKEN has a value of production's: nothing was started in staging" in done.err
    assert LIVE not in done.err
    assert seen(ran(registered, variables={"SHOP_TOKEN": "test-value-1"}))["SHOP_TOKEN"] == "test-value-1"
    for name in ("ANYTHING", "LANG"):  # whatever it is called
        done = ran(registered, variables={name: f" {LIVE}\n"})
        assert name not in seen(done)
        assert f"withheld what has a value of production's: {name}" in done.err
    assert ran(registered, "--keep", "ANYTHING", variables={"ANYTHING": LIVE}).code == 2


def test_production_itself_gets_its_values(registered: Studio) -> None:
    assert registered.run("init", "--env", "production", "--no-hooks").code == 0
    done = registered.process("run", "--env", "production", "--", sys.executable, "-c", PRINT,
                              variables={"SHOP_TOKEN": LIVE})  # fmt: skip
    assert seen(done)["SHOP_TOKEN"] == LIVE


def test_registering_again_keeps_what_is_not_set_and_drops_what_is_not_declared(registered: Studio) -> None:
    place = registered.path / ".agent-studio/production/secrets.json"
    before = json.loads(place.read_text())["values"]
    done = registered.run("scan", "--register", "--env", "production", "--json", variables={"SHOP_LIVE": "a-new-value"})
    assert (done.code, done.data["missing"]) == (1, ["SHOP_PIN", "SHOP_TOKEN"])
    after = json.loads(place.read_text())["values"]
    assert after["SHOP_TOKEN"] == before["SHOP_TOKEN"]
    assert after["SHOP_LIVE"]["hmac"] != before["SHOP_LIVE"]["hmac"]
    for value in ("another-live-value", "a-new-value"):  # the one before may still open something
        assert ran(registered, "--keep", "OTHER", variables={"OTHER": value}).code == 2
    text = (
        (registered.path / ".claude/config.yaml")
        .read_text()
        .replace("[SHOP_TOKEN, SHOP_LIVE, SHOP_PIN]", "[SHOP_LIVE]")
    )
    registered.write(".claude/config.yaml", text)
    registered.run("scan", "--register", "--env", "production", variables={"SHOP_LIVE": "a-new-value"})
    assert json.loads(place.read_text())["values"].keys() == {"SHOP_LIVE"}


@pytest.mark.parametrize(("name", "text"), [
    ("secrets.json", "{broken"), ("secrets.json", '{"values": [1]}'), ("secrets.key", "zz"), ("secrets.key", None),
])  # fmt: skip
def test_hashes_that_cannot_be_read_start_nothing(registered: Studio, name: str, text: str | None) -> None:
    place = registered.path / ".agent-studio/production" / name
    place.unlink()
    if text is not None:
        place.write_text(text)
        place.chmod(0o600)
    done = ran(registered, variables={"SHOP_TOKEN": "test-value-1"})
    assert (done.code, done.out) == (8, "")
    assert "agent-studio scan --register --env production" in done.err


def test_only_production_is_registered_and_only_what_is_declared(staged: Studio) -> None:
    for options, said in (((), "add --env production"), (("--env", "production"), "secrets.production")):
        done = staged.run("scan", "--register", *options)
        assert (done.code, said in done.err) == (2, True)
    assert not (staged.path / ".agent-studio/production/secrets.json").exists()


@pytest.mark.parametrize(
    "name",
    ["API_KEY1", "TOKEN2", "SECRET1", "PASSWORD1", "DEVPASSWORD1", "SECRETKEY1", "DBPASS", "SSHPASS", "LDAP_BINDPW",
     "DBPW", "ENCRYPTIONKEY", "SIGNINGKEY", "MASTERKEY", "OPENAIKEY", "AUTHORIZATION", "VSCODE_GIT_IPC_HANDLE"],
)  # fmt: skip
def test_names_of_secrets_are_known_with_figures_behind_and_without_dashes(name: str) -> None:
    assert is_secret(name, "plainvalue")


@pytest.mark.parametrize(
    ("name", "value"),
    [("MAXTOKENS", "5"), ("TOKENS_PER_MINUTE", "100"), ("TOKEN_LIMIT", "8000"), ("KEY_ID", "7"), ("COMMIT", "a1" * 20),
     ("BUILD_ID", "b2" * 16), ("MONKEY", "george"), ("TURKEY", "x"), ("BYPASS", "yes it is"), ("KEYMAP", "us"),
     ("GIT_CONFIG_KEY_0", "safe.directory")],
)  # fmt: skip
def test_names_that_only_look_like_secrets_pass(name: str, value: str) -> None:
    assert not is_secret(name, value)


def test_a_connection_string_with_a_password_is_a_secret() -> None:
    assert is_secret("DB_URI", "Server=x;User Id=sa;Password=hunter2;")


def test_settings_of_git_pass_together_or_not_at_all() -> None:
    given = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    assert without_secrets(given, allowed=()).kept == given
    secret = {**given, "GIT_CONFIG_VALUE_0": "AUTHORIZATION: bearer https://u:hunter2@h/"}
    assert without_secrets(secret, allowed=()) == Filtered({}, tuple(sorted(secret)))

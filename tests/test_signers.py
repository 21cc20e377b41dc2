"""Files of allowed signers: what we read in a line is what `ssh-keygen -Y verify` does with it."""

from __future__ import annotations

import os
import subprocess
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from agent_studio.release.signing import signers

if TYPE_CHECKING:
    from pathlib import Path


class Keys:
    """Keys of each type, and a signature of each in each role."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.public: dict[str, str] = {}
        for kind in ("ed25519", "rsa", "ecdsa"):
            self._make(kind)
        self.ed = self.public["ed25519"].split()[1]

    def _make(self, kind: str) -> None:
        key = self.folder / kind
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", key], check=True)
        self.public[kind] = " ".join(key.with_suffix(".pub").read_text().split()[:2])
        for role in (*signers.ROLES, "other"):
            done = subprocess.run(
                ["ssh-keygen", "-Y", "sign", "-q", "-f", key, "-n", signers.namespace(role)],
                input=b"words", capture_output=True, check=True,
            )  # fmt: skip
            (self.folder / f"{kind}.{role}").write_bytes(done.stdout)

    def accepts(self, lines: bytes, who: str, role: str, kind: str = "ed25519") -> bool:
        allowed = self.folder / "allowed"
        allowed.write_bytes(lines)
        done = subprocess.run(
            ["ssh-keygen", "-Y", "verify", "-f", allowed, "-s", self.folder / f"{kind}.{role}", "-I", who,
             "-n", signers.namespace(role)],
            input=b"words", capture_output=True, check=False,
        )  # fmt: skip
        return done.returncode == 0


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


SAME = (
    "q@e {}",
    "  q@e\t {} with a comment",
    "q@e,other@e {}",
    "q@e {}\r",
    '"q@e" {}',
    '"q@e"{}',
    'q"@e" {}',
    "*@e {}",
    "?@e {}",
    "[q]@e {}",
    "!q@e,*@e {}",
    "Q@e {}",
    'q@e namespaces="qa@agent-studio" {}',
    'q@e NAMESPACES="qa@agent-studio" {}',
    'q@e namespaces="*" {}',
    'q@e namespaces="*@agent-studio,!uat@agent-studio" {}',
    'q@e namespaces="qa@agent-studio, uat@agent-studio" {}',
    'q@e namespaces="Qa@agent-studio" {}',
    'q@e namespaces="[q]a@agent-studio" {}',
    'q@e namespaces="" {}',
    "q@e namespaces=qa@agent-studio {}",
    'q@e namespaces="qa@agent-studio {}',
    'q@e namespaces="qa@agent-studio",namespaces="uat@agent-studio" {}',
    'q@e namespaces="git",valid-after="20200101" {}',
    'q@e valid-after="20200101",valid-before="20990101" {}',
    'q@e valid-before="20200101" {}',
    'q@e valid-before="202001011200Z" {}',
    'q@e valid-after="20990101Z" {}',
    'q@e valid-after="20200101120000" {}',
    'q@e valid-after="2020-01-01" {}',
    'q@e valid-after="tomorrow" {}',
    'q@e valid-after="20210101",valid-before="20200101" {}',
    'q@e valid-after="20200101",valid-after="20200102" {}',
    "q@e no-touch-required {}",
    'q@e namespaces="qa@agent-studio"; {}',
    'q@e namespaces="qa@agent-studio", {}',
    "q@e garbage",
    "q@e garbage {}",
    "q@e",
    "q@e,{}",
    "{}",
    "q@e ssh-ed25519",
    "q@e ssh-ed25519 AAAA",
    "q@e ssh-rsa {}",
    '"q@e {}',
    "q@e ssh-unknown AAAA",
    "# q@e {}",
    "  # q@e {}",
    "",
)


def _ours(line: bytes, who: str, role: str) -> bool:
    now = datetime.now(UTC)
    return any(
        one.counts(now) and role in one.roles and signers.matches(who, one.principals) for one in signers.read(line)
    )


@pytest.mark.parametrize("form", SAME)
def test_a_line_counts_for_us_as_it_does_for_ssh_keygen(keys: Keys, form: str) -> None:
    line = form.format(keys.public["ed25519"]).encode()
    for who in ("q@e", "other@e", "Q@e"):
        for role in signers.ROLES:
            assert _ours(line, who, role) == keys.accepts(line + b"\n", who, role), (line, who, role)


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_a_key_is_known_by_its_fingerprint_as_ssh_keygen_says_it(keys: Keys, kind: str) -> None:
    (one,) = signers.read(f"q@e {keys.public[kind]}\n".encode())
    told = subprocess.run(
        ["ssh-keygen", "-l", "-f", keys.folder / f"{kind}.pub"], capture_output=True, text=True, check=True
    )
    assert one.fingerprint == told.stdout.split()[1]
    assert (one.principals, one.roles, one.key, one.fault) == (("q@e",), signers.ROLES, keys.public[kind], "")
    assert keys.accepts(one.text + b"\n", "q@e", "qa", kind)


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_a_key_that_is_cut_off_or_lengthened_is_no_key(keys: Keys, kind: str) -> None:
    named, text = keys.public[kind].split()
    for wrong in (text[:-4], text[:24], text + "AAAA", text[:-1], "AAAA" + text, text.replace("A", "-", 1)):
        line = f"q@e {named} {wrong}".encode()
        (one,) = signers.read(line)
        assert one.fault == f"what follows {named} is no key of that type"
        assert not keys.accepts(line, "q@e", "qa", kind)


STRICTER = (
    ("q@e cert-authority {}", "cert-authority is not supported: name each person's own key"),
    ("q@e ED25519 {1}", "no option and no type of key"),
    ("\ufeffq@e {}", "byte order mark"),
    ("q@e,, {}", "a name is empty"),
    ("!q@e {}", "it says only who is not meant"),
    ('q@e ,namespaces="*" {}', "no option"),
    ('q@e valid-after="20200231" {}', "is no time"),
    ("q\x1b[31m@e {}", "not printable"),
)


@pytest.mark.parametrize(("form", "fault"), STRICTER)
def test_what_would_mislead_is_a_fault(keys: Keys, form: str, fault: str) -> None:
    (one,) = signers.read(form.format(keys.public["ed25519"], keys.ed).encode())
    assert fault in one.fault
    assert not one.counts(datetime.now(UTC))
    assert (one.roles, one.fingerprint, one.number) == ((), "", 1)


def test_bytes_that_are_no_text_are_a_fault(keys: Keys) -> None:
    (one,) = signers.read(b"q\xff@e " + keys.public["ed25519"].encode())
    assert one.fault == "it is not UTF-8"


def test_a_faulty_line_does_not_void_those_behind_it(keys: Keys) -> None:
    data = f"# people\n\nq@e garbage\r\nlonely\nq@e {keys.public['ed25519']}\n".encode()
    assert [(one.number, bool(one.fault)) for one in signers.read(data)] == [(3, True), (4, True), (5, False)]
    assert keys.accepts(data, "q@e", "qa")
    assert keys.accepts(signers.sound(data), "q@e", "qa")
    assert signers.sound(data).count(b"\n") == 1


def test_a_line_counts_from_its_first_second_to_its_last(keys: Keys) -> None:
    line = f'q@e valid-after="20260301Z",valid-before="20260401120000Z" {keys.public["ed25519"]}'
    (one,) = signers.read(line.encode())
    first, last = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, 12, tzinfo=UTC)
    second = timedelta(seconds=1)
    assert [one.counts(at) for at in (first - second, first, last, last + second)] == [False, True, True, False]
    assert (one.is_over(first - second), one.is_over(last + second)) == (False, True)


@pytest.mark.skipif(os.name == "nt", reason="there is no tzset")
def test_a_time_without_a_zone_is_local(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        (one,) = signers.read(f'q@e valid-after="20260301" {keys.public["ed25519"]}'.encode())
    finally:
        monkeypatch.undo()
        time.tzset()
    assert one.valid_after == datetime(2026, 2, 28, 15, tzinfo=UTC)


def test_names_and_patterns_may_mean_one_person() -> None:
    for one, other in (("Dana@e", "dana@E"), ("*@e", "dana@e"), ("dana@e", "d?na@*"), ("!dana@e", "dana@e")):
        assert signers.may_be(one, other)
        assert signers.may_be(other, one)
    for one, other in (("dana@e", "sam@e"), ("*@f", "dana@e"), ("[d]ana@e", "dana@e")):
        assert not signers.may_be(one, other)

"""Which names a data path may consist of."""

from __future__ import annotations

import os
import unicodedata
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_studio.errors import UnsafePathError
from agent_studio.storage import names

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("path", ["a", "a/b", ".hidden", "a b", "ünï/x.jsonl", "a~b", "CONSOLE", "com10", "x" * 200])
def test_a_plain_path_is_split_into_its_names(path: str) -> None:
    assert names.split(path) == tuple(path.split("/"))


def test_the_empty_path_is_the_folder_itself() -> None:
    assert names.split("") == ()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("..", '".."'), ("a/../b", '".."'), (".", '"."'), ("a/./b", '"."'),
        ("/etc/passwd", "absolute"), ("\\\\server\\share", "absolute"), ("C:/x", "absolute"), ("c:x", "absolute"),
        ("~", '"~"'), ("~root/x", '"~"'), ("a/~", '"~"'),
        ("a//b", "empty part"), ("a/", "empty part"), ("/", "absolute"),
        ("a\x00b", "character"), ("a\nb", "character"), ("a\x7fb", "character"), ("a\\b", "character"),
        ("file:stream", "character"), ("a/file::$DATA", "character"), ("what?", "character"), ("*", "character"),
        ("a.", "dot or a space"), ("a ", "dot or a space"), ("...", "dot or a space"), ("x/.. ", "dot or a space"),
        ("CON", "reserved"), ("con.txt", "reserved"), ("nul .log", "reserved"), ("a/COM1/b", "reserved"),
        ("lpt³", "reserved"), ("AUX.tar.gz", "reserved"), ("conin$", "reserved"),
        ("PROGRA~1", "short name"), ("git~1.x", "short name"),
        (unicodedata.normalize("NFD", "é"), "normal form C"),
        ("x" * 201, "too long"), ("é" * 101, "too long"), ("\udce9", "UTF-8"), ("x\ud800", "UTF-8"),
        ("\ufeff.git", "invisible"), (".g\u200cit", "invisible"), ("a\u202egpj.exe", "invisible"),
        ("/".join("x" * 33), "32 folders"),
    ],
)  # fmt: skip
def test_every_way_out_is_refused_with_its_reason(path: str, reason: str) -> None:
    with pytest.raises(UnsafePathError) as refused:
        names.split(path)
    assert reason in refused.value.message
    assert refused.value.hint


@given(st.text(max_size=12))
def test_what_is_accepted_stays_below_its_folder_on_posix_and_windows(tmp_path: Path, path: str) -> None:
    import ntpath

    try:
        parts = names.split(path)
    except UnsafePathError:
        return
    assert os.path.normpath(tmp_path / path) == str(tmp_path.joinpath(*parts))
    windows = ntpath.normpath(ntpath.join("C:\\base", path)) if path else "C:\\base"
    assert windows == "\\".join(("C:\\base", *parts))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("README.md", "readme.MD"),
        ("straße", "STRASSE"),
        ("é", "e\u0301"),
        ("É", "e\u0301"),
        ("K", "\u212a"),
        ("ſ", "S"),
    ],
)
def test_names_that_some_file_system_takes_for_one_share_a_key(one: str, other: str) -> None:
    assert names.collision_key(one) == names.collision_key(other)


@given(st.text())
def test_a_collision_key_stays_the_same_when_taken_again_and_for_every_normal_form(name: str) -> None:
    key = names.collision_key(name)
    assert names.collision_key(key) == key
    assert {names.collision_key(unicodedata.normalize(form, name)) for form in ("NFC", "NFD")} == {key}


@given(st.text(st.characters(max_codepoint=127), max_size=12))
def test_plain_letters_collide_as_unicode_says(name: str) -> None:
    unicode_says = unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
    assert names.collision_key(name) == unicode_says


@given(
    st.text("aZ09._-", max_size=8) | st.sampled_from(("CON.txt", "nul", "com1.tar.gz", "LPT9", "Aux.", "prn-x", "con"))
)
def test_a_name_of_plain_letters_is_refused_only_for_what_the_rules_say(name: str) -> None:
    reserved = name.split(".", maxsplit=1)[0].upper() in {"CON", "NUL", "COM1", "LPT9", "AUX"}
    wrong = name in {"", ".", ".."} or name.endswith(".") or reserved
    try:
        names.check_name(name)
    except UnsafePathError:
        assert wrong
    else:
        assert not wrong

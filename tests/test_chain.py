"""Chained journals: the format byte for byte, and every change found."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_studio.storage.chain import GENESIS, Head, first_bad_line, seal

# computed with sha256sum: sha256(64 zeros + sha256('{"a":1,"t":"é"}')), then over '{"b":[]}'
FIRST = "75cceee2938aa560424a1e4dd00f8d60233d328a9dba9dc409a607ae296fae45"
SECOND = "44ad9ccf78705a2462805379e48982c00a1d827b161cf6e0cb0ed8ebd67b1d2b"


def chained(*records: dict[str, Any]) -> list[bytes]:
    head, lines = Head(), []
    for record in records:
        line, head = seal(head, record)
        lines.append(line)
    return lines


TEN = chained(*({"n": number, "text": "é" * number} for number in range(10)))


def test_the_format_is_the_one_of_the_contract_byte_for_byte() -> None:
    assert chained({"a": 1, "t": "é"}, {"b": []}) == [
        f'{{"a":1,"t":"é","_seq":1,"_prevHash":"{"0" * 64}","_hash":"{FIRST}"}}\n'.encode(),
        f'{{"b":[],"_seq":2,"_prevHash":"{FIRST}","_hash":"{SECOND}"}}\n'.encode(),
    ]
    assert GENESIS == "0" * 64


def test_a_whole_chain_has_no_bad_line_with_or_without_its_line_breaks() -> None:
    assert first_bad_line([]) is None
    assert first_bad_line(TEN) is None
    assert first_bad_line([line[:-1] for line in TEN]) is None


@pytest.mark.parametrize("number", range(10))
def test_every_single_line_change_is_found_at_its_line(number: int) -> None:
    line = TEN[number]
    for position in range(len(line) - 1):
        for changed in (
            line[:position] + bytes([line[position] ^ 1]) + line[position + 1 :],
            line[:position] + line[position + 1 :],
            line[:position] + b" " + line[position:],
        ):
            assert first_bad_line([*TEN[:number], changed, *TEN[number + 1 :]]) == number + 1
    for changed in (b"", b"\n", line + b"\n", line[:-1] + b"\r\n", line[:-1] + b" \n", line.upper()):
        assert first_bad_line([*TEN[:number], changed, *TEN[number + 1 :]]) == number + 1


def test_every_deletion_insertion_and_swap_is_found() -> None:
    stranger = chained({"n": 0, "text": "x"})[0]
    for one in range(10):
        if one < 9:  # the last line cut off is for a checkpoint to tell
            assert first_bad_line([*TEN[:one], *TEN[one + 1 :]]) == one + 1
        for inserted in (stranger, b"\n", b"{}\n", *TEN[:one]):
            starts_anew = one == 0 and inserted == stranger  # then the line after it does not continue
            assert first_bad_line([*TEN[:one], inserted, *TEN[one:]]) == one + 1 + starts_anew
        for other in range(one + 1, 10):
            swapped = list(TEN)
            swapped[one], swapped[other] = swapped[other], swapped[one]
            assert first_bad_line(swapped) == one + 1


@settings(max_examples=25)
@given(st.lists(st.dictionaries(st.text().filter(lambda name: name[:1] != "_"), st.text() | st.integers(), min_size=1)))
def test_any_record_survives_sealing_whatever_its_text(records: list[dict[str, Any]]) -> None:
    lines = chained(*records)
    assert first_bad_line(lines) is None
    parsed = [json.loads(line) for line in lines]
    assert [{name: entry[name] for name in record} for entry, record in zip(parsed, records, strict=True)] == records
    assert [entry["_seq"] for entry in parsed] == list(range(1, len(records) + 1))


def test_a_record_that_quotes_the_tail_of_a_line_is_cut_at_the_real_one() -> None:
    assert first_bad_line(chained({"text": ',"_seq":1,"_prevHash":"x"}'}, {"a": {"b": 1, "_seq": 7}})) is None


@pytest.mark.parametrize("record", [{}, {"_seq": 1}, {"a": 1, "_hash": "x"}, {"_prevHash": ""}])
def test_a_record_that_would_break_the_line_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="chained record"):
        seal(Head(), record)


def test_half_a_surrogate_pair_is_sealed_as_a_question_mark() -> None:
    lines = chained({"text": "\ud83d"})
    assert first_bad_line(lines) is None
    assert json.loads(lines[0])["text"] == "?"

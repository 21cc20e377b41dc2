"""How the tokens of a response are counted from lines that repeat, grow and split them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_studio.cost.counting import MOST, Tokens, identity, tokens, usage_id
from agent_studio.cost.money import MOST_PICO_USD, pico_of, usd_text

if TYPE_CHECKING:
    from collections.abc import Sequence

COUNT = st.integers(0, 10_000)
TOKENS = st.builds(Tokens, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT)


def test_a_missing_figure_is_0() -> None:
    assert tokens(None, 3, None, None, None, None, None) == Tokens(output=3)


@pytest.mark.parametrize("count", [-1, MOST + 1, 10**30, 1.0, True, "7", [], float("nan")])
def test_what_is_no_count_refuses_the_line(count: Any) -> None:
    for place in range(7):
        counts: Sequence[Any] = [1] * place + [count] + [1] * (6 - place)
        assert tokens(*counts) is None


@pytest.mark.parametrize(
    ("writes", "five", "hour", "expected"),
    [
        (12, None, None, (12, 0)),
        (12, 12, 0, (12, 0)),
        (12, 0, 12, (0, 12)),
        (12, 5, 4, (8, 4)),
        (0, 5, 4, (5, 4)),
        (None, 5, 4, (5, 4)),
    ],
)
def test_writes_that_are_not_split_live_for_5_minutes(
    writes: int | None, five: int | None, hour: int | None, expected: tuple[int, int]
) -> None:
    said = tokens(0, 0, 0, writes, five, hour, 0)
    assert said is not None
    assert (said.cache_write5m, said.cache_write1h) == expected


def test_a_line_that_does_not_split_yet_does_not_double_the_writes() -> None:
    early, late = tokens(1, 1, 0, 12_000, None, None, 0), tokens(1, 9, 0, 12_000, 0, 12_000, 0)
    assert early is not None
    assert late is not None
    assert early.grown(late) == late.grown(early) == Tokens(1, 9, 0, 0, 12_000, 0)


@given(TOKENS, TOKENS, TOKENS)
def test_the_order_in_which_lines_come_does_not_matter(one: Tokens, two: Tokens, three: Tokens) -> None:
    assert one.grown(one) == one
    assert one.grown(two) == two.grown(one)
    assert one.grown(two).grown(three) == one.grown(two.grown(three))
    assert all(count >= 0 for count in one.grown(two))


def test_a_response_is_identified_by_its_two_ids() -> None:
    assert usage_id("msg_1", "req_1") == hashlib.sha256(b"usage\x1fmsg_1\x1freq_1").hexdigest()[:32]
    assert len({identity("a", "b"), identity("ab", ""), identity("", "ab"), identity("a", "")}) == 4


@given(st.integers(0, MOST_PICO_USD))
def test_money_is_written_exactly_and_read_back(pico_usd: int) -> None:
    text = usd_text(pico_usd)
    assert pico_of(text) == pico_usd
    assert "e" not in text
    assert not text.endswith(".")


@pytest.mark.parametrize("text", ["", "-1", "1e3", "0.0000000000001", "1,5", "NaN", " 1", "1.", ".5", "٣", "9000000.1"])
def test_other_texts_are_no_money(text: str) -> None:
    assert pico_of(text) is None

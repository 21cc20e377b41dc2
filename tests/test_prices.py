"""What responses cost, by the price list of their day."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_studio.cost.counting import MOST, Tokens
from agent_studio.cost.money import usd_text
from agent_studio.cost.prices import overrides
from agent_studio.cost.prices.compiler import compiled
from agent_studio.cost.prices.table import PriceTable, bundled, load
from agent_studio.cost.prices.update import updated
from agent_studio.errors import ConfigurationError

TABLE = load(None)
MILLION = 1_000_000
TODAY = date(2026, 11, 24)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


NOW = at("2026-11-20")
JUNE = at("2026-06-01")


def usd(model: str, tokens: Tokens, at_ns: int = NOW, table: PriceTable = TABLE, **more: Any) -> str | None:
    cost = table.cost(model, at_ns, tokens, **more)
    return None if cost is None else usd_text(cost.pico_usd)


def rates(model: str, at_ns: int = NOW, **more: Any) -> list[str | None]:
    """USD for a million of each kind of token and 1,000 searches, one after the other."""
    per = [Tokens(**{name: MILLION}) for name in Tokens._fields[:5]]
    small = [usd(model, Tokens(**{name: 1000}), at_ns, **more) for name in Tokens._fields[:5]]
    assert len(per) == 5
    return [None if one is None else usd_text(int(Fraction(one) * 10**15)) for one in small]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("claude-opus-5-5", ["4", "20", "0.2", "5", "8"]),
        ("claude-haiku-5-5", ["0.1", "0.5", "0.01", "0.125", "0.2"]),
        ("claude-sonnet-5-5", ["2", "10", "0.1", "2.5", "4"]),
        ("claude-fable-5-2", ["8", "40", "0.2", "10", "16"]),
        ("claude-mythos-5-2", ["8", "40", "0.2", "10", "16"]),
        ("claude-opus-4-6", ["5", "25", "0.5", "6.25", "10"]),
        ("claude-opus-4-7", ["5", "25", "0.5", "6.25", "10"]),
        ("claude-opus-4-8", ["5", "25", "0.5", "6.25", "10"]),
        ("claude-sonnet-4-20250514", ["3", "15", "0.3", "3.75", "6"]),
        ("claude-sonnet-4-6", ["3", "15", "0.3", "3.75", "6"]),
        ("claude-3-5-haiku-20241022", ["0.8", "4", "0.08", "1", "1.6"]),
        ("claude-opus-4-1-20250805", ["15", "75", "1.5", "18.75", "30"]),
        ("claude-3-opus-20240229", ["15", "75", "1.5", "18.75", "30"]),
    ],
)
def test_the_published_prices_of_models_also_retired_ones(model: str, expected: list[str]) -> None:
    assert rates(model) == expected


def test_the_clients_own_figures_are_met_to_the_last_digit() -> None:
    opus = Tokens(input=35, output=35, cache_read=196, cache_write5m=22936)
    assert usd("claude-opus-5-5", opus) == usd_text(
        35 * 4_000_000 + 35 * 20_000_000 + 196 * 200_000 + 22936 * 5_000_000
    )
    assert usd("claude-haiku-5-5", Tokens(input=10, output=4)) == "0.000003"


@pytest.mark.parametrize(
    "spelling",
    [
        "claude-opus-4-5",
        "claude-opus-4-5-20251101",
        "claude-opus-4-5@20251101",
        "claude-opus-4-5[1m]",
        " Claude-Opus-4-5 ",
        "claude-opus-4.5",
        "anthropic/claude-opus-4.5",
        "anthropic/claude-opus-4-5-20251101",
        "openrouter/anthropic/claude-opus-4.5",
        "global.anthropic.claude-opus-4-5-20251101-v1:0",
        "bedrock/global.anthropic.claude-opus-4-5-20251101-v1:0",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/global.anthropic.claude-opus-4-5-20251101-v1:0",
        "vertex_ai/claude-opus-4-5@20251101",
        "publishers/anthropic/models/claude-opus-4-5@20251101",
        "projects/p/locations/global/publishers/anthropic/models/claude-opus-4-5",
        "claude-opus-4-5-latest",
    ],
)
def test_a_model_is_known_by_every_spelling(spelling: str) -> None:
    assert usd(spelling, Tokens(input=MILLION // 10, output=1000)) == "0.525"


@pytest.mark.parametrize("region", ["us", "eu", "apac", "au", "jp"])
def test_a_regional_endpoint_of_bedrock_has_its_own_price(region: str) -> None:
    assert usd(f"{region}.anthropic.claude-opus-4-5-20251101-v1:0", Tokens(output=MILLION // 10)) == "2.75"
    assert usd(f"{region}.anthropic.claude-opus-5-5", Tokens(output=MILLION // 10)) == "2.2"


@pytest.mark.parametrize(
    "name",
    [
        "", " ", "default", "unknown", "opus", "sonnet", "<synthetic>", "claude", "claude-opus", "claude-opus-4-50",
        "claude-opus-4-5-mini", "claude-opus-6", "claude-sonnet-5-7", "claude-opus-4-5-2025110", "claude-opus-4-6-fast",
        "gpt-4o", "claude-opus-4-5" * 20, "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc123",
        "my-claude-opus-4-5", "claude-opus-5-50", "openrouter/claude-nothing", "x/y/z", "\0", "claude-haiku-5-5-99",
    ],
)  # fmt: skip
def test_an_unknown_name_has_no_price_and_never_that_of_another_model(name: str) -> None:
    assert TABLE.cost(name, NOW, Tokens(input=1)) is None


@pytest.mark.slow
def test_every_model_of_the_table_is_found_by_its_own_name_and_at_its_own_price() -> None:
    lost = []
    for line in bundled().splitlines()[1:]:
        model = json.loads(line)
        found = TABLE.find(model["id"], model["provider"])
        if found is None and any(rule[0] == "=" and rule[1:] == model["id"].lower() for rule in model["match"]):
            lost.append(model["id"])
    assert not lost


def test_a_long_prompt_costs_the_higher_price_for_all_of_its_tokens() -> None:
    assert usd("claude-haiku-5-5", Tokens(input=100_000)) == "0.01"
    assert usd("claude-haiku-5-5", Tokens(input=100_001)) == "0.0500005"
    assert usd(
        "claude-haiku-5-5", Tokens(input=1, cache_read=60_000, cache_write5m=20_000, cache_write1h=20_000, output=10)
    ) == (usd_text(1 * 500_000 + 60_000 * 50_000 + 20_000 * 625_000 + 20_000 * 1_000_000 + 10 * 2_500_000))
    assert usd("claude-sonnet-4-5", Tokens(input=300_000), JUNE) == "1.8"
    assert usd("claude-sonnet-4-20250514", Tokens(input=300_000), JUNE) == "0.9"


def test_a_response_has_the_price_of_its_own_day() -> None:
    long = Tokens(input=300_000, output=1000)
    assert usd("claude-opus-4-6", long, at("2026-03-12T23:59:59")) == "3.0375"
    assert usd("claude-opus-4-6", long, at("2026-03-13")) == "1.525"


def test_a_batch_costs_half_on_any_day_and_fast_mode_what_the_model_says() -> None:
    said = Tokens(output=MILLION // 10)
    assert usd("claude-opus-5-5", said, service_tier="batch") == "1"
    assert usd("claude-opus-4-5", said, JUNE, service_tier="batch") == "1.25"
    assert usd("claude-opus-4-6", said, speed="fast") == "15"
    assert usd("claude-opus-4-7", said, speed="fast") == "15"
    assert usd("claude-opus-4-8", said, speed="fast") == "5"
    assert usd("claude-opus-5", said, speed="fast") == "5"
    assert usd("claude-haiku-4-5", said, speed="fast") is None
    assert usd("claude-opus-5-5", said, speed="fast", service_tier="batch") is None
    assert usd("claude-opus-5-5", said, service_tier="standard", speed="standard") == "2"
    assert usd("claude-opus-5-5", said, service_tier="priority") == "2"


def test_inference_in_the_united_states_costs_a_tenth_more_for_models_that_offer_it() -> None:
    used = Tokens(input=1000, output=MILLION // 10, web_searches=1)
    assert usd("claude-opus-5-5", used, region="us") == "2.2144"
    assert usd("claude-opus-5-5", used, region="US ") == "2.2144"
    assert usd("claude-opus-5-5", used, region="not_available") == "2.014"
    assert usd("claude-opus-4-5", used, region="us") == "2.515"
    assert usd("claude-opus-5-5", used, region="mars") is None


def test_web_searches_cost_ten_dollars_a_thousand() -> None:
    assert usd("claude-3-haiku-20240307", Tokens(web_searches=3)) == "0.03"


def test_a_kind_of_token_without_a_price_leaves_the_response_without_one() -> None:
    assert usd("claude-2.1", Tokens(input=100)) == "0.0008"
    assert usd("claude-2.1", Tokens(input=100, cache_read=1)) is None


def test_hours_of_the_day_have_their_own_price() -> None:
    def cost(hour: str) -> str | None:
        return usd("deepseek-chat", Tokens(input=MILLION), at(f"2025-06-01T{hour}"), provider="deepseek")

    assert cost("12:00") != cost("20:00")
    assert cost("00:29") == cost("16:30") == cost("20:00")


@given(
    model=st.sampled_from(["claude-opus-5-5", "claude-sonnet-4-5", "claude-haiku-5-5", "claude-3-haiku"]),
    counts=st.lists(st.integers(0, 10**8), min_size=6, max_size=6),
    more=st.lists(st.integers(0, 10**6), min_size=6, max_size=6),
)
def test_more_tokens_never_cost_less_and_nothing_is_ever_negative(
    model: str, counts: list[int], more: list[int]
) -> None:
    less = TABLE.cost(model, NOW, Tokens(*counts))
    greater = TABLE.cost(model, NOW, Tokens(*(a + b for a, b in zip(counts, more, strict=True))))
    assert less is not None
    assert greater is not None
    assert 0 <= less.pico_usd <= greater.pico_usd


def test_what_no_response_can_cost_has_no_price() -> None:
    assert TABLE.cost("claude-opus-5-5", NOW, Tokens(web_searches=MOST)) is None
    absurd = load(None, [{"model": "house", "inputUsd": 1_000_000}])
    assert absurd.cost("house", NOW, Tokens(input=MOST)) is None


def test_a_factor_and_prices_of_ones_own_come_before_the_list() -> None:
    given_prices: list[dict[str, object]] = [
        {"model": "claude-opus-*", "factor": "0.85"},
        {"model": "house-model", "inputUsd": 0.5, "outputUsd": "2", "from": "2026-10-01"},
    ]
    table = load(None, given_prices)
    assert usd("claude-opus-5-5", Tokens(output=MILLION), table=table) == "17"
    assert usd("claude-sonnet-5-5", Tokens(output=MILLION), table=table) == "10"
    assert usd("house-model", Tokens(input=MILLION, output=MILLION), table=table) == "2.5"
    assert usd("house-model", Tokens(input=1), at("2026-09-30"), table=table) is None
    assert usd("house-model", Tokens(cache_read=1), table=table) is None
    cost = table.cost("claude-opus-5-5", NOW, Tokens(output=1))
    assert cost is not None
    assert cost.source == "override of genai-prices 0.2.3"
    assert table.fingerprint != TABLE.fingerprint


def test_a_factor_of_nothing_costs_nothing() -> None:
    table = load(None, [{"model": "claude-opus-5-5", "factor": 0}])
    assert usd("claude-opus-5-5", Tokens(input=MILLION, output=MILLION), table=table) == "0"


def test_an_override_holds_from_its_day_on_and_what_was_before_stays() -> None:
    table = load(None, [{"model": "claude-opus-5-5", "factor": 0.5, "from": "2026-11-01"}])
    assert usd("claude-opus-5-5", Tokens(output=MILLION), at("2026-10-31"), table=table) == "20"
    assert usd("claude-opus-5-5", Tokens(output=MILLION), at("2026-11-01"), table=table) == "10"


@pytest.mark.parametrize("turned", [False, True])
def test_overrides_of_one_model_hold_by_their_days_in_whatever_order_they_are_written(*, turned: bool) -> None:
    house: list[dict[str, object]] = [
        {"model": "h", "inputUsd": 1, "from": "2026-06-01"},
        {"model": "h", "inputUsd": 2},
    ]
    table = load(None, house[::-1] if turned else house)
    assert usd("h", Tokens(input=MILLION), at("2026-05-31"), table=table) == "2"
    assert usd("h", Tokens(input=MILLION), at("2026-06-01"), table=table) == "1"


@pytest.mark.parametrize("turned", [False, True])
def test_a_factor_is_on_the_list_s_prices_and_on_no_other_override(*, turned: bool) -> None:
    mixed: list[dict[str, object]] = [
        {"model": "claude-opus-5-5", "factor": 0.5, "from": "2026-01-01"},
        {"model": "claude-opus-5-5", "factor": 0.9, "from": "2026-03-01"},
        {"model": "claude-opus-5-5", "outputUsd": 1, "from": "2026-06-01"},
    ]
    table = load(None, mixed[::-1] if turned else mixed)
    days = ("2025-12-31", "2026-01-01", "2026-03-01", "2026-06-01")
    said = [usd("claude-opus-5-5", Tokens(output=MILLION), at(day), table=table) for day in days]
    assert said == ["20", "10", "18", "1"]


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({}, "`model` is missing"),
        ({"model": "m"}, "no price"),
        ({"model": "m", "inputUsd": -1}, "`inputUsd` is -1"),
        ({"model": "m", "inputUsd": "NaN"}, "`inputUsd` is 'NaN'"),
        ({"model": "m", "inputUsd": True}, "`inputUsd` is True"),
        ({"model": "m", "inputUsd": 1e9}, "`inputUsd`"),
        ({"model": "m", "factor": 0.5, "inputUsd": 1}, "leave out either"),
        ({"model": "m", "factor": 0.5, "from": "soon"}, "`from` is 'soon'"),
        ({"model": "m", "inputUSD": 1}, "unknown key 'inputUSD'"),
        ("m", "write a mapping"),
    ],
)
def test_a_wrong_override_is_named(entry: Any, fault: str) -> None:
    assert fault in overrides.faults(entry)[0]
    with pytest.raises(ConfigurationError, match=r"cost\.prices\[1\]"):
        load(None, [{"model": "m", "inputUsd": 1}, entry])


def published(*models: dict[str, Any], provider: str = "anthropic") -> bytes:
    return json.dumps([{"id": provider, "models": list(models)}]).encode()


def model(name: str, price: str, **more: Any) -> dict[str, Any]:
    prices = {"input_mtok": price, "output_mtok": price, "cache_read_mtok": "0.1", "cache_write_mtok": "1"}
    return {"id": name, "match": {"equals": name}, "prices": prices, **more}


def first_table() -> PriceTable:
    return PriceTable(compiled(json.loads(published(model("claude-a", "3"), model("claude-b", "4"))), source="one",
                               previous=None, today=TODAY))  # fmt: skip


def test_an_update_changes_prices_from_its_day_on_and_keeps_models_that_are_gone() -> None:
    before = first_table()
    after = updated(published(model("claude-a", "6")), before, source="two", today=TODAY)
    used = Tokens(input=MILLION)
    assert usd("claude-a", used, at("2026-11-23"), after) == "3"
    assert usd("claude-a", used, at("2026-11-24"), after) == "6"
    assert usd("claude-b", used, NOW, after) == "4"
    again = updated(published(model("claude-a", "6")), after, source="two", today=date(2026, 12, 24))
    assert again.data == after.data


def test_an_update_that_says_since_when_a_price_holds_is_believed() -> None:
    dated = [
        {"prices": {"input_mtok": "3"}},
        {"constraint": {"start_date": "2026-10-01"}, "prices": {"input_mtok": "5"}},
    ]
    after = updated(published({**model("claude-a", "3"), "prices": dated}), first_table(), source="two", today=TODAY)
    assert usd("claude-a", Tokens(input=MILLION), at("2026-09-30"), after) == "3"
    assert usd("claude-a", Tokens(input=MILLION), at("2026-10-01"), after) == "5"


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"no json", "no JSON"),
        (b"[]", "no Claude models"),
        (b'{"a": 1}', "no Claude models"),
        (published(model("gpt", "1"), provider="openai"), "no Claude models"),
        (published(model("claude-a", "-1")), "costs '-1'"),
        (published(model("claude-a", "NaN")), "costs 'NaN'"),
        (published(model("claude-a", "1e9")), "costs '1e9'"),
        (published({"id": "claude-a"}), "lacks id, match or prices"),
        (published({**model("claude-a", "3"), "match": {"regex": "("}}), "lacks id, match or prices"),
        (published({**model("claude-a", "3"), "price_variants": [{"when": {"speed": "fast"}}]}), "lacks id, match or"),
        (
            published(
                {**model("claude-a", "3"), "prices": [{"constraint": {"start_date": "x"}, "prices": {"input_mtok": 1}}]}
            ),
            "lacks id, match or prices",
        ),
        (published(model("claude-a", "300")), "more than 10 times"),
    ],
)
def test_an_update_that_cannot_be_is_refused(data: bytes, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault):
        updated(data, first_table(), source="two", today=TODAY)


def test_a_great_change_can_be_wanted() -> None:
    after = updated(published(model("claude-a", "300")), first_table(), source="two", today=TODAY, any_change=True)
    assert usd("claude-a", Tokens(input=MILLION), NOW + 10**9 * 86_400 * 5, after) == "300"


@pytest.mark.slow
def test_the_bundled_table_compiles_to_itself() -> None:
    """What is kept of the table before is a fixed point: nothing changes when the data does not."""
    lines = [json.loads(line) for line in bundled().splitlines()[1:]]
    data = [{"id": "anthropic", "models": [model("claude-new", "1")]}]
    after = compiled(data, source="genai-prices 0.2.3", previous=bundled(), today=TODAY)
    kept = [json.loads(line) for line in after.splitlines()[1:]]
    assert [{**line, "retired": "2026-11-24"} for line in lines] == [
        line for line in kept if line["id"] != "claude-new"
    ]

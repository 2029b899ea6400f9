"""Usage priced by the table, to the digit; what the table lacks is named, never priced at zero without a note."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from pnl_backend.errors import InvalidResponse
from pnl_backend.sources.anthropic.costs import CostKey
from pnl_backend.sources.anthropic.estimate import estimate

DAY = date(2026, 11, 21)
MILLION = 1_000_000


def usage(model: str | None = "claude-opus-5-5", **changes: Any) -> dict[str, Any]:
    return {
        "uncached_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "cache_read_input_tokens": 0,
        "output_tokens": 0,
        "server_tool_use": {"web_search_requests": 0},
        "model": model,
        "workspace_id": None,
        "api_key_id": None,
        "service_tier": "standard",
        "context_window": "0-200k",
        **changes,
    }


def priced(*results: Any, day: date = DAY, starts: tuple[str, ...] = ("2026-11-21T05:00:00Z",)):
    return estimate(
        [({"starting_at": start, "results": list(results)}, f"data[{n}]") for n, start in enumerate(starts)], day
    )


def total(*results: Any) -> Decimal:
    return sum(priced(*results).costs.values(), Decimal(0))


FULL = {
    "uncached_input_tokens": MILLION,
    "cache_creation": {"ephemeral_5m_input_tokens": MILLION, "ephemeral_1h_input_tokens": MILLION},
    "cache_read_input_tokens": MILLION,
    "output_tokens": MILLION,
}


@pytest.mark.parametrize(
    ("model", "prices"),
    [
        ("claude-fable-5-1", "10 12.50 20 0.25 50"),
        ("claude-opus-5-5", "4 5 8 0.20 20"),
        ("claude-opus-5-5-20261001", "4 5 8 0.20 20"),
        ("claude-opus-4-5", "5 6.25 10 0.50 25"),
        ("claude-opus-4-5-20251101", "5 6.25 10 0.50 25"),
        ("claude-opus-4-8", "5 6.25 10 0.50 25"),
        ("claude-opus-5", "5 6.25 10 0.50 25"),
        ("claude-sonnet-5-5", "2 2.50 4 0.10 10"),
        ("claude-sonnet-5", "2 2.50 4 0.20 10"),
        ("claude-sonnet-4-20250514", "3 3.75 6 0.30 15"),
        ("claude-sonnet-4-6", "3 3.75 6 0.30 15"),
        ("claude-haiku-5-5", "0.10 0.125 0.20 0.01 0.50"),
        ("claude-haiku-4-5-latest", "1 1.25 2 0.10 5"),
    ],
)
def test_every_price_of_the_table(model, prices):
    fields = (
        {"uncached_input_tokens": MILLION},
        {"cache_creation": {"ephemeral_5m_input_tokens": MILLION, "ephemeral_1h_input_tokens": 0}},
        {"cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": MILLION}},
        {"cache_read_input_tokens": MILLION},
        {"output_tokens": MILLION},
    )
    assert [total(usage(model, **field)) for field in fields] == [Decimal(price) for price in prices.split()]


def test_batch_halves_input_and_output_alone():
    assert total(usage(**FULL, service_tier="batch")) == Decimal(2) + 5 + 8 + Decimal("0.20") + 10


def test_a_single_token_is_exact():
    assert total(usage("claude-haiku-5-5", cache_read_input_tokens=1)) == Decimal("0.00000001")


def test_web_searches_are_ten_dollars_a_thousand_and_have_no_model():
    costs = priced(usage(server_tool_use={"web_search_requests": 7}, workspace_id="w")).costs
    assert {key: usd for key, usd in costs.items() if usd} == {CostKey(DAY, None, "w"): Decimal("0.07")}


def test_a_missing_part_is_no_usage_of_that_kind():
    assert total(usage(output_tokens=MILLION, server_tool_use=None, cache_creation=None)) == 20


def test_haiku_costs_more_above_its_long_prompt_and_a_note_has_the_assumption_below():
    long = priced(usage("claude-haiku-5-5", output_tokens=MILLION, context_window="200k-1M"))
    assert (sum(long.costs.values()), long.notes) == (Decimal("2.50"), ())
    cheap = priced(usage("claude-haiku-5-5", output_tokens=MILLION, context_window="0-200k"))
    assert cheap.notes == ("Haiku 5.5 is priced as if every prompt had at most 100k tokens.",)
    sure = priced(usage("claude-haiku-5-5", output_tokens=MILLION, context_window="0-100k"))
    assert (sum(sure.costs.values()), sure.notes) == (Decimal("0.50"), ())


@pytest.mark.parametrize(
    "model",
    ["claude-opus-4-1", "claude-opus-6", "claude-3-5-sonnet-20241022", "claude-opus-5-5-fast", "gpt-5", "x" * 200],
)
def test_a_model_without_a_price_is_named_with_its_tokens(model):
    found = priced(usage(model, **FULL), usage(model, output_tokens=5))
    assert sum(found.costs.values()) == 0
    assert found.notes == (f"{model}: 5000005 tokens have no price and are not counted.",)


def test_a_model_with_a_price_in_part_is_priced_and_its_other_tokens_are_named():
    found = priced(usage("claude-fable-5-2", **FULL))
    assert sum(found.costs.values()) == 48
    assert found.notes == ("claude-fable-5-2: 3000000 cached tokens have no price and are not counted.",)
    assert priced(usage("claude-fable-5-2", uncached_input_tokens=MILLION, output_tokens=1)).notes == ()


@pytest.mark.parametrize(("day", "usd"), [(date(2026, 11, 8), 0), (date(2026, 11, 9), 40)])
def test_a_price_holds_from_its_day_on(day, usd):
    found = priced(usage("claude-fable-5-2", output_tokens=MILLION), day=day, starts=(f"{day}T05:00:00Z",))
    assert sum(found.costs.values()) == usd
    assert bool(found.notes) is (usd == 0)


def test_usage_without_a_model_is_named_too():
    assert "usage without a model: 9 tokens" in priced(usage(None, output_tokens=9)).notes[0]


def test_another_service_tier_is_priced_as_standard_and_noted():
    found = priced(usage(output_tokens=MILLION, service_tier="priority"))
    assert sum(found.costs.values()) == 20
    assert found.notes == ("Usage of the service tier 'priority' is priced as standard.",)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"output_tokens": None}, "output_tokens is missing"),
        ({"output_tokens": -1}, "output_tokens is below 0"),
        ({"output_tokens": "5"}, "output_tokens is not an integer but a string"),
        ({"output_tokens": Decimal("1.5")}, "output_tokens is not an integer"),
        ({"output_tokens": True}, "output_tokens is not an integer but a boolean"),
        ({"cache_creation": {"ephemeral_5m_input_tokens": 1}}, "ephemeral_1h_input_tokens is missing"),
        ({"cache_creation": 5}, "cache_creation is not a JSON object"),
        ({"server_tool_use": {"web_search_requests": "many"}}, "web_search_requests is not an integer"),
        ({"model": 5}, "model is not a string"),
        ({"service_tier": {}}, "service_tier is not a string"),
    ],
)
def test_bad_usage_is_refused_and_names_the_field(changes, said):
    with pytest.raises(InvalidResponse, match=said):
        priced(usage(**changes))


def test_a_bucket_counts_once_and_only_for_its_day():
    with pytest.raises(InvalidResponse, match="same bucket comes twice"):
        priced(usage(), starts=("2026-11-21T05:00:00Z", "2026-11-21T05:00:00Z"))
    with pytest.raises(InvalidResponse, match="outside the requested range"):
        priced(usage(), starts=("2026-11-20T23:00:00Z",))

"""Anthropic's reports in the simulator: they agree with each other and refuse what the real ones refuse."""

import json
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

import pnl_backend.sources.anthropic.simulator

DAY = "2026-03-11T00:00:00Z"
NEXT = "2026-03-12T00:00:00Z"
MONTH_AGO = "2026-02-09T00:00:00Z"
TODAY = (("starting_at", DAY), ("ending_at", NEXT))
MONTH = (("starting_at", MONTH_AGO), ("ending_at", NEXT))


def dollars(rows):
    return sum((Decimal(row["cost"]["amount"]) for row in rows), Decimal(0)) / 100


async def test_today_by_the_hour_and_the_minute_is_the_true_spend(caller):
    truth = caller.sim.truth().anthropic
    for width, limit in (("1h", "1000"), ("1h", "7"), ("1m", "1000"), ("1d", "20")):
        rows = await caller.report("analytics/cost", *TODAY, ("time_bucket_width", width), ("limit", limit))
        assert dollars(rows) == truth.daily_spend
    assert truth.daily_spend > 10


async def test_amounts_are_cents_and_groups_add_up(caller):
    truth = caller.sim.truth().anthropic
    for groups in (("model",), ("model", "workspace_id"), ("cost_type", "token_type", "service_tier", "api_key_id")):
        asked = [("group_by[]", name) for name in groups]
        rows = await caller.report("analytics/cost", *MONTH, *asked, ("limit", "1000"))
        assert {tuple(row["group"]) for row in rows} == {groups}
        assert dollars(rows) == sum(amount for day, amount in truth.by_day.items() if str(day) >= "2026-02-09")
        assert any(Decimal(row["cost"]["amount"]) % 1 for row in rows)
        assert all(Decimal(row["cost"]["list_amount"]) > Decimal(row["cost"]["amount"]) for row in rows)


async def test_the_three_reports_agree(caller):
    newest, legacy = defaultdict(Decimal), defaultdict(Decimal)
    for row in await caller.report("analytics/cost", *MONTH, ("group_by[]", "workspace_id"), ("limit", "1000")):
        newest[row["starting_at"], row["group"]["workspace_id"]] += Decimal(row["cost"]["amount"])
    for bucket in await caller.report("cost_report", *MONTH, ("group_by[]", "workspace_id"), ("limit", "31")):
        for row in bucket["results"]:
            workspace = row["workspace_id"] or "wrkspc_01Default"
            legacy[bucket["starting_at"], workspace] += Decimal(row["amount"])
    assert newest == legacy


async def test_usage_priced_with_the_table_is_todays_estimate(caller):
    table = json.loads((Path(pnl_backend.sources.anthropic.simulator.__file__).parent / "prices.json").read_text())
    groups = (("group_by[]", "model"), ("group_by[]", "service_tier"))
    cents = Decimal(0)
    for bucket in await caller.report("usage_report/messages", *TODAY, ("bucket_width", "1h"), *groups):
        for row in bucket["results"]:
            price = {k: Decimal(v) for k, v in table["usd_per_million_tokens"][row["model"]].items()}
            half = Decimal("0.5") if row["service_tier"] == "batch" else 1
            per_million = (
                row["uncached_input_tokens"] * price["input"] * half
                + row["cache_creation"]["ephemeral_5m_input_tokens"] * price["cache_5m"]
                + row["cache_creation"]["ephemeral_1h_input_tokens"] * price["cache_1h"]
                + row["cache_read_input_tokens"] * price["cache_read"]
                + row["output_tokens"] * price["output"] * half
            )
            cents += per_million / 10_000 + row["server_tool_use"]["web_search_requests"]
    truth = caller.sim.truth().anthropic
    assert cents / 100 == truth.daily_estimate
    assert truth.daily_estimate < truth.daily_spend


@pytest.mark.parametrize(
    ("kind", "newest", "legacy"),
    [("admin", 200, 200), ("analytics", 200, 403), ("admin-legacy", 403, 200), ("plain", 401, 401)],
)
async def test_what_each_kind_of_key_may_ask(caller, kind, newest, legacy):
    key = caller.sim.credentials(anthropic=kind).anthropic_key
    assert (await caller.anthropic("analytics/cost", *TODAY, key=key))[0] == newest
    assert (await caller.anthropic("cost_report", *TODAY, key=key))[0] == legacy
    status, body = await caller.anthropic("usage_report/messages", *TODAY, key=key)
    assert status == legacy
    if status != 200:
        expected = {401: "authentication_error", 403: "permission_error"}[status]
        assert (body["type"], body["error"]["type"]) == ("error", expected)
        assert body["request_id"].startswith("req_")


async def test_wrong_questions_are_refused(caller):
    wrong = [
        ("analytics/cost", [("starting_at", DAY)]),
        ("analytics/cost", [("starting_at", "yesterday"), ("ending_at", NEXT)]),
        ("analytics/cost", [("starting_at", "2026-03-11T00:00:00"), ("ending_at", NEXT)]),
        ("analytics/cost", [("starting_at", NEXT), ("ending_at", DAY)]),
        ("analytics/cost", [("starting_at", "2026-02-08T00:00:00Z"), ("ending_at", NEXT)]),
        ("analytics/cost", [("starting_at", "2025-12-31T00:00:00Z"), ("ending_at", "2026-01-02T00:00:00Z")]),
        ("analytics/cost", [*MONTH, ("time_bucket_width", "1m")]),
        ("analytics/cost", [*TODAY, ("time_bucket_width", "1w")]),
        ("analytics/cost", [*TODAY, ("limit", "1001")]),
        ("analytics/cost", [*TODAY, ("group_by[]", "description")]),
        ("analytics/cost", [*TODAY, ("page", "???")]),
        ("cost_report", [*TODAY, ("bucket_width", "1h")]),
        ("cost_report", [*TODAY, ("limit", "32")]),
        ("usage_report/messages", [*TODAY, ("bucket_width", "1h"), ("limit", "169")]),
        ("usage_report/messages", [("ending_at", NEXT)]),
    ]
    for path, params in wrong:
        status, body = await caller.anthropic(path, *params)
        assert (status, body["error"]["type"]) == (400, "invalid_request_error"), (path, params)
    status, body = await caller.anthropic("analytics/cost", *TODAY, beta=False)
    assert (status, "anthropic-beta" in body["error"]["message"]) == (400, True)
    assert (await caller.anthropic("cost_report", *TODAY, beta=False))[0] == 200


async def test_defaults_and_freshness(caller):
    _, page = await caller.anthropic("analytics/cost", *TODAY, ("time_bucket_width", "1m"))
    assert (len(page["data"]), page["has_more"]) == (20, True)
    assert page["data_refreshed_at"] == "2026-03-11T12:34:56Z"
    _, page = await caller.anthropic("cost_report", *MONTH)
    assert len(page["data"]) == 7
    _, page = await caller.anthropic("usage_report/messages", *TODAY, ("bucket_width", "1h"))
    assert (len(page["data"]), page["has_more"]) == (24, False)


async def test_spend_grows_and_the_day_turns(caller, clock):
    before = caller.sim.truth().anthropic
    caller.sim.step(60)
    grown = caller.sim.truth().anthropic
    assert grown.daily_spend > before.daily_spend
    clock.now += 86_400
    caller.sim.step(60)
    tomorrow = caller.sim.truth().anthropic
    assert tomorrow.today > grown.today
    assert tomorrow.by_day[grown.today] == grown.daily_spend
    assert 0 < tomorrow.daily_spend < grown.daily_spend


async def test_what_is_older_than_a_year_is_refused(caller, clock):
    clock.now += 400 * 86_400  # 2027-04-15
    for day, status in (("2026-04-15T00:00:00Z", 200), ("2026-04-14T00:00:00Z", 400)):
        ends = day.replace("2026-04-15", "2026-04-16").replace("2026-04-14", "2026-04-16")
        answer = await caller.anthropic("analytics/cost", ("starting_at", day), ("ending_at", ends))
        assert answer[0] == status, answer
    assert "365" in answer[1]["error"]["message"]


async def rows_while_it_moves(caller, *order):
    """Every page of this month by workspace and token type, the world moving between two pages."""
    groups = [("group_by[]", name) for name in ("model", "workspace_id", "token_type")]
    rows, page = [], ()
    while True:
        asked = (*TODAY, ("time_bucket_width", "1h"), ("limit", "3"), *groups, *order, *page)
        status, body = await caller.anthropic("analytics/cost", *asked)
        assert status == 200, body
        rows += [(row["starting_at"], *row["group"].values()) for row in body["data"]]
        if not body["has_more"]:
            return rows
        page = (("page", body["next_page"]),)
        caller.sim.step(30)


async def test_by_time_no_row_is_lost_or_comes_twice_while_amounts_grow(caller):
    rows = await rows_while_it_moves(caller, ("order_by", "time"))
    assert len(rows) == len(set(rows))
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)


async def test_by_amount_rows_shift_while_amounts_grow(caller):
    rows = await rows_while_it_moves(caller)
    assert len(rows) > len(set(rows))
    assert (await caller.anthropic("analytics/cost", *TODAY, ("order_by", "colour")))[0] == 400


async def test_a_page_is_of_its_own_order(caller):
    asked = (*TODAY, ("time_bucket_width", "1h"), ("limit", "2"), ("group_by[]", "model"))
    _, first = await caller.anthropic("analytics/cost", *asked, ("order_by", "time"))
    status, _ = await caller.anthropic("analytics/cost", *asked, ("page", first["next_page"]))
    assert status == 400


async def test_a_closed_day_is_revised_up_and_down(caller):
    day = caller.sim.truth().anthropic.today.replace(day=8)
    before = caller.sim.truth().anthropic.by_day[day]
    revise = {"action": "usage", "model": "claude-opus-5-5", "days_ago": 3}
    for tokens, more in ((1_000_000, 20), (-500_000, 10)):
        async with caller.http.post(caller.sim.control_url, json={**revise, "output_tokens": tokens}) as answer:
            assert answer.status == 200
        assert caller.sim.truth().anthropic.by_day[day] == before + more
        rows = await caller.report(
            "analytics/cost", ("starting_at", "2026-03-08T00:00:00Z"), ("ending_at", "2026-03-09T00:00:00Z")
        )
        assert dollars(rows) == before + more
    for wrong in ({**revise, "output_tokens": -(10**9)}, {**revise, "model": "claude-nonesuch"}):
        async with caller.http.post(caller.sim.control_url, json=wrong) as answer:
            assert answer.status == 400


async def test_a_model_without_a_published_price_is_billed_and_not_in_the_estimate(caller):
    before = caller.sim.truth().anthropic
    usage = {"action": "usage", "model": "claude-fable-5-2", "output_tokens": 100_000, "input_tokens": 1_000_000}
    async with caller.http.post(caller.sim.control_url, json=usage) as answer:
        assert answer.status == 200
    after = caller.sim.truth().anthropic
    assert after.daily_spend == before.daily_spend + 12
    assert after.daily_estimate == before.daily_estimate
    buckets = await caller.report("usage_report/messages", *TODAY, ("group_by[]", "model"))
    assert "claude-fable-5-2" in {row["model"] for bucket in buckets for row in bucket["results"]}

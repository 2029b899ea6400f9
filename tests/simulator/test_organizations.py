"""Anthropic's organisations, credits and rows that are removed, in the simulator."""

from decimal import Decimal

import pytest

TODAY = (("starting_at", "2026-03-11T00:00:00Z"), ("ending_at", "2026-03-12T00:00:00Z"))
DAYS = (("starting_at", "2026-03-01T00:00:00Z"), ("ending_at", "2026-03-12T00:00:00Z"), ("time_bucket_width", "1d"))
HEADERS = {"anthropic-version": "2023-06-01", "anthropic-beta": "analytics-usage-cost-2026-08-24"}


async def asked(caller, key, report="analytics/cost", **headers):
    url = f"{caller.sim.anthropic_url}/v1/organizations/{report}"
    async with caller.http.get(url, params=TODAY, headers={**HEADERS, "x-api-key": key, **headers}) as answer:
        return answer.status, answer.headers, await answer.json()


async def costs(caller, *more):
    rows = await caller.report("analytics/cost", *DAYS, ("order_by", "time"), ("group_by[]", "model"), *more)
    return {(row["starting_at"][:10], row["group"]["model"]): Decimal(row["cost"]["amount"]) / 100 for row in rows}


async def test_every_answer_names_the_organisation_of_its_key(caller):
    first = caller.sim.credentials().anthropic_key
    status, headers, _ = await asked(caller, first)
    mine = headers["anthropic-organization-id"]
    assert (status, bool(headers["request-id"])) == (200, True)
    rotated = (await caller.command(action="anthropic_key"))["key"]
    assert (await asked(caller, rotated))[1]["anthropic-organization-id"] == mine
    for report in ("cost_report", "usage_report/messages"):
        assert (await asked(caller, first, report))[1]["anthropic-organization-id"] == mine
    refused, headers, _ = await asked(caller, first, **{"anthropic-beta": "none"})
    assert (refused, headers["anthropic-organization-id"]) == (400, mine)
    unknown, headers, _ = await asked(caller, "sk-ant-admin01-unknown")
    assert unknown == 401
    assert "anthropic-organization-id" not in headers
    await caller.command(action="revoke_anthropic_key", key=first)
    assert (await asked(caller, first))[0] == 401
    await caller.command(400, action="revoke_anthropic_key", key=first)


async def test_another_organisation_has_its_own_keys_and_usage(caller):
    other = (await caller.command(action="add_organization"))["organization_id"]
    key = (await caller.command(action="anthropic_key", organization_id=other, kind="analytics"))["key"]
    status, headers, body = await asked(caller, key)
    assert (status, headers["anthropic-organization-id"], body["data"]) == (200, other, [])
    assert (await asked(caller, key, "cost_report"))[0] == 403
    for wrong in ({"organization_id": "nobody"}, {"kind": "golden"}):
        await caller.command(400, action="anthropic_key", **wrong)


async def test_a_credit_is_a_cost_row_below_zero(caller):
    before, truth = await costs(caller), caller.sim.truth().anthropic
    await caller.command(action="credit", amount="500.25", model="claude-opus-5-5", days_ago=1)
    await caller.command(action="credit", amount="0.07")
    after, now = await costs(caller), caller.sim.truth().anthropic
    changed = {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}
    assert changed == {("2026-03-10", "claude-opus-5-5"): Decimal("-500.25"), ("2026-03-11", None): Decimal("-0.07")}
    assert after["2026-03-10", "claude-opus-5-5"] < 0
    assert truth.daily_spend - now.daily_spend == Decimal("0.07")
    assert truth.daily_estimate == now.daily_estimate, "usage does not show credits"
    assert sum(after.values()) == sum(amount for day, amount in now.by_day.items() if str(day) >= "2026-03-01")
    by_minute = await caller.report("analytics/cost", *TODAY, ("time_bucket_width", "1m"), ("limit", "1000"))
    assert sum(Decimal(row["cost"]["amount"]) for row in by_minute) == now.daily_spend * 100


@pytest.mark.parametrize("model", [None, "claude-opus-5-5"])
async def test_rows_of_a_day_go_away(caller, model):
    before = await costs(caller)
    await caller.command(action="forget_usage", days_ago=2, **({} if model is None else {"model": model}))
    gone = before.keys() - (await costs(caller)).keys()
    assert gone == {key for key in before if key[0] == "2026-03-09" and model in (None, key[1])}
    assert gone

"""John's endpoint in each of its shapes."""

from decimal import Decimal

import pytest


@pytest.mark.parametrize("shape", ["deals", "list", "totals", "strings"])
async def test_each_shape_carries_the_true_figures(start, shape):
    caller = await start(revenue_shape=shape)
    status, body = await caller.johns()
    assert status == 200
    truth = caller.sim.truth().johns
    if shape in ("totals", "strings"):
        assert isinstance(body["invoiced"], str) == (shape == "strings")
        invoiced, collected = (Decimal(str(body[name])) for name in ("invoiced", "collected"))
    else:
        deals = body if shape == "list" else body["deals"]
        by_status = {
            status: sum(Decimal(str(deal["amount"])) for deal in deals if deal["status"] == status)
            for status in ("recognized", "pending", "pipeline")
        }
        invoiced, collected = by_status["recognized"] + by_status["pending"], by_status["recognized"]
        assert by_status["pipeline"] == truth.pipeline > 0
    assert (invoiced, collected) == (truth.invoiced, truth.collected)


async def test_the_token_is_asked_for_once_there_is_one(start):
    caller = await start(revenue_token="a-token")
    assert caller.sim.credentials().revenue_token == "a-token"
    assert (await caller.johns())[0] == 200
    async with caller.http.get(caller.sim.revenue_url) as answer:
        assert answer.status == 401
    opened = await start()
    async with opened.http.get(opened.sim.revenue_url) as answer:
        assert answer.status == 200


async def test_a_deal_can_be_set(caller):
    before = caller.sim.truth().johns
    caller.sim.set_deal("d-new", amount=Decimal("125.25"))
    caller.sim.set_deal("d-106", status="recognized")
    _, body = await caller.johns()
    added = next(deal for deal in body["deals"] if deal["id"] == "d-new")
    assert (added["amount"], added["status"], added["closed_date"]) == (125.25, "recognized", "2026-03-11")
    after = caller.sim.truth().johns
    assert after.collected == before.collected + Decimal("125.25") + Decimal("680.00")
    assert after.invoiced == before.invoiced + Decimal("125.25")
    with pytest.raises(ValueError, match="no such status"):
        caller.sim.set_deal("d-new", status="paid")


async def test_a_deal_can_go_away(caller):
    caller.sim.set_deal("d-900", amount=Decimal("12.34"))
    before = caller.sim.truth().johns.collected
    for status in (200, 400):
        command = {"action": "remove_deal", "id": "d-900"}
        async with caller.http.post(caller.sim.control_url, json=command) as answer:
            assert answer.status == status
    assert caller.sim.truth().johns.collected == before - Decimal("12.34")
    assert "d-900" not in {deal["id"] for deal in (await caller.johns())[1]["deals"]}

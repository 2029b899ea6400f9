"""Every way in which an upstream can be made to fail, as a caller gets it."""

import asyncio
import gzip
import json
from pathlib import Path

import aiohttp
import pytest

from pnl_backend.simulator import Fault


@pytest.mark.parametrize(
    ("upstream", "status", "body"),
    [
        ("kalshi", 429, {"error": "too many requests"}),
        ("kalshi", 500, {"msg": "internal server error"}),
        ("kalshi", 503, {"code": "service_unavailable", "message": "service unavailable", "details": "maintenance"}),
        ("johns", 500, {"error": "internal error"}),
    ],
)
async def test_a_status_comes_in_that_upstreams_own_words(caller, upstream, status, body):
    caller.sim.set_fault(upstream, Fault.status(status), times=2)
    ask = caller.johns if upstream == "johns" else lambda: caller.kalshi("/portfolio/balance")
    assert [await ask(), await ask()] == [(status, body)] * 2
    assert (await ask())[0] == 200


async def test_anthropics_errors_have_their_envelope_and_rate_limits_retry_after(caller):
    caller.sim.set_fault("anthropic", Fault.status(529))
    status, body = await caller.anthropic("cost_report")
    assert (status, body["error"]["type"]) == (529, "overloaded_error")
    caller.sim.set_fault("anthropic", Fault.rate_limit(retry_after=7))
    async with caller.http.get(caller.sim.anthropic_url + "/v1/organizations/cost_report") as answer:
        assert (answer.status, answer.headers["retry-after"]) == (429, "7")
    caller.sim.set_fault("kalshi", Fault.rate_limit())
    async with caller.http.get(caller.sim.kalshi_url + "/markets") as answer:
        assert "Retry-After" not in answer.headers


async def test_a_hanging_upstream_answers_no_request_until_it_is_cleared(caller):
    caller.sim.set_fault("johns", Fault.hang())
    waiting = asyncio.create_task(caller.johns())
    # Another request, taken and answered meanwhile, shows that the first has arrived and waits.
    assert (await caller.kalshi("/portfolio/balance"))[0] == 200
    assert (caller.sim.requests["johns"], waiting.done()) == ({"/api/revenue": 1}, False)
    caller.sim.clear_faults("johns")
    # The connection is dropped; aiohttp asks once more by itself when that befalls a GET.
    assert (await waiting)[0] == 200
    assert caller.sim.requests["johns"] == {"/api/revenue": 2}


async def test_bodies_that_differ_from_their_headers(caller):
    url = caller.sim.revenue_url
    caller.sim.credentials()
    headers = {"Authorization": f"Bearer {caller.sim.credentials().revenue_token}"}

    async def raw(fault):
        caller.sim.set_fault("johns", fault)
        async with caller.http.get(url, headers=headers, allow_redirects=False) as answer:
            return answer, await answer.read()

    answer, body = await raw(Fault.garbage())
    assert answer.content_type == "application/json"
    with pytest.raises(UnicodeDecodeError):
        body.decode()
    answer, body = await raw(Fault.html())
    assert (answer.status, answer.content_type) == (200, "text/html")
    answer, body = await raw(Fault.truncated())
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)
    answer, body = await raw(Fault.redirect("/elsewhere"))
    assert (answer.status, answer.headers["Location"]) == (302, "/elsewhere")
    answer, body = await raw(Fault.too_big())
    assert len(body) > 8 * 1024 * 1024
    assert json.loads(body)["deals"]


async def test_a_big_body_is_small_on_the_wire(caller):
    caller.sim.set_fault("kalshi", Fault.too_big(gzip=True))
    url = caller.sim.kalshi_url + "/exchange/status"
    async with aiohttp.ClientSession(auto_decompress=False) as http, http.get(url) as answer:
        packed = await answer.read()
        assert answer.headers["Content-Encoding"] == "gzip"
    assert len(packed) < 200_000 < 8 * 1024 * 1024 < len(gzip.decompress(packed))


async def test_fields_can_be_missing_wrong_or_not_finite(caller):
    sim = caller.sim
    sim.set_fault("kalshi", Fault.missing_field("balance_dollars"))
    assert "balance_dollars" not in (await caller.kalshi("/portfolio/balance"))[1]
    sim.set_fault("kalshi", Fault.wrong_type("balance"))
    assert isinstance((await caller.kalshi("/portfolio/balance"))[1]["balance"], dict)
    sim.set_fault("kalshi", Fault.nan())
    _, body = await caller.kalshi("/portfolio/balance")
    assert body["balance_dollars"] == "NaN"
    assert body["balance"] != body["balance"]
    sim.set_fault("johns", Fault.infinity("amount"))
    assert {deal["amount"] for deal in (await caller.johns())[1]["deals"]} == {float("inf")}
    sim.set_fault("johns", Fault.set_field("amount", -5))
    assert {deal["amount"] for deal in (await caller.johns())[1]["deals"]} == {-5}


async def test_a_skewed_clock_refuses_right_signatures(caller):
    caller.sim.set_fault("kalshi", Fault.skew(-30))
    status, body = await caller.kalshi("/portfolio/balance")
    assert (status, body["error"]["code"]) == (401, "header_timestamp_expired")
    async with caller.http.get(caller.sim.kalshi_url + "/exchange/status") as answer:
        assert answer.headers["Date"] == "Wed, 11 Mar 2026 12:34:26 GMT"


async def test_connections_can_break_before_and_within_an_answer(caller):
    # Twice, since aiohttp asks once more by itself.
    caller.sim.set_fault("johns", Fault.close(), times=2)
    with pytest.raises(aiohttp.ClientConnectionError):
        await caller.johns()
    assert caller.sim.requests["johns"] == {"/api/revenue": 2}
    caller.sim.set_fault("johns", Fault.cut(), times=1)
    with pytest.raises(aiohttp.ClientPayloadError):
        await caller.johns()
    caller.sim.set_fault("kalshi", Fault.drip(0.0005), times=1)
    status, body = await caller.kalshi("/portfolio/balance")
    assert (status, "balance" in body) == (200, True)


async def test_a_fault_applies_to_its_path_only_and_is_counted(caller):
    caller.sim.set_fault("kalshi", Fault.status(500, path="/portfolio/positions", times=1))
    assert (await caller.kalshi("/portfolio/balance"))[0] == 200
    assert (await caller.kalshi("/portfolio/positions"))[0] == 500
    assert (await caller.kalshi("/portfolio/positions"))[0] == 200
    assert caller.sim.requests["kalshi"] == {"/portfolio/balance": 1, "/portfolio/positions": 2}
    with pytest.raises(ValueError, match="no upstream"):
        caller.sim.set_fault("jons", Fault.hang())


async def test_a_fault_can_let_requests_pass_first(caller):
    fault = Fault.make("status", code=500, path="/portfolio/fills", skip=2, times=1)
    caller.sim.set_fault("kalshi", fault)
    assert (await caller.kalshi("/portfolio/balance"))[0] == 200
    assert [(await caller.kalshi("/portfolio/fills"))[0] for _ in range(4)] == [200, 200, 500, 200]


async def test_a_killed_upstream_refuses_and_returns_on_its_port(caller):
    url = caller.sim.kalshi_url
    await caller.sim.kill("kalshi")
    with pytest.raises(aiohttp.ClientConnectionError):
        await caller.kalshi("/portfolio/balance")
    assert (await caller.johns())[0] == 200
    await caller.sim.revive("kalshi")
    assert caller.sim.kalshi_url == url
    assert (await caller.kalshi("/portfolio/balance"))[0] == 200


async def test_the_control_route_does_all_this(caller):
    async def tell(**command):
        async with caller.http.post(caller.sim.control_url, json=command) as answer:
            return answer.status, await answer.json()

    assert await tell(upstream="kalshi", fault="status", code=502, times=1) == (200, {"ok": True})
    assert (await caller.kalshi("/portfolio/balance"))[0] == 502
    assert (await tell(upstream="johns", fault="drip", seconds=0.1, path="/x"))[0] == 200
    assert (await tell(action="set_deal", id="d-7", amount="10.10", status="pending"))[0] == 200
    assert (await tell(action="step", n=5))[0] == 200
    async with caller.http.get(caller.sim.control_url) as answer:
        state = await answer.json()
    assert state["steps"] == 5
    assert state["faults"]["johns"][0]["fault"] == "drip"
    assert state["truth"]["johns"]["invoiced"] == str(caller.sim.truth().johns.invoiced)
    assert (await tell(action="clear"))[0] == 200
    assert (await tell(action="kill", upstream="anthropic"))[0] == 200
    assert (await tell(action="revive", upstream="anthropic"))[0] == 200
    for wrong in (
        {"action": "dance"},
        {"upstream": "kalshi", "fault": "sneeze"},
        {"upstream": "nobody", "fault": "hang"},
        {"upstream": "kalshi", "fault": "status", "colour": 1},
        {"fault": "hang"},
        {"action": "set_deal", "id": "d-7", "amount": "much"},
    ):
        status, body = await tell(**wrong)
        assert (status, bool(body["error"])) == (400, True), wrong
    async with caller.http.post(caller.sim.control_url, json={"action": "step"}, headers={"Origin": "http://x"}) as a:
        assert a.status == 403
    async with caller.http.post(caller.sim.control_url, data='{"action":"step"}') as a:
        assert a.status == 403


async def test_the_page_about_the_simulator_names_every_fault_and_action(caller):
    text = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()
    assert [kind for kind in Fault.KINDS if f"`{kind}`" not in text] == []
    async with caller.http.post(caller.sim.control_url, json={"action": "?"}) as answer:
        actions = (await answer.json())["error"].partition("actions are ")[2].split(", ")
    assert len(actions) > 5
    assert [name for name in actions if f'"{name}"' not in text] == []

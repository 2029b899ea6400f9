"""Costs as clients get them: tokens without a price, credits, and an import in progress."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from pnl_backend.simulator import Simulator
from tests.support.server import FAST, ServerProcess, upstream_env

WORKSPACE = "wrkspc_01Default"


@pytest.fixture
async def legacy(tmp_path, simulator: Simulator) -> AsyncIterator[ServerProcess]:
    """A server whose key may not read analytics/cost."""
    env = upstream_env(simulator, simulator.credentials(anthropic="admin-legacy"))
    since = (datetime.now(UTC) - timedelta(days=20)).date()
    process = ServerProcess(tmp_path, **FAST, **env, PNL_SINCE=since.isoformat())
    await process.start()
    yield process
    await process.close()


def anthropic_state(answer: Any) -> dict[str, Any]:
    state: dict[str, Any] = answer["data"]["sources"]["anthropic"]
    return state


async def test_tokens_without_a_price_are_named_in_the_state_of_the_source(
    legacy: ServerProcess, simulator: Simulator
) -> None:
    await legacy.until("/api/pnl/current", lambda answer: anthropic_state(answer)["status"] == "live")
    simulator.usage.use_model(
        "claude-opus-4-1", input_tokens=0, output_tokens=50_000, days_ago=0, workspace_id=WORKSPACE
    )
    note = "claude-opus-4-1: 50000 tokens have no price and are not counted."
    answer = await legacy.until("/api/pnl/current", lambda answer: note in anthropic_state(answer).get("notes", []))
    assert anthropic_state(answer)["estimated"] is True


@pytest.mark.parametrize("amount", ["40", "100000"], ids=["below the expenses", "above the expenses"])
async def test_shares_stay_within_bounds_where_there_are_credits(
    server: ServerProcess, simulator: Simulator, amount: str
) -> None:
    simulator.usage.credit_usage(Decimal(amount), model="claude-fable-5-1", days_ago=0, workspace_id=WORKSPACE)

    def credited(answer: Any) -> bool:
        return any(entry["value"] < 0 for entry in answer["data"]["costBreakdown"])

    shown = (await server.until("/api/pnl/breakdown", credited))["data"]
    entries = shown["costBreakdown"]
    assert round(sum(entry["value"] for entry in entries), 2) == shown["summary"]["totalExpenses"]
    assert (shown["summary"]["totalExpenses"] < 0) is (amount == "100000")
    assert round(sum(entry["percentage"] for entry in entries), 1) == 100.0
    assert all(0 <= entry["percentage"] <= 100 for entry in entries)
    assert [entry["percentage"] for entry in entries if entry["value"] < 0] == [0]
    spent = round(sum(agent["expenses"] for agent in shown["agentAttribution"]), 2)
    assert spent == shown["summary"]["totalExpenses"]

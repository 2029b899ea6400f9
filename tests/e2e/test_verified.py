"""Whether the account is verified, as clients and the health report see it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pnl_backend.simulator import Simulator
from tests.support.server import ServerProcess


def verified(answer: dict[str, Any]) -> Any:
    return answer["data"]["sources"]["kalshi"]["verified"]


def agrees(answer: dict[str, Any]) -> bool:
    """Kalshi gives the worth of the positions in whole cents, so the equity may be a cent off."""
    found = verified(answer)
    return (found["realized"], found["equity"]) == (True, True) and Decimal(found["gap"]) <= Decimal("0.01")


async def test_the_verification_is_on_the_wire_and_in_health(server: ServerProcess, simulator: Simulator) -> None:
    await server.until("/api/pnl/current", agrees)
    health = await server.get("/health")
    assert health["parts"]["verification"]["state"] == "verified"
    assert "johns" not in {name for name, state in (await sources(server)).items() if state.get("verified")}
    held = next(p for p in simulator.trading.account.positions.values() if p.quantity and p.subaccount == 0)
    held.realized_pnl += Decimal("7.50")
    wrong = await server.until("/api/pnl/current", lambda answer: verified(answer)["realized"] is False)
    assert verified(wrong)["gap"] == "7.50"
    health = await server.until("/health", lambda body: "verification" in body["degraded"])
    assert health["parts"]["verification"]["state"] == "different"
    assert f"{held.ticker} by 7.50 USD" in health["parts"]["verification"]["detail"]
    held.realized_pnl -= Decimal("7.50")
    await server.until("/api/pnl/current", agrees)


async def sources(server: ServerProcess) -> dict[str, Any]:
    answer: dict[str, Any] = (await server.get("/api/pnl/current"))["data"]["sources"]
    return answer

"""`pnl-backend ledger adjust`, and what a running server makes of it."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest

from pnl_backend.simulator import Simulator
from tests.support.server import FAST, ServerProcess, command, upstream_env


async def adjust(directory: Path, *arguments: str) -> tuple[int | None, str]:
    return await command(directory, "ledger", "adjust", *arguments, DEMO="false")


@pytest.fixture
async def ledger(tmp_path: Path, simulator: Simulator) -> Path:
    """A ledger with a gap of 12.34 USD; the server that found it has stopped."""
    simulator.kalshi.adjust(Decimal("12.34"))
    server = ServerProcess(tmp_path, **FAST, **upstream_env(simulator, simulator.credentials()))
    await server.start()
    await server.until("/health", lambda body: body["parts"]["reconciliation"]["state"] == "gap")
    code, output = await adjust(tmp_path, "kalshi", "12.34", "--reason", "interest of October")
    assert code == 1
    assert "is in use" in output
    await server.stop()
    return tmp_path


async def test_an_adjustment_ends_the_gap(ledger: Path, simulator: Simulator) -> None:
    booked = await adjust(
        ledger, "kalshi", "12.34", "--reason", "interest of October", "--kind", "interest", "--at", "2026-02-25"
    )
    line = "1: 2026-02-25T00:00:00.000Z kalshi interest 12.34 USD: interest of October"
    assert booked == (0, f"booked as {line}\n")
    server = ServerProcess(ledger, **FAST, **upstream_env(simulator, simulator.credentials()))
    await server.start()
    try:
        health = await server.until("/health", lambda body: body["parts"]["reconciliation"]["state"] == "reconciled")
        assert health["reconciliation"]["gap"] == pytest.approx(0, abs=0.01)
        assert await adjust(ledger, "--list") == (0, line + "\n"), "also while the server runs"
    finally:
        await server.close()


async def test_an_adjustment_is_reversed_and_never_deleted(ledger: Path) -> None:
    for amount in ("5", "-5"):
        assert (await adjust(ledger, "kalshi", amount, "--reason", "a mistake"))[0] == 0
    listed = (await adjust(ledger, "--list"))[1].splitlines()
    assert [line.split()[4] for line in listed] == ["5.00", "-5.00"]
    connection = sqlite3.connect(ledger / "data" / "pnl.db")
    for statement in ("DELETE FROM adjustments", "UPDATE adjustments SET amount = '0'"):
        with pytest.raises(sqlite3.IntegrityError, match="reversed by another one"):
            connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["kalshi", "5"], "--reason is needed"),
        (["kalshi", "5", "--reason", "  "], "--reason is needed"),
        (["kalshi", "0", "--reason", "x"], "0 is no amount"),
        (["kalshi", "five", "--reason", "x"], "the amount must be given in USD"),
        (["kalshi", "NaN", "--reason", "x"], "NaN is no amount"),
        (["kalshi", "0.0000001", "--reason", "x"], "is no amount"),
        (["kalshi", "--reason", "x"], "the amount must be given in USD"),
        (["johns", "5", "--reason", "x"], "the account must be given: kalshi, not 'johns'"),
        (["--reason", "x"], "the account must be given: kalshi"),
        (["kalshi", "5", "--reason", "x", "--at", "yesterday"], "neither ms since the epoch nor a date"),
        (["kalshi", "5", "--reason", "x", "--at", "2999-01-01"], "--at is in the future"),
        (["kalshi", "5", "--reason", "x"], "there is no ledger at"),
        (["--list"], "there is no ledger at"),
        (["--list", "kalshi"], "--list prints all adjustments"),
    ],
)
async def test_what_cannot_be_booked_is_refused_in_words(tmp_path: Path, arguments: list[str], said: str) -> None:
    code, output = await adjust(tmp_path, *arguments)
    assert code == 1
    assert said in output
    assert len(output.splitlines()) == 1

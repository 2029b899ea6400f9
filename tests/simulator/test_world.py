"""How the simulation changes: reproducible, continuous, and within bounds however long it runs."""

import asyncio
import contextlib
import socket
import sys
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest

from pnl_backend.simulator import Book, Simulator


def still(clock, **settings):
    return Simulator(step_interval=None, clock=clock, **settings)


async def test_the_same_seed_gives_the_same_world(clock):
    one, same, other = still(clock, seed=3), still(clock, seed=3), still(clock, seed=4)
    for sim in (one, same, other):
        sim.step(3000)
    assert one.truth() == same.truth()
    assert one.trading.account.fills == same.trading.account.fills
    assert one.truth() != other.truth()


async def test_a_minute_of_the_demo_changes_the_figures(clock):
    sim = still(clock)
    marks, fills = set(), len(sim.trading.account.fills)
    spends = []
    for _ in range(60):
        sim.step()
        truth = sim.truth()
        marks.add(truth.kalshi.unrealized_pnl)
        spends.append(truth.anthropic.daily_spend)
    assert len(marks) > 30
    assert len(sim.trading.account.fills) - fills >= 2
    assert spends == sorted(set(spends))
    sim.step(540)
    assert sim.truth().johns != still(clock).truth().johns


async def test_a_day_and_more_of_steps_stays_plausible(clock):
    sim = still(clock)
    first = sim.truth().anthropic.today
    for _ in range(36):
        sim.step(3600)
        clock.now += 3600
        truth = sim.truth()
        assert abs(truth.kalshi.reconciliation) < Decimal("0.02")
        assert truth.kalshi.balance > 0
        assert -3000 < truth.kalshi.pnl < 4000
        assert -2000 < truth.net_pnl(first) < 14000
        assert 15 <= truth.kalshi.positions <= 60
        for market in sim.trading.markets.values():
            if market.status == "active" and not market.frozen:
                assert 0 < market.yes_bid < market.yes_ask < 1
    settled = [held for held in sim.trading.account.positions.values() if held.settled]
    assert len(settled) > 50
    assert truth.johns.invoiced < 40000


async def test_a_book_serves_two_simulations(clock):
    book = Book.shipped(clock())
    one, two = still(clock, book=book), still(clock, book=book)
    one.step(500)
    assert two.truth() == still(clock).truth() != one.truth()


async def test_it_moves_by_itself_until_paused():
    async with Simulator(step_interval=0.001) as sim:
        moved = []
        sim.kalshi.exchange.listeners.append(moved.append)
        async with aiohttp.ClientSession() as http:
            while not moved:
                async with http.get(sim.control_url) as answer:
                    assert answer.status == 200
        await sim.pause()
        steps = sim.simulation.steps
        async with aiohttp.ClientSession() as http, http.get(sim.control_url) as answer:
            assert (await answer.json())["steps"] == steps


def free_ports(count):
    """The first of so many free ports in a row, below those that the system hands out by itself."""
    for base in range(21_000, 30_000, count):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(base, base + count):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return base
    raise RuntimeError("no free ports")


async def test_a_taken_port_leaves_nothing_open(clock):
    base = free_ports(4)
    sim = still(clock, port_base=base)
    with socket.create_server(("127.0.0.1", base + 3)), pytest.raises(OSError, match="address already in use"):
        await sim.start()
    with socket.create_server(("127.0.0.1", base)):
        pass
    async with sim:
        assert sim.revenue_url == f"http://127.0.0.1:{base}/api/revenue"
        assert sim.control_url == f"http://127.0.0.1:{base + 3}/control"


async def test_the_command_prints_settings_that_work_and_stops_on_a_signal():
    command = (sys.executable, "-m", "pnl_backend.simulator", "--port-base", "0", "--seed", "5")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    settings = {}
    while (line := (await process.stdout.readline()).decode()) and not line.startswith("#"):
        name, _, value = line.strip().partition("=")
        settings[name] = value
    control = line.split()[-1]
    key_file = Path(settings["KALSHI_PRIVATE_KEY_PATH"])
    assert key_file.stat().st_mode & 0o077 == 0
    headers = {"Authorization": f"Bearer {settings['JOHNS_REVENUE_TOKEN']}"}
    async with aiohttp.ClientSession() as http:
        async with http.get(settings["JOHNS_REVENUE_URL"], headers=headers) as answer:
            assert answer.status == 200
        async with http.get(control) as answer:
            assert (await answer.json())["urls"]["kalshi"] == settings["KALSHI_API_URL"]
    process.terminate()
    assert await process.wait() == 0
    assert not key_file.exists()

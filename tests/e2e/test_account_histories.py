"""Random histories of an account, of spend and of deals: every figure on every feed equals a calculator's.

`HISTORIES=500 python -m pytest tests/e2e/test_account_histories.py` plays so many new ones, and shortens what fails. A
failing history is printed; give it to `play` again, or add it to KNOWN.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pnl_backend.simulator import Book, Simulator
from tests.support.histories import Step, steps
from tests.support.historysession import SUBACCOUNTS, InProcess, Killed, Session
from tests.support.shifted_server import shifted

EXAMPLES = int(os.environ.get("HISTORIES", "0"))


def play(history: Sequence[Step], *, subaccounts: str = "0", killed: bool = False) -> None:
    """Play one history from an empty account; AssertionError with the steps where a figure differs.

    `subaccounts` are those that count, as KALSHI_SUBACCOUNTS names them.
    With `killed` the server is a process that is stopped by kill -9, and days may pass.
    """

    async def run() -> None:
        with tempfile.TemporaryDirectory() as name:
            folder, shift = Path(name), Path(name) / "shift"
            book = Book(live_days=None)
            book.account.kept_settled = None
            more = {"clock": lambda: shifted(shift)} if killed else {}
            async with Simulator(book, step_interval=None, kalshi_rate=None, **more) as simulator:
                host = (Killed if killed else InProcess)(folder, simulator, subaccounts)
                session = Session(simulator, host, subaccounts=subaccounts, shift=shift if killed else None)
                await session.run(history)

    try:
        asyncio.run(run())
    except AssertionError as error:
        steps_of = "".join(f"    {step!r},\n" for step in history)
        raise AssertionError(f"{error}\nplay([\n{steps_of}], subaccounts={subaccounts!r}, killed={killed})") from error


KNOWN: dict[str, list[Step]] = {
    "a market is archived before the first start": [
        ("transfer", "deposit", 0, 500_000, "applied"),
        ("trade", 0, "yes", 1250, 437, True),
        ("trade", 0, "no", 333, 601, True),
        ("settle", 0, "yes", 0),
        ("archive", 0, False),
        ("trade", 1, "no", 777, 250, True),
        ("start",),
        ("check",),
        ("settle", 1, "scalar", 125),
        ("check",),
    ],
    "a market settles and is archived while the server is down": [
        ("transfer", "deposit", 0, 500_000, "applied"),
        ("trade", 0, "yes", 1250, 437, True),
        ("trade", 2, "yes", 500, 300, True),
        ("check",),
        ("stop",),
        ("settle", 0, "no", 0),
        ("archive", 0, False),
        ("settle", 2, "yes", 0),
        ("archive", 2, True),
        ("check",),
    ],
    "a determined market is worth its outcome": [
        ("trade", 0, "no", 1000, 437, True),
        ("quote", 0, 990, 5, 995),
        ("check",),
        ("determine", 0, "no", 0),
        ("check",),
        ("settle", 0, "no", 0),
        ("check",),
    ],
    "settled markets are corrected, live and archived": [
        ("trade", 0, "yes", 1250, 437, True),
        ("trade", 1, "no", 825, 250, True),
        ("settle", 0, "yes", 0),
        ("settle", 1, "yes", 0),
        ("archive", 1, False),
        ("check",),
        ("revise", 0, "no", 0),
        ("revise", 1, "scalar", 250),
        ("check",),
    ],
    "deals and costs go away and come back": [
        ("usage", 0, 0, 900_000, 200_000),
        ("usage", 1, 1, 300_000, 20_000),
        ("deal", 0, 120_000, "recognized"),
        ("deal", 1, 50_050, "pending"),
        ("check",),
        ("deal gone", 0),
        ("forget", 1, 1),
        ("check",),
        ("deal", 0, 120_001, "recognized"),
        ("credit", 0, 0, 250),
        ("credit", 0, 3, 5),
        ("check",),
    ],
}


KILLED: dict[str, list[Step]] = {
    "killed after every kind of event": [
        ("transfer", "deposit", 0, 900_000, "applied"),
        ("usage", 0, 0, 900_000, 200_000),
        ("trade", 0, "yes", 1250, 437, True),
        ("trade", 1, "no", 825, 250, True),
        ("deal", 0, 120_000, "recognized"),
        ("check",),
        ("trade", 2, "yes", 500, 300, False),
        ("stop",),
        ("settle", 0, "scalar", 333),
        ("archive", 0, False),
        ("deal gone", 0),
        ("start",),
        ("settle", 1, "no", 0),
        ("stop",),
        ("archive", 1, False),
        ("usage", 1, 1, 100_000, 20_000),
        ("check",),
    ],
    "closed days are revised and the next day shows it": [
        ("usage", 5, 0, 900_000, 200_000),
        ("usage", 3, 1, 900_000, 200_000),
        ("usage", 1, 1, 400_000, 100_000),
        ("trade", 0, "yes", 1250, 437, True),
        ("check",),
        ("usage", 5, 0, -400_000, 0),
        ("check",),
        ("stop",),
        ("forget", 3, 1),
        ("check",),
        ("day",),
        ("check",),
    ],
}


@pytest.mark.parametrize("history", KNOWN.values(), ids=KNOWN)
def test_a_known_history(history):
    play(history)


@pytest.mark.slow(15)
@pytest.mark.parametrize("history", KILLED.values(), ids=KILLED)
def test_a_known_history_with_kills_and_days(history):
    play(history, killed=True)


def examples(count: int) -> Callable[[Any], Any]:
    """So many histories, the same each time; a longer run takes new ones and shortens those that fail."""
    return settings(
        max_examples=EXAMPLES or count,
        derandomize=not EXAMPLES,
        phases=[Phase.generate, Phase.shrink] if EXAMPLES else [Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.slow(25)
@examples(8)
@given(steps(), st.sampled_from([*SUBACCOUNTS]))
def test_any_history(history, subaccounts):
    play(history, subaccounts=subaccounts)


@pytest.mark.skipif(not EXAMPLES, reason="a process for each start: with HISTORIES alone")
@examples(1)
@given(steps(days_pass=True), st.sampled_from([*SUBACCOUNTS]))
def test_any_history_with_kills_and_days(history, subaccounts):
    play(history, subaccounts=subaccounts, killed=True)

"""Random histories of an account, of spend and of deals: every figure on every feed is what a calculator says it is.

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

from pnl_backend.simulator import Book, Simulator
from tests.support.histories import Step, steps
from tests.support.historysession import InProcess, Killed, Session
from tests.support.shifted_server import shifted

EXAMPLES = int(os.environ.get("HISTORIES", "0"))


def play(history: Sequence[Step], *, killed: bool = False) -> None:
    """Play one history from an empty account; AssertionError with the steps where a figure differs.

    With `killed` the server is a process that is stopped by kill -9, and days may pass.
    """

    async def session() -> None:
        with tempfile.TemporaryDirectory() as name:
            folder, shift = Path(name), Path(name) / "shift"
            book = Book(live_days=None)
            book.account.kept_settled = None
            more = {"clock": lambda: shifted(shift)} if killed else {}
            async with Simulator(book, step_interval=None, kalshi_rate=None, **more) as simulator:
                host = (Killed if killed else InProcess)(folder, simulator)
                await Session(simulator, host, shift=shift if killed else None).run(history)

    try:
        asyncio.run(session())
    except AssertionError as error:
        steps_of = "".join(f"    {step!r},\n" for step in history)
        raise AssertionError(f"{error}\nplay([\n{steps_of}], killed={killed})") from error


KNOWN: dict[str, list[Step]] = {
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
        ("check",),
    ],
}


LEFT_OUT = ("archive", "determine", "revise", "credit")
"""What the server does not do right yet."""


@pytest.mark.parametrize("history", KNOWN.values(), ids=KNOWN)
def test_a_known_history(history):
    play(history)


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


@examples(10)
@given(steps(without=LEFT_OUT))
def test_any_history(history):
    play(history)


@pytest.mark.skipif(not EXAMPLES, reason="a process for each start: with HISTORIES alone")
@examples(1)
@given(steps(without=LEFT_OUT))
def test_any_history_with_kills_and_days(history):
    play(history, killed=True)

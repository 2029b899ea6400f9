"""When the import of history runs, and its state in health and log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from pnl_backend.domain.readings import Progress, Reading
from pnl_backend.errors import FetchError
from pnl_backend.ledger import history_import
from pnl_backend.ledger.history_import import HistoryImport
from tests.waiting import until

READING = Reading("kalshi", object(), 1, 1, "live")


class Scripted:
    """An importer that fails as it is told, and is done after the first run that does not."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.runs = 0
        self.done = False

    def progress(self) -> Progress | None:
        return None if self.done else Progress("settled markets", 3000)

    async def read_due(self) -> None:
        self.runs += 1
        if self.failures:
            raise self.failures.pop(0)
        self.done = True


@pytest.fixture
async def started(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[HistoryImport]]:
    monkeypatch.setattr(history_import, "RETRY", 0.05)
    running: list[HistoryImport] = []
    yield running
    for one in running:
        await one.stop()


def begin(started: list[HistoryImport], importer: Scripted) -> HistoryImport:
    history = HistoryImport("kalshi", importer)
    history.start()
    started.append(history)
    return history


async def test_it_waits_for_a_live_reading_of_the_ledger_s_own_account(started: list[HistoryImport]) -> None:
    importer = Scripted()
    history = begin(started, importer)
    history.on_reading(replace(READING, source="johns"))
    history.on_reading(replace(READING, tier="redis", error="it failed"))
    history.on_reading(replace(READING, account_changed=True))
    assert (history.state, importer.runs) == ("waiting", 0)
    assert history.detail() == "3,000 settled markets so far"
    history.on_reading(READING)
    await until(lambda: history.state == "complete")
    assert history.detail() is None


async def test_a_failure_is_named_until_an_attempt_succeeds(started: list[HistoryImport]) -> None:
    importer = Scripted(FetchError("no"))
    history = begin(started, importer)
    history.on_reading(READING)
    await until(lambda: history.state == "failing")
    assert history.detail() == "3,000 settled markets so far, last attempt failed (upstream_error)"
    await until(lambda: history.state == "complete")


async def test_an_unexpected_error_does_not_end_it(started: list[HistoryImport]) -> None:
    importer = Scripted(ZeroDivisionError())
    history = begin(started, importer)
    history.on_reading(READING)
    await until(lambda: history.state == "complete")
    assert importer.runs == 2

"""Every version opens the ledger and the cache of every earlier one: a folder of `tests/data/ledgers` for each."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pnl_backend.ledger.sqlite import Store
from pnl_backend.ledger.sqlite.migrations import VERSION
from pnl_backend.simulator import Simulator
from tests.ledger.sqlite.answers import answers, answers_of_facts, cached, rows
from tests.ledger.sqlite.recompute import kept, recomputed
from tests.support.server import FAST, ServerProcess, command, upstream_env
from tests.waiting import PATIENCE

LEDGERS = sorted(path.parent for path in (Path(__file__).parents[2] / "data" / "ledgers").glob("*/expected.json"))
MANY = 150_000
"""Snapshots that take so long to roll up that a kill meets the work in its middle."""


@pytest.fixture(params=LEDGERS, ids=lambda folder: folder.name)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A copy of one version's files in a server's data directory, and what that version answered."""
    data = tmp_path / "data"
    data.mkdir()
    for name in ("pnl.db", "pnl-cache.db"):
        shutil.copy(request.param / name, data / name)
    return data, json.loads((request.param / "expected.json").read_text())


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """Upstreams that move only when told."""
    async with Simulator(step_interval=None, kalshi_rate=None) as played:
        yield played


def holds(expected: Any, found: Any) -> bool:
    """Whether `found` says all that is expected; a later version may say more."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return all(name in found and holds(value, found[name]) for name, value in expected.items())
    if isinstance(expected, list) and isinstance(found, list):
        return len(expected) == len(found) and all(map(holds, expected, found))
    return bool(expected == found)


async def opened(
    data: Path, expected: dict[str, Any], ask: Callable[[Store], Awaitable[dict[str, Any]]] = answers
) -> dict[str, Any]:
    last_at = expected["snapshots"][-1][2]
    store = await Store.open(data / "pnl.db", origin="live", clock=lambda: last_at / 1000)
    try:
        return json.loads(json.dumps(await ask(store)))  # type: ignore[no-any-return]
    finally:
        await store.close()


async def test_the_ledger_gives_the_answers_of_the_version_that_wrote_it(written: tuple[Path, dict[str, Any]]) -> None:
    data, expected = written
    for _ in range(2):
        found = await opened(data, expected) | rows(data / "pnl.db")
        for name, value in expected.items():
            assert name == "history" or name not in found or holds(value, found[name]), name
        for name, value in expected["history"].items():
            shown = found["history"][name]
            whole = name == "raw"  # 0.1.0 took the course of an interval from incomplete snapshots too
            assert value == shown if whole else [(r[0], r[-1]) for r in value] == [(r[0], r[-1]) for r in shown]
        assert kept(data / "pnl.db") == recomputed(data / "pnl.db")
    with closing(sqlite3.connect(data / "pnl.db")) as reader:
        assert reader.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert reader.execute("PRAGMA user_version").fetchone() == (VERSION,)
    assert await cached(data / "pnl-cache.db") == expected["cache"]


async def test_its_markets_have_settled_unless_contracts_are_held_and_every_list_is_still_to_be_read(
    written: tuple[Path, dict[str, Any]],
) -> None:
    data, expected = written
    with closing(sqlite3.connect(data / "pnl.db")) as connection:
        before = dict(connection.execute("SELECT ticker, quantity FROM positions"))
    await opened(data, expected)
    with closing(sqlite3.connect(data / "pnl.db")) as connection:
        after = connection.execute("SELECT ticker, subaccount, quantity, settled FROM positions").fetchall()
        shown = {ticker for (ticker,) in connection.execute("SELECT symbol FROM kalshi_trades")}
        assert connection.execute("SELECT count(*) FROM imports").fetchone() == (0,)
    assert {(ticker, 0, quantity, int(float(quantity) == 0)) for ticker, quantity in before.items()} == set(after)
    assert {settled for *_, settled in after} == {0, 1}
    assert shown >= before.keys()


async def test_the_marks_of_its_snapshots_are_read_from_their_payloads(written: tuple[Path, dict[str, Any]]) -> None:
    data, expected = written
    await opened(data, expected)
    with closing(sqlite3.connect(data / "pnl.db")) as reader:
        found = reader.execute(
            "SELECT p.data, m.complete, m.whole, m.not_live, m.estimated, r.complete"
            " FROM snapshots AS s JOIN payloads AS p USING (seq) JOIN marks AS m ON m.id = s.marks"
            " JOIN rollups AS r ON r.span = 60000 AND r.start = s.at - s.at % 60000"
        ).fetchall()
        assert "marked" not in dict(reader.execute("SELECT * FROM meta").fetchall())
    assert len(found) == len(expected["snapshots"])
    assert {row[1] for row in found} == {0, 1}
    for payload, complete, whole, not_live, estimated, minute_complete in found:
        shown = json.loads(payload)
        states = shown["sources"]
        assert complete == minute_complete == (not shown["degraded"])
        assert set(filter(None, whole.split(","))) == states.keys() - set(shown["degraded"])
        assert not_live == ",".join(sorted(name for name in states if states[name]["status"] != "live"))
        assert estimated == any(state["estimated"] for state in states.values())


async def test_the_server_goes_on_in_the_ledger(
    written: tuple[Path, dict[str, Any]], tmp_path: Path, simulator: Simulator
) -> None:
    _, expected = written
    server = ServerProcess(tmp_path, **FAST, **upstream_env(simulator, simulator.credentials()))
    await server.start()
    try:
        answer = await server.until("/api/pnl/current", lambda a: a["data"]["seq"] > expected["lastSeq"] + 3)
        assert answer["data"]["epoch"] == expected["epoch"]
        assert await server.stop() == 0
        held = server.rows("SELECT seq, at, net, kalshi, costs, revenue FROM snapshots ORDER BY seq")
        assert [list(row) for row in held[: len(expected["snapshots"])]] == [row[1:7] for row in expected["snapshots"]]
        assert "Traceback" not in server.log
    finally:
        await server.close()


async def test_an_older_version_refuses_a_newer_ledger_in_one_line(
    written: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    data, _ = written
    with closing(sqlite3.connect(data / "pnl.db")) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = (data / "pnl.db").read_bytes()
    for arguments in ((), ("export",), ("backup", "--to", "x")):
        code, output = await command(tmp_path, *arguments, NODE_ENV="development", DB_PATH="data/pnl.db", DEMO="false")
        assert code == 1
        *log, last = output.strip().splitlines()
        assert "was made by a newer version" in last
        assert "update the server" in last
        assert "Traceback" not in output
        assert not any("ERROR" in line for line in log)
        assert (data / "pnl.db").read_bytes() == before


def grown(path: Path) -> dict[int, int]:
    """Make the ledger one of the first schema with many more snapshots; their net sums by sequence number."""
    rng = random.Random(5)
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        (last, at) = old.execute("SELECT max(seq), max(at) FROM snapshots").fetchone()
        added = [(last + n, at + n * 5000, rng.randrange(10**6), 1, 2, 3) for n in range(1, MANY + 1)]
        old.execute("BEGIN")
        old.execute("DELETE FROM rollups")
        old.execute("DELETE FROM meta WHERE key = 'timezone'")
        old.execute("INSERT OR REPLACE INTO meta VALUES ('rolled_up', '0')")
        old.executemany("INSERT INTO snapshots VALUES (?, ?, ?, ?, ?, ?)", added)
        old.executemany("INSERT INTO payloads VALUES (?, x'', x'')", [row[:1] for row in added])
        old.execute("COMMIT")
        return dict(old.execute("SELECT seq, net FROM snapshots").fetchall())


OPEN = """
import asyncio, sys
from pnl_backend.ledger.sqlite import Store, catching_up
catching_up.BATCH = 5000
print("begins", flush=True)
async def run():
    store = await Store.open(sys.argv[1], origin="live")
    await store.close()
asyncio.run(run())
print("opened", flush=True)
"""


async def migrate_in_a_process(path: Path, kill_after: float | None) -> tuple[bool, str]:
    """Open the ledger in a process of its own; whether it came to the end before it was killed, and its log.

    It is killed so many seconds after its imports.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OPEN, str(path), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        assert await process.stdout.readline() == b"begins\n"
    waiting = asyncio.create_task(process.communicate())
    if kill_after is not None:
        await asyncio.wait([waiting], timeout=kill_after)
        if process.returncode is None:
            process.kill()
    output, _ = await waiting
    return b"opened" in output, output.decode()


async def test_a_kill_during_the_migration_loses_no_row(written: tuple[Path, dict[str, Any]]) -> None:
    data, expected = written
    path = data / "pnl.db"
    sums = grown(path)
    chance = random.Random(11)
    done, kills = False, 0
    while not done:
        # The first kills come early, so that a fast machine is not through; later ones later, so that a slow one gets
        # to the end.
        done, _ = await migrate_in_a_process(path, chance.uniform(0.02, 0.1) + kills * 0.05)
        kills += not done
    assert kills >= 2
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert reader.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert dict(reader.execute("SELECT seq, net FROM snapshots").fetchall()) == sums
    assert kept(path) == recomputed(path)
    found = await opened(data, expected, answers_of_facts)
    for name in ("epoch", "firstRun", "fills", "settlements", "transfers", "deals", "costs", "closedDays", "secret"):
        assert holds(expected[name], found[name]), name


async def test_a_long_migration_logs_its_progress(written: tuple[Path, dict[str, Any]]) -> None:
    path = written[0] / "pnl.db"
    grown(path)
    done, log = await migrate_in_a_process(path, None)
    assert done
    assert "Rolling up older snapshots" in log
    assert "(100 %)" in log


def test_there_is_a_ledger_of_the_first_release() -> None:
    assert "0.1.0" in [folder.name for folder in LEDGERS]

"""Readers give back what they took, whatever interrupts them."""

import asyncio
import sqlite3
from contextlib import closing

from pnl_backend.ledger.sqlite.readers import Readers


class Held(Readers):
    """Connects again only when a test lets it."""

    def __init__(self, path):
        super().__init__(path)
        self.connecting = asyncio.Event()
        self.gate = asyncio.Event()

    async def _connect_again(self):
        self.connecting.set()
        await self.gate.wait()
        return await super()._connect_again()


async def test_a_pause_that_is_cancelled_while_it_connects_again_loses_no_connection(tmp_path):
    path = tmp_path / "pnl.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (n)")
    readers = Held(path)
    await readers.open()

    async def pause():
        async with readers.paused():
            pass

    pausing = asyncio.create_task(pause())
    await readers.connecting.wait()
    pausing.cancel()
    await asyncio.gather(pausing, return_exceptions=True)
    assert pausing.cancelled()
    readers.gate.set()
    async with asyncio.timeout(10):
        answers = await asyncio.gather(*(readers.read("SELECT count(*) FROM t") for _ in range(9)))
        assert answers == [[(0,)]] * 9
        await readers.close()

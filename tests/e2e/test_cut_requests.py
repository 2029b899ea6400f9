"""Polling clients whose requests are cut on their way: what a client does not notice, and how it gets everything."""

import asyncio

import aiohttp
import pytest
import socketio

from tests.support.cutting import cutting_proxy
from tests.support.returning import Reader, stop
from tests.waiting import PATIENCE, until


async def test_python_engineio_does_not_report_a_message_that_was_cut(server):
    """Why a client over polling has to ask for an acknowledgement: its sending ends, and its waiting poll goes on."""
    async with cutting_proxy(server.port) as proxy:
        client = socketio.AsyncClient(reconnection=False)
        await client.connect(proxy.url, transports=["polling"])
        sending, reading = client.eio.write_loop_task, client.eio.read_loop_task
        proxy.cut_at(b"subscribe_pnl")
        with pytest.raises(socketio.exceptions.TimeoutError):
            await client.call("subscribe_pnl", timeout=1)
        assert sending.done()
        assert not reading.done()
        assert client.connected
        await client.eio.disconnect(abort=True)
    await server.until("/api/health", lambda a: a["connectedClients"] == 0)


async def test_python_socketio_waits_on_behind_a_close_of_the_server(server):
    """Why a client over polling goes by its `disconnect` event: `wait` lasts until its sending times out (30 s)."""
    client = socketio.AsyncClient(reconnection=False)
    over = asyncio.Event()
    client.on("disconnect", lambda _: over.set())
    await client.connect(server.url, transports=["polling"])
    sending, reading = client.eio.write_loop_task, client.eio.read_loop_task
    async with aiohttp.ClientSession() as session, session.get(client.eio.base_url) as second:
        assert second.status == 400, "two polls at once end the session"
    async with asyncio.timeout(PATIENCE):
        await over.wait()
    await until(lambda: client.eio.state == "disconnected")
    assert not sending.done()
    assert not reading.done()
    sending.cancel()
    reading.cancel()
    await asyncio.gather(sending, reading, return_exceptions=True)


@pytest.mark.parametrize("mark", [b"40{}", b"subscribe_pnl"])
async def test_a_client_that_requests_acknowledgements_reconnects(server, simulator, mark):
    """Cut once at its CONNECT or at its subscription; `sessions` counts that it came back."""
    async with cutting_proxy(server.port) as proxy:
        reader = Reader(proxy.url, "polling")
        proxy.cut_at(mark)
        running = asyncio.create_task(reader.run())
        await until(lambda: reader.held[0] > 0, within=40)
        assert reader.sessions == 2
        _, before = reader.held
        simulator.step()
        await until(lambda: reader.held[1] != before)
        assert not reader.broken
        await stop([reader], [running])
    await server.until("/api/health", lambda a: a["connectedClients"] == 0)

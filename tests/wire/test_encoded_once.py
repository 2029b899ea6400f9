"""Each shape of a snapshot is encoded once a tick, however many clients of whatever transport get it."""

from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager

from pnl_backend.wire import message
from tests.stream.stage import staged
from tests.support.clients import Listener
from tests.support.feeds import event_stream, plain_socket

NAMESPACES = ["/", "/pnl", "/components", "/dashboard"]
EVENTS = ("pnl_update", "components_update", "pnl-update")


class CountingEncoder:
    """The wire's encoder, with a count of what it is given by type."""

    def __init__(self, encoder):
        self._encoder = encoder
        self.counted = Counter()

    def encode(self, value):
        self.counted[type(value).__name__] += 1
        return self._encoder.encode(value)


@asynccontextmanager
async def subscribed(url):
    """A client in every namespace, in the default one with every subscription."""
    client = Listener()
    for namespace in NAMESPACES[1:]:
        client.io.on("*", client._note, namespace=namespace)
    await client.io.connect(url, namespaces=NAMESPACES)
    try:
        for topic in ("pnl", "components", "dashboard"):
            assert (await client.io.call(f"subscribe_{topic}"))["ok"]
        await client.until(lambda c: all(len(c.of(event)) == 2 for event in EVENTS))
        yield client
    finally:
        await client.io.disconnect()


def seq_of(update):
    return update["data"]["seq"] if "data" in update else update["seq"]


async def test_a_tick_encodes_each_shape_once(tmp_path, monkeypatch):
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(staged(tmp_path / "pnl.db"))
        clients = [await stack.enter_async_context(subscribed(stage.url)) for _ in range(3)]
        paths = ("/", "/ws", "/pnl-stream", "/pnl-stream")
        sockets = [await stack.enter_async_context(plain_socket(stage.url, path)) for path in paths]
        streams = [await stack.enter_async_context(event_stream(stage.url, **{"X-API-Key": "any"})) for _ in range(2)]
        await stage.publish(1233)  # the ledger feed's first is a snapshot: nothing to compare it with
        for reader in (*sockets, *streams):
            await reader.read()
            await reader.read()
        encoder = CountingEncoder(message._ENCODER)
        monkeypatch.setattr(message, "_ENCODER", encoder)
        published = await stage.publish(1234)
        for client in clients:
            await client.until(
                lambda c: all([seq_of(u) for u in c.of(event)].count(published.seq) == 2 for event in EVENTS)
            )
        for reader in (*sockets, *streams):
            await reader.read()
        for view in ("breakdown", "figures") * 3:
            assert stage.hub.json(view)
        assert encoder.counted == {
            "Snapshot": 1,
            "dict": 2,  # what only the ledger keeps, and the components of the breakdown
            "Breakdown": 1,
            "PnLUpdate": 1,
            "ComponentsUpdate": 1,
            "DashboardMessage": 1,
            "LedgerDelta": 1,
            "DeltaMessage": 1,
            "DeltaEvent": 1,
            "Ledger": 1,
            "SnapshotMessage": 1,  # in place of the delta for a client that lags
            "LedgerFigures": 1,
        }

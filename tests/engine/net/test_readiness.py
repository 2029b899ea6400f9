"""Readiness of sockets, by epoll and by the event loop's own readers."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterator

import pytest

from pnl_backend.engine.net.readiness import EpollReadiness, LoopReadiness, Readiness
from pnl_backend.engine.net.sockets import set_options
from tests.engine.conftest import Start
from tests.engine.net.test_unfinished import UPGRADE, descriptors, dial
from tests.waiting import until


@pytest.fixture(params=[EpollReadiness, LoopReadiness])
def readiness(request: pytest.FixtureRequest) -> Readiness:
    watched: Readiness = request.param()
    return watched


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection over TCP, which can be reset."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as theirs:
        theirs.connect(listening.getsockname())
        ours = listening.accept()[0]
        with ours:
            ours.setblocking(False)
            yield ours, theirs


Pair = tuple[socket.socket, socket.socket]


def fill(sock: socket.socket) -> None:
    """Send until the socket takes no more."""
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.send(bytes(1 << 16))


async def turns() -> None:
    """Let the loop look at its descriptors: what is ready on this machine's own sockets is so at once."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_arrives_is_reported_until_it_is_removed(readiness: Readiness, pair: Pair) -> None:
    ours, theirs = pair
    read: list[bytes] = []

    def take() -> None:
        try:
            read.append(ours.recv(1))
        except BlockingIOError:
            return

    readiness.add_reader(ours.fileno(), take)
    theirs.send(b"abc")
    await until(lambda: read == [b"a", b"b", b"c"])
    readiness.remove_reader(ours.fileno())
    theirs.send(b"d")
    await turns()
    readiness.add_reader(ours.fileno(), take)
    await until(lambda: read == [b"a", b"b", b"c", b"d"])
    readiness.remove(ours.fileno())


async def test_the_latest_callback_counts(readiness: Readiness, pair: Pair) -> None:
    ours, theirs = pair
    called: list[str] = []
    readiness.add_reader(ours.fileno(), lambda: called.append("first"))
    readiness.add_reader(ours.fileno(), lambda: called.append("second"))
    theirs.send(b"a")
    await until(lambda: bool(called))
    assert set(called) == {"second"}
    readiness.remove(ours.fileno())


async def test_a_full_socket_is_reported_when_it_takes_more(readiness: Readiness, pair: Pair) -> None:
    ours, theirs = pair
    reading: list[int] = []
    writing: list[int] = []
    readiness.add_reader(ours.fileno(), lambda: reading.append(1))
    fill(ours)
    readiness.add_writer(ours.fileno(), lambda: writing.append(1))
    await turns()
    assert not writing
    theirs.settimeout(5)
    while not writing:
        theirs.recv(1 << 20)
        await asyncio.sleep(0)
    readiness.remove_writer(ours.fileno())
    count = len(writing)
    await turns()
    assert len(writing) == count
    assert not reading
    readiness.remove(ours.fileno())


async def test_a_reset_behind_data_is_reported(readiness: Readiness, pair: Pair) -> None:
    ours, theirs = pair
    ends: list[str] = []

    def take() -> None:
        try:
            ends.append("end" if not ours.recv(65536) else "data")
        except BlockingIOError:
            return
        except OSError:
            ends.append("reset")

    readiness.add_reader(ours.fileno(), take)
    theirs.send(b"data")
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    await until(lambda: bool({"end", "reset"} & set(ends)))
    readiness.remove(ours.fileno())


async def test_a_reset_is_reported_to_one_who_only_writes(readiness: Readiness, pair: Pair) -> None:
    ours, theirs = pair
    fill(ours)
    called: list[int] = []
    readiness.add_writer(ours.fileno(), lambda: called.append(1))
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    await until(lambda: bool(called))
    readiness.remove(ours.fileno())


async def test_epoll_is_open_while_a_socket_is_watched(pair: Pair) -> None:
    ours, theirs = pair
    readiness = EpollReadiness()
    asyncio.get_running_loop().add_reader(theirs.fileno(), lambda: None)  # what the loop itself opens for its first one
    before = descriptors()
    readiness.add_reader(ours.fileno(), lambda: None)
    readiness.add_writer(ours.fileno(), lambda: None)
    assert descriptors() == before + 1
    readiness.remove_reader(ours.fileno())
    readiness.remove_writer(ours.fileno())
    readiness.remove(ours.fileno())
    assert descriptors() == before
    asyncio.get_running_loop().remove_reader(theirs.fileno())


async def test_one_that_is_removed_by_another_in_the_same_turn_is_not_called() -> None:
    readiness = EpollReadiness()
    pairs = [socket.socketpair() for _ in range(2)]
    called: list[int] = []

    def remove_all() -> None:
        called.append(1)
        for ours, _ in pairs:
            readiness.remove(ours.fileno())

    for ours, theirs in pairs:
        readiness.add_reader(ours.fileno(), remove_all)
        theirs.send(b"a")
    await until(lambda: bool(called))
    await turns()
    assert called == [1]
    for sock in (sock for pair in pairs for sock in pair):
        sock.close()


async def test_a_callback_that_fails_is_reported_and_stops_no_other() -> None:
    readiness = EpollReadiness()
    pairs = [socket.socketpair() for _ in range(3)]
    read: list[int] = []
    reported: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(str(context["exception"])))

    def take(index: int) -> None:
        pairs[index][0].recv(1)
        if index == 1:
            raise ValueError("the middle one")
        read.append(index)

    for index, (ours, theirs) in enumerate(pairs):
        readiness.add_reader(ours.fileno(), lambda index=index: take(index))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        theirs.send(b"a")
    await until(lambda: len(read) == 2 and bool(reported))
    assert sorted(read) == [0, 2]
    assert reported == ["the middle one"]
    for ours, theirs in pairs:
        readiness.remove(ours.fileno())
        ours.close()
        theirs.close()


async def test_accepted_sockets_have_the_options_of_the_one_that_listens(start: Start) -> None:
    with socket.socket() as plain:
        set_options(plain)
        options = [(socket.IPPROTO_TCP, name) for name in (socket.TCP_NODELAY, socket.TCP_NOTSENT_LOWAT)]
        wanted = [plain.getsockopt(*option) for option in options]
    engine = await start()
    _, writer = await dial(engine, UPGRADE)
    await until(lambda: bool(engine.server.eio.shared.open))
    connection: object = next(iter(engine.server.eio.shared.open))
    sock = connection.sock  # type: ignore[attr-defined]  # it is one over a bare socket
    assert [sock.getsockopt(*option) for option in options] == wanted
    assert not sock.getblocking()
    writer.close()

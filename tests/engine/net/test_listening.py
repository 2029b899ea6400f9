"""Which of a name's addresses are listened on, and what is left open when one of them cannot be."""

import errno
import socket
from collections.abc import Iterator

import pytest

from pnl_backend.engine.net.listener import bind

NOT_OURS = (socket.AF_INET, ("192.0.2.1", 0))
"""An address that is reserved for documentation: no machine has it."""


def loopback(port: int = 0, host: str = "127.0.0.1") -> tuple[int, tuple[str, int]]:
    return socket.AF_INET, (host, port)


@pytest.fixture
def other() -> Iterator[int]:
    """A port of 127.0.0.2 that another program listens on, free on 127.0.0.1."""
    with socket.create_server(("127.0.0.2", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize("addresses", [[NOT_OURS, loopback()], [loopback(), NOT_OURS]])
def test_an_address_that_the_machine_has_not_is_left_out(addresses: list[tuple[int, tuple[str, int]]]) -> None:
    (sock,) = bind(addresses, 0)
    with sock:
        assert sock.getsockname()[0] == "127.0.0.1"
        socket.create_connection(sock.getsockname(), timeout=5).close()


def test_no_address_at_all_is_the_first_ones_error() -> None:
    with pytest.raises(OSError, match="assign requested address") as failed:
        bind([NOT_OURS, NOT_OURS], 0)
    assert failed.value.errno == errno.EADDRNOTAVAIL


def test_a_port_in_use_on_a_later_address_leaves_no_socket_open(other: int) -> None:
    with pytest.raises(OSError, match="in use") as failed:
        bind([loopback(other), loopback(other, "127.0.0.2")], other)
    assert failed.value.errno == errno.EADDRINUSE
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", other), timeout=5)


def test_a_free_port_is_the_same_on_every_address() -> None:
    first, second = bind([loopback(), loopback(host="127.0.0.2")], 0)
    with first, second:
        assert first.getsockname()[1] == second.getsockname()[1]


def test_a_free_port_that_is_in_use_on_a_later_address_is_exchanged_for_another(
    other: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = socket.create_server
    given = [other]  # the kernel's first choice

    def chosen(address: tuple[str, int], **options: object) -> socket.socket:
        host, port = address
        return create((host, given.pop() if port == 0 and given else port), **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "create_server", chosen)
    first, second = bind([loopback(), loopback(host="127.0.0.2")], 0)
    with first, second:
        assert first.getsockname()[1] == second.getsockname()[1] != other

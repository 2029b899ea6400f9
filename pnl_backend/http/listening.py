"""Texts about listening: the URL that a browser can open, and why the server cannot listen."""

from __future__ import annotations

import errno
import ipaddress
import socket

from pnl_backend.errors import StartError

_WHY = {
    errno.EADDRINUSE: "the port is in use: stop the program that has it, or set another PORT",
    errno.EADDRNOTAVAIL: "not an address of this machine: set HOST to one of its addresses, or to 0.0.0.0 for all",
    errno.EACCES: "not permitted: ports below 1024 need a privilege, set PORT to a higher one",
}


def url_of(host: str, port: int) -> str:
    """The URL, on this machine, of a server that listens on `host`."""
    return f"http://{_reachable(host)}:{port}"


def cannot_listen(host: str, port: int, error: OSError | UnicodeError) -> StartError:
    """The error with the reason why this address cannot be listened on, and the setting to change."""
    if isinstance(error, socket.gaierror | UnicodeError):
        why = "the name cannot be resolved: set HOST to an address, or to a name of this machine"
    else:
        why = _WHY.get(error.errno or 0) or error.strerror or str(error)
    return StartError(f"cannot listen on {f'[{host}]' if ':' in host else host}:{port}: {why}")


def _reachable(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 6:
        # What listens on all IPv6 addresses does not listen on 127.0.0.1, which localhost may mean.
        return "[::1]" if address.is_unspecified else f"[{host.replace('%', '%25')}]"
    return "localhost" if address.is_unspecified or host == "127.0.0.1" else host

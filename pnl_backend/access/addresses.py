"""The client's address: the connection's peer, or the one that trusted proxies name in `X-Forwarded-*`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LOCAL = "local"
"""The address of a client on a Unix socket, which has none."""
_WITH_PORT = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<v4>[0-9.]+))(?::[0-9]{1,5})?", re.ASCII)


class ClientAddresses:
    """Finds the client behind the proxies that are trusted (addresses or CIDR networks)."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self._networks = [ipaddress.ip_network(entry, strict=False) for entry in trusted]

    def resolve(self, remote: str, secure: bool, forwarded_for: str, forwarded_proto: str) -> tuple[str, bool]:
        """The client's address and whether its connection is TLS; `remote` and `secure` are those of the peer.

        Repeated headers are given joined by commas. The address is the rightmost hop of `X-Forwarded-For` that is not
        a trusted proxy. A hop may have a port and brackets; IPv4 written as IPv6 is IPv4.
        """
        if not self._networks:
            return _normal(remote), secure
        peer = parse(remote)
        if peer is None:
            return remote or LOCAL, secure
        if not self._covers(peer):
            return _text(peer), secure
        client = peer
        for hop in reversed(forwarded_for.split(",")):
            parsed = parse(hop.strip())
            if parsed is None:  # what is left of an unreadable hop was not written by a known proxy
                break
            client = parsed
            if not self._covers(parsed):
                break
        scheme = forwarded_proto.rpartition(",")[2].strip().lower()
        return _text(client), scheme == "https" if scheme else secure

    def is_trusted(self, address: str) -> bool:
        if not self._networks:
            return False
        parsed = parse(address)
        return parsed is not None and self._covers(parsed)

    def _covers(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


@lru_cache(maxsize=4096)
def parse(text: str) -> Address | None:
    """An address without port, brackets and the IPv4-in-IPv6 form; None for anything else."""
    if found := _WITH_PORT.fullmatch(text):
        text = found["v6"] or found["v4"]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@lru_cache(maxsize=4096)
def group(address: str) -> str:
    """The addresses that one client can use, by which limits count: one of IPv4, the /64 network of IPv6."""
    parsed = parse(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((parsed.packed, 64), strict=False))
    return address if parsed is None else str(parsed)


@lru_cache(maxsize=4096)
def _normal(peer: str) -> str:
    """The address of a peer that is not behind a proxy."""
    address = parse(peer)
    return peer or LOCAL if address is None else str(address)


@lru_cache(maxsize=4096)
def _text(address: Address) -> str:
    return str(address)

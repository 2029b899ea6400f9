"""Where a request really comes from: `X-Forwarded-*` is believed from trusted proxies only."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from aiohttp import web

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Peers:
    """Resolves the client's address behind the proxies that are trusted (addresses or CIDR networks)."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self._networks = [ipaddress.ip_network(entry, strict=False) for entry in trusted]

    def address(self, request: web.BaseRequest) -> str:
        """The rightmost hop that is not a trusted proxy; `local` for a Unix socket."""
        remote = request.remote or "local"
        if not self._networks or not self.is_trusted(remote):
            return remote
        client = remote
        hops = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
        for hop in reversed(hops):
            parsed = _parse(hop.strip())
            if parsed is None:  # whatever stands left of garbage was not written by a proxy we know
                break
            client = str(parsed)
            if not self._covers(parsed):
                break
        return client

    def is_secure(self, request: web.BaseRequest) -> bool:
        """Whether the client's own connection is TLS, as far as trusted proxies tell."""
        if request.secure:
            return True
        if not self._networks or not self.is_trusted(request.remote or "local"):
            return False
        return request.headers.get("X-Forwarded-Proto", "").split(",")[-1].strip().lower() == "https"

    def is_loopback(self, request: web.BaseRequest) -> bool:
        """Whether the request was made on this machine; a forwarded one only counts from a trusted proxy."""
        if not self.is_trusted(request.remote or "local") and "X-Forwarded-For" in request.headers:
            return False
        parsed = _parse(self.address(request))
        return parsed is not None and parsed.is_loopback

    def is_trusted(self, address: str) -> bool:
        parsed = _parse(address)
        return parsed is not None and self._covers(parsed)

    def _covers(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


@lru_cache(maxsize=4096)
def _parse(text: str) -> Address | None:
    """An address, without port, brackets and the IPv4-in-IPv6 form; None for anything else."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address

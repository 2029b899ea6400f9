"""Who makes an aiohttp request, by the rules of `access.addresses`."""

from __future__ import annotations

from aiohttp import web
from multidict import istr

from pnl_backend.access.addresses import ClientAddresses, parse

_FORWARDED_FOR = istr("X-Forwarded-For")
_FORWARDED_PROTO = istr("X-Forwarded-Proto")


def client_of(request: web.BaseRequest, addresses: ClientAddresses) -> tuple[str, bool]:
    """The client's address and whether its connection is TLS."""
    headers = request.headers
    # Most requests have neither header, and joining nothing twice for each of them is felt.
    forwarded_for = ",".join(headers.getall(_FORWARDED_FOR)) if _FORWARDED_FOR in headers else ""
    forwarded_proto = ",".join(headers.getall(_FORWARDED_PROTO)) if _FORWARDED_PROTO in headers else ""
    return addresses.resolve(request.remote or "", request.secure, forwarded_for, forwarded_proto)


def is_loopback(request: web.BaseRequest, addresses: ClientAddresses) -> bool:
    """Whether the client is on this machine; a forwarded request counts only from a trusted proxy."""
    if _FORWARDED_FOR in request.headers and not addresses.is_trusted(request.remote or ""):
        return False
    client = parse(client_of(request, addresses)[0])
    return client is not None and client.is_loopback

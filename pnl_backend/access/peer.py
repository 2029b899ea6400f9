"""Who makes an aiohttp request, by the rules of `access.addresses`."""

from __future__ import annotations

from aiohttp import web

from pnl_backend.access.addresses import ClientAddresses, parse


def client_of(request: web.BaseRequest, addresses: ClientAddresses) -> tuple[str, bool]:
    """The client's address and whether its connection is TLS."""
    headers = request.headers
    # Most requests have neither header, and joining nothing twice for each of them is felt.
    forwarded_for = ",".join(headers.getall("X-Forwarded-For")) if "X-Forwarded-For" in headers else ""
    forwarded_proto = ",".join(headers.getall("X-Forwarded-Proto")) if "X-Forwarded-Proto" in headers else ""
    return addresses.resolve(request.remote or "", request.secure, forwarded_for, forwarded_proto)


def is_loopback(request: web.BaseRequest, addresses: ClientAddresses) -> bool:
    """Whether the client is on this machine; a forwarded request counts only from a trusted proxy."""
    if "X-Forwarded-For" in request.headers and not addresses.is_trusted(request.remote or ""):
        return False
    client = parse(client_of(request, addresses)[0])
    return client is not None and client.is_loopback

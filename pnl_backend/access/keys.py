"""Keys: who may read, who may administer. Independent of transports: every feed uses the same object."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from pnl_backend.access.refusals import Forbidden, Unauthorized

Scope = Literal["read", "admin"]


class AdminRequired(Forbidden):
    """The key is good but does not open an admin route."""

    code = "admin_key_required"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a check allowed: the key's digest (never the key), empty where the server is open, and its scopes."""

    digest: bytes
    scopes: frozenset[Scope]


_ANYONE = Grant(b"", frozenset({"read"}))


class Keys:
    """The known keys as SHA-256 digests. An admin key reads too; several of each may overlap during a rotation.

    `open_read` lets everyone read while no read key is known: development on loopback. Admin routes are never open.
    """

    def __init__(self, *, read: Iterable[str] = (), admin: Iterable[str] = (), open_read: bool = False) -> None:
        self._open = open_read
        self._known, self._has_read = _digests(read, admin)
        self._watchers: list[Callable[[frozenset[bytes]], None]] = []

    @property
    def is_open(self) -> bool:
        """Whether reading needs no key."""
        return self._open and not self._has_read

    @property
    def has_admin(self) -> bool:
        return any("admin" in grant.scopes for grant in self._known.values())

    def check(self, key: str | None, *, scope: Scope = "read") -> Grant:
        """What the presented key opens; raises Unauthorized without one, Forbidden with a wrong one."""
        grant = self._identify(key)
        if scope in grant.scopes:
            return grant
        if not self.has_admin:
            raise AdminRequired("Admin routes are closed: no admin key is configured")
        if not key:
            raise Unauthorized("Missing API key")
        raise AdminRequired("Admin API key required")

    def knows(self, key: str) -> bool:
        """Whether the key is one of ours, whatever it allows."""
        presented = digest(key)
        return sum(hmac.compare_digest(known, presented) for known in self._known) > 0  # all compared, as in `check`

    def holds(self, grant: Grant) -> bool:
        """Whether a grant given earlier would be given again."""
        if not grant.digest:
            return self.is_open
        return _allowed(self._known, grant.digest) >= grant.scopes

    def replace(self, *, read: Iterable[str] = (), admin: Iterable[str] = ()) -> frozenset[bytes]:
        """Take a new set of keys; calls the watchers with, and returns, the digests that lost access."""
        before = self._known
        self._known, self._has_read = _digests(read, admin)
        revoked = frozenset(d for d, grant in before.items() if not _allowed(self._known, d) >= grant.scopes)
        for watcher in self._watchers:
            watcher(revoked)
        return revoked

    def watch(self, revoked: Callable[[frozenset[bytes]], None]) -> None:
        """Call back with the digests that each replacement revoked, to close what they opened."""
        self._watchers.append(revoked)

    def _identify(self, key: str | None) -> Grant:
        if not key:
            if self.is_open:
                return _ANYONE
            raise Unauthorized("Missing API key")
        presented = digest(key)
        found: Grant | None = None
        for known, grant in self._known.items():  # every key is compared, so that the time reveals nothing
            if hmac.compare_digest(known, presented):
                found = grant
        if found is not None:
            return found
        if self.is_open:
            return _ANYONE
        raise Forbidden("Invalid API key")


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def presented_key(headers: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    """The key of a request: `X-API-Key`, else `Authorization: Bearer`, else `?apiKey=`."""
    if key := headers.get("X-API-Key"):
        return key
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and (token := token.strip()):
        return token
    return query.get("apiKey") or None


def _digests(read: Iterable[str], admin: Iterable[str]) -> tuple[dict[bytes, Grant], bool]:
    """What each key allows, by its digest, and whether any read key is among them."""
    scopes: dict[bytes, frozenset[Scope]] = {digest(key): frozenset({"read"}) for key in read if key}
    has_read = bool(scopes)
    scopes.update({digest(key): frozenset({"read", "admin"}) for key in admin if key})
    return {known: Grant(known, allowed) for known, allowed in scopes.items()}, has_read


def _allowed(known: Mapping[bytes, Grant], digest: bytes) -> frozenset[Scope]:
    """The scopes of the key with this digest; none where it is not known."""
    grant = known.get(digest)
    return frozenset() if grant is None else grant.scopes

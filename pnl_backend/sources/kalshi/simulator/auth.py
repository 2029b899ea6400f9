"""Who may ask the simulated Kalshi: keys of accounts, signatures, the clock window and the request limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

from .signing import PublicKey, load_public_key, verify

_CLOCK_WINDOW = 5.0
_TOKENS_PER_REQUEST = 10.0


class Keys:
    """Public keys by id, each of one account; an account may have several."""

    def __init__(self) -> None:
        self._keys: dict[str, tuple[PublicKey, str]] = {}

    def admit(self, key_id: str, pem: str, user_id: str) -> None:
        """Accept signatures by this public key for an account."""
        self._keys[key_id] = (load_public_key(pem), user_id)

    def revoke(self, key_id: str) -> None:
        """Refuse a key from now on; ValueError if it is not known."""
        if self._keys.pop(key_id, None) is None:
            raise ValueError(f"no key {key_id!r}")

    def user_of(self, request: web.Request) -> str | None:
        """The account that the request's key is of; None without a known key."""
        _, user_id = self._keys.get(request.headers.get("KALSHI-ACCESS-KEY", ""), (None, None))
        return user_id

    def refusal(self, request: web.Request, now: float) -> web.Response | None:
        """The 401 for a request that is unsigned, wrongly signed or out of time; None if it may pass."""
        headers = request.headers
        stamp = headers.get("KALSHI-ACCESS-TIMESTAMP", "")
        signature = headers.get("KALSHI-ACCESS-SIGNATURE", "")
        key_id = headers.get("KALSHI-ACCESS-KEY", "")
        if not (key_id and stamp and signature):
            return _unauthorized("signature_is_missing_from_headers", "missing authentication headers")
        try:
            at = int(stamp) / 1000
        except ValueError:
            return _unauthorized("header_timestamp_expired", "timestamp is not in milliseconds")
        if abs(now - at) > _CLOCK_WINDOW:
            return _unauthorized("header_timestamp_expired", "timestamp is outside the accepted window")
        if key_id not in self._keys:
            return _unauthorized("authentication_error", "authentication failed", "NOT_FOUND")
        # The path alone is signed, as it was sent; the query string is not.
        path = request.raw_path.partition("?")[0]
        if not verify(self._keys[key_id][0], signature, f"{stamp}{request.method}{path}"):
            return _unauthorized("authentication_error", "authentication failed", "INCORRECT_API_KEY_SIGNATURE")
        return None


class TokenBucket:
    """Tokens that come back with time; a request takes ten and a second's worth may be saved up."""

    def __init__(self, per_second: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._left = per_second or 0.0
        self._clock = clock
        self._at = clock()

    def take(self) -> bool:
        if self._per_second is None:
            return True
        now = self._clock()
        self._left = min(self._per_second, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < _TOKENS_PER_REQUEST:
            return False
        self._left -= _TOKENS_PER_REQUEST
        return True


def kalshi_error(status: int, retry_after: float | None) -> web.Response:
    """An error in one of Kalshi's shapes: nested for what it calls its own, flat for 503, bare for the rest."""
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    body: dict[str, Any]
    if status == 429:
        body = {"error": "too many requests"}
    elif status in (401, 403, 404):
        codes = {401: "authentication_error", 403: "permission_denied", 404: "not_found"}
        code = codes[status]
        body = {"error": {"code": code, "message": code.replace("_", " "), "service": "gateway"}}
    elif status == 503:
        body = {"code": "service_unavailable", "message": "service unavailable", "details": "maintenance"}
    else:
        body = {"msg": "internal server error" if status >= 500 else "bad request"}
    return web.json_response(body, status=status, headers=headers)


def _unauthorized(code: str, message: str, details: str = "") -> web.Response:
    error = {"code": code, "message": message, "service": "gateway"}
    if details:
        error["details"] = details
    return web.json_response({"error": error}, status=401)

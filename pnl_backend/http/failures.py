"""Converts an exception into the failure response, and logs it once with the id that the client gets."""

from __future__ import annotations

import traceback
from collections import Counter
from http import HTTPStatus

from aiohttp import web
from loguru import logger

from pnl_backend.access.refusals import RateLimited
from pnl_backend.errors import PnLError
from pnl_backend.http.envelope import failure, refusal
from pnl_backend.wire.answers import ErrorDetail
from pnl_backend.wire.message import UNSET, UnsetType

_RETRY_SECONDS = "5"
_MAX_KINDS = 1000


class Failures:
    """Converts exceptions into responses. In production a 5xx has no detail beyond its status."""

    def __init__(self, *, production: bool) -> None:
        self._production = production
        self._seen: Counter[str] = Counter()

    def answer(self, error: Exception, *, request_id: str, now_ms: int) -> web.StreamResponse:
        if isinstance(error, web.HTTPException):
            return self._http(error, request_id, now_ms)
        status = error.status if isinstance(error, PnLError) else 500
        code = error.code if isinstance(error, PnLError) else PnLError.code
        retry_after: int | UnsetType = UNSET
        stack: str | UnsetType = UNSET
        headers: dict[str, str] = {}
        if isinstance(error, RateLimited):
            retry_after = error.retry_after
            headers["Retry-After"] = str(retry_after)
        message = str(error)
        if status >= 500:
            self.log(error, request_id)
            if status == 503:
                headers["Retry-After"] = _RETRY_SECONDS
            if self._production:
                message = HTTPStatus(status).phrase
            else:
                message = message or type(error).__name__
                stack = "".join(traceback.format_exception(error))
        elif status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        detail = ErrorDetail(message, code, request_id, retry_after, stack)
        response = failure(status, detail, now_ms=now_ms, headers=headers)
        if status in {408, 413}:  # the rest of the body is not read
            response.force_close()
        return response

    def _http(self, error: web.HTTPException, request_id: str, now_ms: int) -> web.StreamResponse:
        """The framework's own errors: no route, a wrong method, a refused preflight."""
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return refusal(error.status, request_id=request_id, now_ms=now_ms, headers=headers)

    def log(self, error: Exception, request_id: str) -> None:
        """Log the first error of a kind with its traceback, the next ones with their count."""
        frame = traceback.extract_tb(error.__traceback__)[-1:]
        kind = f"{type(error).__name__} at {frame[0].filename}:{frame[0].lineno}" if frame else type(error).__name__
        if len(self._seen) >= _MAX_KINDS:
            self._seen.clear()
        self._seen[kind] += 1
        count = self._seen[kind]
        if count == 1:
            logger.opt(exception=error).error("Request {} failed: {}", request_id, kind)
        else:
            logger.error("Request {} failed again ({} times so far): {}", request_id, count, kind)

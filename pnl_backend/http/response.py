"""A response with a complete body, whose head is made of prepared text instead of single header fields."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter

_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_POST})
_BODYLESS = frozenset({204, 304})


class CompleteResponse(web.StreamResponse):
    """A response of some bytes.

    `common_fields` are the header lines, each with its CRLF, that the middleware adds to every response; None leaves
    them to the application's `on_response_prepare` signal. Where request and response are ordinary, the head consists
    of them and of what this class adds. Everything else is left to a `web.Response`: HEAD, HTTP/1.0, the last response
    of a connection, requests with an `Origin`, and responses that have headers of their own.
    """

    def __init__(self, body: bytes, *, content_type: str, status: int = 200) -> None:
        super().__init__(status=status)
        self.body = body
        self.common_fields: str | None = None
        self._type = content_type
        self._is_last = False
        self._writer: AbstractStreamWriter | None = None
        self._general: web.Response | None = None

    @property
    def prepared(self) -> bool:
        return self._writer is not None or self._general is not None

    @property
    def keep_alive(self) -> bool | None:
        if self._general is not None:
            return self._general.keep_alive
        return not self._is_last

    def force_close(self) -> None:
        self._is_last = True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        if self._general is None and (self._writer is not None or self._is_ordinary(request)):
            self._writer = request.writer
            return self._writer
        if self._general is None:
            headers = {hdrs.CONTENT_TYPE: self._type, **self.headers}
            self._general = web.Response(body=self.body, status=self.status, headers=headers)
            if self._is_last:
                self._general.force_close()
        return await self._general.prepare(request)

    async def write_eof(self, data: bytes = b"") -> None:
        if self._general is not None:
            await self._general.write_eof(data)
            return
        if self._writer is None:
            raise RuntimeError("prepare the response first")
        start = _head_start(self.status, self.reason, self._type)
        head = f"{start}{len(self.body)}\r\nDate: {_http_date(int(time.time()))}\r\n{self.common_fields}\r\n"
        await self._writer.write_eof(head.encode() + self.body)

    def _is_ordinary(self, request: web.BaseRequest) -> bool:
        status = self.status
        return (
            self.common_fields is not None
            and not self._is_last
            and request.method in _METHODS
            and request.keep_alive
            and request.version == HttpVersion11
            and hdrs.ORIGIN not in request.headers
            and status >= 200
            and status not in _BODYLESS
            and not self.headers
        )


@lru_cache(maxsize=64)
def _head_start(status: int, reason: str, content_type: str) -> str:
    return f"HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: "


@lru_cache(maxsize=1)
def _http_date(second: int) -> str:
    return formatdate(second, usegmt=True)

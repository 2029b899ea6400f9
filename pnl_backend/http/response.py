"""A response with its whole body, whose head is joined from prepared text instead of being built field by field."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from typing import cast

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter

_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_POST})
_BODYLESS = frozenset({204, 304})


class CompleteResponse(web.Response):
    """A `web.Response` of some bytes.

    `common_fields` are the header lines, each with its CRLF, that the middleware adds to every response; None leaves
    them to the application's `on_response_prepare` signal. Where request and response are ordinary, the head consists
    of them and of what this class adds. Everything else aiohttp writes as usual: HEAD, HTTP/1.0, the last response of
    a connection, requests with an `Origin`, and responses that have more headers of their own than the type.
    """

    common_fields: str | None = None
    _prepared: AbstractStreamWriter | None = None
    _is_last = False

    def __init__(self, body: bytes, *, content_type: str, status: int = 200) -> None:
        super().__init__(body=body, status=status, content_type=content_type)

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return len(cast(bytes, self.body))

    @property
    def prepared(self) -> bool:
        return self._prepared is not None or super().prepared

    @property
    def keep_alive(self) -> bool | None:
        return super().keep_alive if self._prepared is None else True

    def force_close(self) -> None:
        self._is_last = True
        super().force_close()

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        if self._prepared is None:
            if not self._is_ordinary(request):
                return await super().prepare(request)
            self._prepared = request.writer
        return self._prepared

    async def write_eof(self, data: bytes = b"") -> None:
        if self._prepared is None:
            await super().write_eof(data)
            return
        body = cast(bytes, self.body)
        start = _head_start(self.status, self.reason, self.headers[hdrs.CONTENT_TYPE])
        head = f"{start}{len(body)}\r\nDate: {_http_date(int(time.time()))}\r\n{self.common_fields}\r\n"
        await self._prepared.write_eof(head.encode() + body)

    def _is_ordinary(self, request: web.BaseRequest) -> bool:
        status, headers = self.status, self.headers
        return (
            self.common_fields is not None
            and not self._is_last
            and request.method in _METHODS
            and request.keep_alive
            and request.version == HttpVersion11
            and hdrs.ORIGIN not in request.headers
            and status >= 200
            and status not in _BODYLESS
            and len(headers) == 1
            and hdrs.CONTENT_TYPE in headers
        )


@lru_cache(maxsize=64)
def _head_start(status: int, reason: str, content_type: str) -> str:
    return f"HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: "


@lru_cache(maxsize=1)
def _http_date(second: int) -> str:
    return formatdate(second, usegmt=True)

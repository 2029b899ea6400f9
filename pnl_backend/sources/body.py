"""An upstream's body as text, read within a bound: however it was compressed and whatever characters it holds."""

from __future__ import annotations

import codecs
import json
from collections.abc import AsyncIterator

MAX_BODY = 8 * 1024 * 1024
TEXT_PER_BODY = 1.5
"""Characters of escaped text for each byte of the cap; with what aiohttp has decompressed ahead it stays below two."""

STEP = 32 * 1024
"""Bytes that are decoded at once: what a decompressor answers at once may be far more."""


class BodyTooLarge(Exception):
    """The body is longer than its cap."""


async def read_text(pieces: AsyncIterator[bytes], max_body: int) -> str | None:
    """The body as ASCII text of JSON, other characters as `\\u` escapes; None for what is not UTF-8.

    Takes at most twice `max_body` (bytes after decompression): one character beyond the first 65,536 in a string of
    Python makes every character of it four bytes wide, so nothing but ASCII is collected.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    text = ""
    read = 0
    try:
        async for piece in pieces:
            read += len(piece)
            if read > max_body:
                raise BodyTooLarge
            for start in range(0, len(piece), STEP):
                # Grows in place; a buffer's value would be a copy of all of it.
                text += _ascii(decoder.decode(piece[start : start + STEP]))
                if len(text) > TEXT_PER_BODY * max_body:
                    raise BodyTooLarge
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return None
    return text


def _ascii(text: str) -> str:
    return text if text.isascii() else text.encode("ascii", _ESCAPED).decode("ascii")


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


_ESCAPED = "pnl_backend.json_escape"
codecs.register_error(_ESCAPED, _escape)

"""JSON that is held for long, in as much memory as it is long."""

from __future__ import annotations

import orjson


def kept_json(value: object) -> bytes:
    """`value` as JSON, in a copy of its own size.

    orjson writes into a buffer of 1, 4, 8, 16... KiB and returns it whole: 1.2 KB of JSON would hold 8 KiB.
    """
    return b"".join((orjson.dumps(value), b""))

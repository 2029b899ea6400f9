"""Marks of snapshots that a version without marks has stored: read from their payloads."""

from __future__ import annotations

import msgspec

from pnl_backend.domain.record import Marks
from pnl_backend.ledger.sql.connection import Connection
from pnl_backend.ledger.sql.marking import number_of

_UNCONFIGURED = "is not configured"
"""Part of the error of a source without settings, in every version that stored snapshots without marks."""


def mark_older(connection: Connection, after: int, upto: int) -> None:
    """Mark the snapshots of `after` < seq <= `upto` by their payloads."""
    numbers: dict[Marks, int] = {}
    found: list[tuple[int, int]] = []
    for seq, data in connection.execute(_PAYLOADS, (after, upto)).fetchall():
        marks = _read(data)
        if marks is not None:
            if marks not in numbers:
                numbers[marks] = number_of(connection, marks)
            found.append((numbers[marks], seq))
    connection.executemany("UPDATE snapshots SET marks = ? WHERE seq = ?", found)


def minutes_to_count_again(connection: Connection, after: int, upto: int) -> list[int]:
    """The minutes (ms) that were rolled up without marks and hold, within these numbers, any but plain ones.

    A snapshot is plain if it is complete, live and without an estimate. A minute of which snapshots were deleted since
    is left out.
    """
    return [minute for (minute,) in connection.execute(_MINUTES_TO_COUNT, (after, upto))]


class _State(msgspec.Struct, gc=False):
    status: str
    error: str | None = None
    estimated: bool = False


class _Payload(msgspec.Struct, gc=False):
    sources: dict[str, _State]


_DECODER = msgspec.json.Decoder(_Payload)


def _read(data: bytes) -> Marks | None:
    """The marks of a snapshot as a version without marks stored it; None if it does not say."""
    try:
        sources = _DECODER.decode(data).sources
    except msgspec.MsgspecError:
        return None
    missing = [name for name, state in sources.items() if state.status == "degraded"]
    return Marks(
        complete=all(_UNCONFIGURED in (sources[name].error or "") for name in missing),
        whole=tuple(sorted(sources.keys() - set(missing))),
        not_live=tuple(sorted(name for name, state in sources.items() if state.status != "live")),
        estimated=any(state.estimated for state in sources.values()),
    )


_PAYLOADS = (
    "SELECT s.seq, p.data FROM snapshots AS s JOIN payloads AS p USING (seq)"
    " WHERE s.seq > ? AND s.seq <= ? AND s.seq > 0"
)
_MINUTES_TO_COUNT = """
SELECT r.start
FROM (
    SELECT DISTINCT s.at - s.at % 60000 AS start
    FROM snapshots AS s LEFT JOIN marks AS m ON m.id = s.marks
    WHERE s.seq > ? AND s.seq <= ? AND s.seq > 0 AND (m.complete, m.not_live, m.estimated) IS NOT (1, '', 0)
) AS t JOIN rollups AS r ON r.span = 60000 AND r.start = t.start
WHERE r.first_seq > 0
  AND r.count = (SELECT count(*) FROM snapshots WHERE at >= r.start AND at < r.start + 60000 AND seq > 0)
"""

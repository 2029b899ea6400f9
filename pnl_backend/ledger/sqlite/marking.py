"""The marks of snapshots on disk: each combination is one row of `marks`, which snapshots refer to by its number.

Sets of names are text: sorted, parted by commas, so that equal sets are equal texts and an empty one takes no space.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from pnl_backend.domain.record import Marks, Restatement

TABLES = """
-- What to know of a snapshot's figures; each combination stands here once. Names are sorted and parted by commas.
CREATE TABLE marks (
    id INTEGER PRIMARY KEY, complete INTEGER NOT NULL, whole TEXT NOT NULL, not_live TEXT NOT NULL,
    estimated INTEGER NOT NULL, UNIQUE (complete, whole, not_live, estimated)
) STRICT;

-- 0 is no row of `marks`: an imported snapshot, or one whose payload is not read yet.
ALTER TABLE snapshots ADD COLUMN marks INTEGER NOT NULL DEFAULT 0;

-- An interval with any complete snapshot consists of these; `complete` says whether it does.
ALTER TABLE rollups ADD COLUMN complete INTEGER NOT NULL DEFAULT 1;
ALTER TABLE rollups ADD COLUMN not_live TEXT NOT NULL DEFAULT '';
ALTER TABLE rollups ADD COLUMN estimated INTEGER NOT NULL DEFAULT 0;
UPDATE rollups SET complete = 0 WHERE first_seq < 0;

-- Snapshots up to `to_seq` stay as they were published, and nothing is compared with them.
CREATE TABLE restatements (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, source TEXT NOT NULL, reason TEXT NOT NULL, to_seq INTEGER NOT NULL
) STRICT;

-- Marked in batches after this, from the payloads, up to the sequence number that stands here.
INSERT INTO meta VALUES ('marked', '0');
"""

NO_ROW = 0
"""What stands in `snapshots.marks` of a snapshot that has none: an imported one, or one whose payload says nothing."""
UNKNOWN = Marks(complete=False)
"""What that means: nothing is compared with such a snapshot."""

_UNCONFIGURED = "is not configured"
"""Part of the error of a source without settings, in every version that stored snapshots without marks."""


def text_of(names: Iterable[str]) -> str:
    """A set of names as it is stored."""
    return ",".join(sorted(names))


def names_of(text: str) -> tuple[str, ...]:
    """The names of a stored set."""
    return tuple(text.split(",")) if text else ()


def union(one: str, other: str) -> str:
    """Both stored sets as one."""
    if one == other or not other:
        return one
    return text_of({*names_of(one), *names_of(other)}) if one else other


def register(connection: sqlite3.Connection) -> None:
    """Make `union` a function of SQL on this connection."""
    connection.create_function("names_union", 2, union, deterministic=True)


def number_of(connection: sqlite3.Connection, marks: Marks) -> int:
    """The number of these marks, stored if they are new; within a transaction."""
    row = (int(marks.complete), text_of(marks.whole), text_of(marks.not_live), int(marks.estimated))
    connection.execute(_ADD, row)
    (number,) = connection.execute(_FIND, row).fetchone()
    return int(number)


def marks_of(complete: int | None, whole: str, not_live: str, estimated: int) -> Marks:
    """The columns of a row of `marks`; with None there is no row."""
    if complete is None:
        return UNKNOWN
    return Marks(bool(complete), names_of(whole), names_of(not_live), bool(estimated))


def restate(connection: sqlite3.Connection, restatement: Restatement) -> None:
    """Store that the snapshots so far are no baselines any more."""
    row = (restatement.at, restatement.source, restatement.reason, restatement.to_seq)
    connection.execute("INSERT INTO restatements (at, source, reason, to_seq) VALUES (?, ?, ?, ?)", row)


def restatements(connection: sqlite3.Connection) -> tuple[Restatement, ...]:
    """All restatements that the file holds, oldest first."""
    rows = connection.execute("SELECT at, source, reason, to_seq FROM restatements ORDER BY id").fetchall()
    return tuple(Restatement(*row) for row in rows)


def keep(connection: sqlite3.Connection, known: Iterable[Restatement]) -> None:
    """Store those of the known restatements that the file lacks: it may be a new one in place of theirs."""
    held = restatements(connection)
    for restatement in known:
        if restatement not in held:
            restate(connection, restatement)


def mark_older(connection: sqlite3.Connection, after: int, upto: int) -> None:
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


def minutes_to_count_again(connection: sqlite3.Connection, after: int, upto: int) -> list[int]:
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


_ADD = "INSERT OR IGNORE INTO marks (complete, whole, not_live, estimated) VALUES (?, ?, ?, ?)"
_FIND = "SELECT id FROM marks WHERE (complete, whole, not_live, estimated) = (?, ?, ?, ?)"
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

"""The marks of snapshots as they are stored: each combination is a row of `marks`, which snapshots refer to by number.

Sets of names are text: sorted, parted by commas, so that equal sets are equal texts and an empty one takes no space.
"""

from __future__ import annotations

from collections.abc import Iterable

from pnl_backend.domain.record import Marks, Restatement
from pnl_backend.ledger.sql.connection import Connection

NO_ROW = 0
"""What stands in `snapshots.marks` of a snapshot without a row of marks, an imported one for example."""
UNKNOWN = Marks(complete=False)
"""Of such a snapshot: nothing is compared with it."""


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


def number_of(connection: Connection, marks: Marks) -> int:
    """The number of these marks, stored if they are new; within a transaction."""
    row = (int(marks.complete), text_of(marks.whole), text_of(marks.not_live), int(marks.estimated))
    held = connection.execute(_FIND, row).fetchone() or connection.execute(_ADD, row).fetchone()
    return int(held[0])


def marks_of(complete: int | None, whole: str, not_live: str, estimated: int) -> Marks:
    """The columns of a row of `marks`; with None there is no row."""
    if complete is None:
        return UNKNOWN
    return Marks(bool(complete), names_of(whole), names_of(not_live), bool(estimated))


def restate(connection: Connection, restatement: Restatement) -> None:
    """Store that the snapshots so far are no baselines any more."""
    row = (restatement.at, restatement.source, restatement.reason, restatement.to_seq)
    connection.execute("INSERT INTO restatements (at, source, reason, to_seq) VALUES (?, ?, ?, ?)", row)


def restatements(connection: Connection) -> tuple[Restatement, ...]:
    """All restatements that the file holds, oldest first."""
    rows = connection.execute("SELECT at, source, reason, to_seq FROM restatements ORDER BY id").fetchall()
    return tuple(Restatement(*row) for row in rows)


def keep(connection: Connection, known: Iterable[Restatement]) -> None:
    """Store those of the known restatements that the file lacks: it may be a new one in place of theirs."""
    held = restatements(connection)
    for restatement in known:
        if restatement not in held:
            restate(connection, restatement)


_ADD = "INSERT INTO marks (complete, whole, not_live, estimated) VALUES (?, ?, ?, ?) RETURNING id"
_FIND = "SELECT id FROM marks WHERE (complete, whole, not_live, estimated) = (?, ?, ?, ?)"

"""What shared SQL code uses of a database: a connection within a transaction, and queries of readers.

`sqlite3.Connection` is such a connection as it is; `ledger.postgres` has an adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar, runtime_checkable

T = TypeVar("T")
Row = tuple[Any, ...]
Shape = Callable[[Any, Row], T]
"""Makes a row of the result, on the reader's thread; its first argument is not used."""
Progress = Callable[[str, int, int], None]
"""Called during long work: what is being done, how much is done, how much there is."""


class Cursor(Protocol):
    """The result of a statement."""

    @property
    def rowcount(self) -> int: ...

    @property
    def description(self) -> Any: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


@runtime_checkable
class Batches(Protocol):
    """A connection on which many rows take fewer round trips than one statement each."""

    def rowcounts(self, sql: str, rows: Iterable[Sequence[Any]], /) -> list[int]: ...


class Connection(Protocol):
    """A connection on the thread that writes; statements outside of a transaction are committed at once."""

    @property
    def in_transaction(self) -> bool: ...

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Cursor: ...

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Cursor: ...


Work = Callable[[Connection], T]


class Reads(Protocol):
    """Runs queries."""

    async def read(
        self, sql: str, parameters: tuple[object, ...] = (), *, shape: Shape[Any] | None = None
    ) -> list[Any]:
        """Rows of one query, as tuples or as `shape` makes them; StoreError when the ledger cannot be read."""
        ...


class Database(Reads, Protocol):
    """One ledger: queries, and one transaction at a time."""

    async def open(self, *, tolerant: bool = False) -> None:
        """StoreError says why the ledger cannot be opened; with `tolerant` not for a cause that may end by itself."""
        ...

    async def write(self, work: Work[T], stored: Callable[[], None] = ...) -> T:
        """Run `work` in one transaction on the writer's thread; it is durable when this returns.

        `stored` runs on that thread after the commit. A cancelled caller waits until the transaction has ended.
        StoreError means that the transaction was rolled back, or that its commit is not confirmed.
        """
        ...

    async def close(self) -> None: ...


def nothing() -> None:
    """Default of `stored`."""


def rowcounts(connection: Connection, sql: str, rows: Iterable[Sequence[Any]]) -> list[int]:
    """How many rows the statement changed for each of `rows`."""
    if isinstance(connection, Batches):
        return connection.rowcounts(sql, rows)
    return [connection.execute(sql, row).rowcount for row in rows]


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """One transaction; it is rolled back if the block raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise

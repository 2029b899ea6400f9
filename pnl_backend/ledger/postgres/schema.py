"""The ledger's schema in PostgreSQL: created in an empty database, brought up to date, refused in a foreign one."""

from __future__ import annotations

from importlib.resources import files

from psycopg.errors import UndefinedTable

from pnl_backend.errors import StoreError
from pnl_backend.ledger.postgres.adapter import Raw, slow_statements
from pnl_backend.ledger.sql.connection import Progress

BASE = 15
"""The schema that `schema.sql` makes; the numbers are those of SQLite's steps."""

MIGRATIONS: tuple[str, ...] = ()
"""Each step after it runs in one transaction with its number; a step is added at the same time as SQLite's."""

VERSION = BASE + len(MIGRATIONS)
APPLICATION = "pnl-backend"

SHARED_KEY, SCHEMA_KEY = 0x506E4C31, 0x506E4C32
"""Names of advisory locks: of those who write a ledger, and of who changes its schema."""

_HELD = "SELECT key, value FROM meta WHERE key IN ('application', 'schema')"
_TABLES = (
    "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v')"
)


def version_of(raw: Raw, name: str) -> int:
    """The schema of a ledger, 0 for an empty database; StoreError for what is not ours or newer."""
    try:
        held: dict[str, str] = dict(raw.execute(_HELD).fetchall())
    except UndefinedTable:
        held = {}
    if held.get("application") != APPLICATION:
        (tables,) = raw.execute(_TABLES).fetchone() or (0,)
        if tables:
            raise StoreError(f"{name} holds tables of another program: set DATABASE_URL to a database of its own")
        return 0
    version = int(held["schema"])
    if version > VERSION:
        raise StoreError(
            f"{name} was made by a newer version (schema {version}, this one knows {VERSION}): update the server"
        )
    return version


def migrate(raw: Raw, name: str, progress: Progress) -> None:
    """Create the schema, or bring it up to date, one transaction a step."""
    if version_of(raw, name) == VERSION:
        return
    raw.execute(f"SELECT pg_advisory_lock({SCHEMA_KEY}, hashtext(current_schema()))", prepare=False)
    try:
        version = version_of(raw, name)
        if version == 0:
            with raw.transaction():
                slow_statements(raw)
                for script in ("schema.sql", "views.sql"):
                    raw.execute(_script(script), prepare=False)
                raw.execute("INSERT INTO meta VALUES ('application', $1), ('schema', $2)", (APPLICATION, str(BASE)))
            version = BASE
        for number, step in enumerate(MIGRATIONS[version - BASE :], start=version + 1):
            with raw.transaction():
                slow_statements(raw)
                raw.execute(step.encode(), prepare=False)
                raw.execute("UPDATE meta SET value = $1 WHERE key = 'schema'", (str(number),))
            progress("Migrating the ledger", number - BASE, len(MIGRATIONS))
    finally:
        raw.execute(f"SELECT pg_advisory_unlock({SCHEMA_KEY}, hashtext(current_schema()))", prepare=False)


def _script(name: str) -> bytes:
    return files(__package__).joinpath(name).read_bytes()

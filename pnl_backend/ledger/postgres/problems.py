"""PostgreSQL's errors in plain words: what is wrong with the ledger, and what to do about it, without a password."""

from __future__ import annotations

import psycopg

from pnl_backend.errors import StoreError

_WORDS: dict[str, str] = {
    "28": "{name} refuses the user or the password of DATABASE_URL",
    "3D000": "{name} does not exist: create the database",
    "42501": "{name} does not permit this user to write or create the ledger's tables: grant it the rights",
    "42P01": "{name} holds no ledger yet",
    "53100": "the disk of {name} is full: free some space",
    "53200": "{name} is out of memory",
    "53300": "{name} has too many connections: raise max_connections, or end some",
    "25006": "{name} is read-only: a standby, or default_transaction_read_only is on",
    "57014": "{name} took too long to answer and was stopped",
    "55P03": "another session holds a lock in {name}: end it or wait for it",
    "57P01": "{name} has closed the connection: it is shutting down, or an administrator ended the session",
    "57P02": "{name} has closed the connection: it has crashed and is starting again",
    "57P03": "{name} is starting or shutting down",
    "57P05": "{name} has closed an idle connection",
    "25P03": "{name} has ended a transaction that rested too long",
    "58": "reading or writing the files of {name} failed: a full or a failing disk",
    "XX": "{name} reports an internal error ({code}): look at its log",
    "08": "the connection to {name} was lost",
}
_TEXTS: tuple[tuple[str, str, str], ...] = (
    ("connection refused", "08001", "{name} cannot be reached: nothing listens there (connection refused)"),
    ("could not translate host name", "08001", "{name} cannot be reached: its host name is unknown"),
    ("name or service not known", "08001", "{name} cannot be reached: its host name is unknown"),
    ("failed to resolve host", "08001", "{name} cannot be reached: its host name is unknown"),
    ("no route to host", "08001", "{name} cannot be reached: there is no route to it"),
    ("network is unreachable", "08001", "{name} cannot be reached: there is no route to it"),
    ("timeout expired", "08001", "{name} cannot be reached: no answer in time"),
    ("no such file", "08001", "{name} cannot be reached: there is no such socket"),
    ("password authentication failed", "28P01", _WORDS["28"]),
    ("no password supplied", "28P01", _WORDS["28"]),
    ("no pg_hba.conf entry", "28000", "{name} does not let this host or user in: look at its pg_hba.conf"),
    ("too many clients", "53300", _WORDS["53300"]),
    ("too many connections", "53300", _WORDS["53300"]),
    ("remaining connection slots", "53300", _WORDS["53300"]),
    ("does not exist", "3D000", "{name} or its user does not exist: create them"),
    ("starting up", "57P03", _WORDS["57P03"]),
    ("shutting down", "57P03", _WORDS["57P03"]),
    ("in recovery mode", "57P03", _WORDS["57P03"]),
    ("ssl", "08001", "{name} does not accept this kind of connection: look at sslmode and the certificates"),
)
_LASTING = ("28", "3D", "42")
"""Classes of errors that do not end by themselves."""


def code_of(error: psycopg.Error) -> str:
    """The SQLSTATE; of a failure to connect, which has none, what its text says."""
    if error.sqlstate:
        return error.sqlstate
    return next((code for text, code, _ in _TEXTS if text in str(error).lower()), "08006")


def describe(error: psycopg.Error | OSError, name: str) -> StoreError:
    """The StoreError that tells a person what `error` means for the ledger in the database `name`."""
    if isinstance(error, OSError):
        return StoreError(f"{name}: {(error.strerror or str(error)).lower()}")
    code = code_of(error)
    if error.sqlstate is None:
        for text, _, words in _TEXTS:
            if text in str(error).lower():
                return StoreError(words.format(name=name, code=code))
    for prefix, words in _WORDS.items():
        if code.startswith(prefix):
            return StoreError(words.format(name=name, code=code))
    first = (error.diag.message_primary or str(error)).splitlines() or [""]
    return StoreError(f"{name}: {first[0]} ({code})")


def is_lost(error: psycopg.Error | OSError) -> bool:
    """Whether the connection that raised `error` cannot go on."""
    return isinstance(error, OSError) or code_of(error).startswith(("08", "57P", "58", "XX", "25P03"))


def may_pass(failure: StoreError) -> bool:
    """Whether the reason why a ledger could not be opened may end by itself."""
    cause = failure.__cause__
    return isinstance(cause, OSError) or (isinstance(cause, psycopg.Error) and not code_of(cause).startswith(_LASTING))

"""Adopts the account that the settings name now: the ledger's facts of a source are taken as that account's."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from pnl_backend.assembly.guards import Source
from pnl_backend.domain.accounts import Account, Evidence
from pnl_backend.errors import AccountChanged
from pnl_backend.ledger.protocol import Ledger
from pnl_backend.sources.account import Recognise
from pnl_backend.sources.source_type import Setup


class _Answered(Exception):
    """Ends a fetch as soon as it is known who answers."""


class _Witness:
    """The identity of a fetcher that is to say who answers, and which facts of the ledger that account knows."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self.account: str | None = None
        self.known: Sequence[str] = ()

    async def confirm(self, account: str | None = None, recognise: Recognise | None = None) -> None:
        self.account = account
        if self._evidence and recognise is not None:
            self.known = await recognise(self._evidence)
        raise _Answered


async def adopt(store: Ledger, source: Source, setup: Setup, *, force: bool) -> str:
    """Have the ledger hold the account that answers now; returns what was done, in a sentence.

    AccountChanged if that account knows none of the ledger's facts; with `force` these facts are set aside then. The
    upstream is asked once: FetchError if it does not answer.
    """
    name, label = source.name, source.type.label
    held = await store.accounts.account(name)
    witness = _Witness(await store.accounts.evidence(name))
    with suppress(_Answered):
        fetched = await source.build(replace(setup, identity=witness)).fetch()
        witness.account = fetched.account
    same = held is not None and held.id is not None and held.id == witness.account
    known = [f"its id {witness.account}"] if same else witness.known
    account = Account(source.host, witness.account, witness.account or (held.name if held else secrets.token_hex(8)))
    if known:
        await store.accounts.note_account(name, account)
        return f"{label}: the account at {source.host} is the ledger's from now on; it knows {_some(known)}"
    if not force:
        raise AccountChanged(
            f"{label}: nothing was adopted, because the account at {source.host} has none of the facts that the"
            " ledger holds. With --force it is taken all the same: all facts of the former account are set aside (table"
            " set_aside) and count no more, and what was published stays as it is"
        )
    moved = await store.accounts.replace_account(name, replace(account, name=witness.account or secrets.token_hex(8)))
    return (
        f"{label}: the account at {source.host} is the ledger's from now on; {moved} facts of the former are set aside"
    )


def _some(known: Sequence[str]) -> str:
    return known[0] if len(known) == 1 else f"{known[0]} and {len(known) - 1} more"

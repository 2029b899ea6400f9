"""Decides whether the account that answers is the one whose facts the ledger holds, before anything of it is used."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from pnl_backend.domain.accounts import Account, Evidence
from pnl_backend.domain.readings import Fetched, SourceName, Value
from pnl_backend.errors import AccountChanged, FetchError, StoreError
from pnl_backend.sources.account import Recognise


class Accounts(Protocol):
    """The accounts that the ledger's facts are of; each method raises StoreError."""

    async def account(self, source: SourceName) -> Account | None: ...

    async def evidence(self, source: SourceName) -> Evidence: ...

    async def note_account(self, source: SourceName, account: Account) -> None: ...


class AccountCheck:
    """Compares the accounts of one source; it is the `identity` of its fetcher and the check of its guard.

    A ledger without facts of the source takes the first account that answers. `label` is what messages call the
    source, `host` where its account is.
    """

    def __init__(self, accounts: Accounts, source: SourceName, *, label: str, host: str) -> None:
        self._accounts = accounts
        self._source = source
        self._label = label
        self._host = host
        self._held: Account | None = None
        self._confirmed = False
        self._is_noted = True
        self._lock = asyncio.Lock()

    async def check_host(self) -> None:
        """AccountChanged if the ledger's account is at another host: nothing is sent there."""
        held = await self._load()
        if held is not None and held.host != self._host:
            raise self._changed(
                "is set up at another address than the account whose facts the ledger holds",
                f"The ledger's account is at {held.host}, the settings name {self._host}.",
            )

    async def confirm(self, account: str | None = None, recognise: Recognise | None = None) -> None:
        """As `AccountIdentity.confirm`; FetchError if the ledger cannot be read."""
        async with self._lock:
            if self._confirmed and self._held is not None and account in (None, self._held.id):
                await self._note()
                return
            await self.check_host()
            held = self._held
            if held is None or held.id is None or account is None:
                await self._compare(recognise)
            elif held.id != account:
                raise self._changed(
                    "answers for another account than the one whose facts the ledger holds",
                    f"The ledger's account is {held.id}, {account} answers.",
                )
            if self._held is None:
                self._held = Account(self._host, account, account or secrets.token_hex(8))
            elif self._held.id is None and account is not None:
                self._held = replace(self._held, id=account)
            self._confirmed, self._is_noted = True, self._held is held
            await self._note()

    async def accept(self, fetched: Fetched[Value]) -> Fetched[Value]:
        """What was fetched, with the ledger's name of its account; AccountChanged if it is of another account."""
        if not self._confirmed or fetched.account is not None:
            await self.confirm(fetched.account)
        return fetched if self._held is None else replace(fetched, account=self._held.name)

    async def is_ours(self, fetched: Fetched[Value]) -> bool:
        """Whether a cached value is of the ledger's account; one of an older version is while the ledger names none."""
        try:
            held = await self._load()
            if held is not None:
                return fetched.account == held.name
            return fetched.account is None and bool(await self._accounts.evidence(self._source))
        except (FetchError, StoreError):
            return False

    async def _compare(self, recognise: Recognise | None) -> None:
        """AccountChanged if the ledger has facts of which the account has none."""
        if recognise is None:
            return
        evidence = await self._evidence()
        if evidence and not await recognise(evidence):
            raise self._changed(
                "answers for another account than the one whose facts the ledger holds",
                "The account has none of the ledger's newest facts.",
            )

    async def _note(self) -> None:
        """Have the ledger hold a new account; it is tried again at the next fetch if the ledger cannot be written."""
        if self._is_noted or self._held is None:
            return
        with suppress(StoreError):
            await self._accounts.note_account(self._source, self._held)
            self._is_noted = True

    async def _load(self) -> Account | None:
        if self._held is None:
            try:
                self._held = await self._accounts.account(self._source)
            except StoreError as error:
                raise self._unreadable(error) from error
        return self._held

    async def _evidence(self) -> Evidence:
        try:
            return await self._accounts.evidence(self._source)
        except StoreError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: StoreError) -> FetchError:
        return FetchError(f"{self._label}: whose facts the ledger holds cannot be read: {error}")

    def _changed(self, what: str, hint: str) -> AccountChanged:
        return AccountChanged(
            f"{self._label} {what}; its figures are not used. If it is the same account"
            " with a new key or address, stop the server and run:"
            f" pnl-backend ledger adopt {self._source}. If it is another account, give it a ledger of its own:"
            " set another DB_PATH",
            hint=hint,
        )

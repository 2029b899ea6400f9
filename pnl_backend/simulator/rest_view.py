"""What the simulated REST API shows of an account: the account itself, or an earlier state of it while REST lags."""

from __future__ import annotations

from .account import Account


class RestViews:
    """One view per account. `lag` (s) lets REST fall behind by up to so much; `hold` stops it until `release`."""

    def __init__(self) -> None:
        self.lag = 0.0
        self._held = False
        self._views: dict[str, tuple[Account, float]] = {}

    def hold(self, accounts: list[Account], now: float) -> None:
        """Show these accounts as they stand now, whatever happens from here on."""
        self._held = True
        self._views = {account.user_id: (account.copy(), now) for account in accounts}

    def release(self) -> None:
        """Show the accounts as they are."""
        self._held = False
        self._views.clear()

    def of(self, account: Account, now: float) -> tuple[Account, float]:
        """What is shown of an account, and the time (UTC seconds) of that state."""
        if self.lag <= 0 and not self._held:
            return account, now
        view = self._views.get(account.user_id)
        if view is None or (not self._held and now - view[1] >= self.lag):
            view = self._views[account.user_id] = (account.copy(), now)
        return view

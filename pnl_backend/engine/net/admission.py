"""Caps on clients in total, per address and per key; a refusal says when to try again."""

from collections import Counter
from collections.abc import Mapping

from pnl_backend.engine import refusals
from pnl_backend.engine.config import EngineConfig
from pnl_backend.engine.net.requests import Refusal


class Admission:
    """Counts the clients of every kind."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self.total = 0
        self.closing = 0
        """Connections that wait for their peer's close frame; they count under the caps, not in `total`."""
        self.closed = False
        self._by_group: Counter[str] = Counter()
        self._by_key: Counter[str] = Counter()

    def enter(self, peer: str) -> None:
        """Count a client in; Refusal when a cap is reached."""
        self.check(peer, more=1)
        self.total += 1
        self._by_group[self._config.group_address(peer)] += 1

    def check(self, peer: str, *, more: int = 0) -> None:
        """Refusal when this many more would pass a cap; 0 for a further socket of a client that is counted."""
        if self.closed:
            raise Refusal.of(refusals.SHUTTING_DOWN)
        if self._config.max_connections and self.total + self.closing + more > self._config.max_connections:
            raise Refusal.of(refusals.SERVER_FULL)
        cap = self._config.max_connections_per_ip
        group = self._config.group_address(peer)
        if cap and self._by_group[group] + more > cap:
            raise Refusal.of(refusals.ADDRESS_FULL)

    def leave(self, peer: str) -> None:
        self.total -= 1
        self._leave_group(peer)

    def hold(self, peer: str) -> None:
        """Count a connection that is closing, until `release`; its client leaves by itself."""
        self.closing += 1
        self._by_group[self._config.group_address(peer)] += 1

    def release(self, peer: str) -> None:
        self.closing -= 1
        self._leave_group(peer)

    def _leave_group(self, peer: str) -> None:
        group = self._config.group_address(peer)
        self._by_group[group] -= 1
        if not self._by_group[group]:
            del self._by_group[group]

    def enter_key(self, key: str) -> bool:
        """Count a client in under its key; False when the key has as many as it may."""
        caps = self._config.max_connections_per_key
        cap = caps.get(key, 0) if isinstance(caps, Mapping) else caps
        if cap and self._by_key[key] >= cap:
            return False
        self._by_key[key] += 1
        return True

    def leave_key(self, key: str) -> None:
        self._by_key[key] -= 1
        if not self._by_key[key]:
            del self._by_key[key]

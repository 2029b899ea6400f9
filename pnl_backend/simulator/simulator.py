"""The simulator's front door: three upstreams on loopback ports, moved by steps, broken on command."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from .anthropic import AnthropicApi, anthropic_error
from .book import Book
from .control import Control
from .faults import Fault, Faults
from .kalshi import KalshiApi
from .kalshi_admin import KalshiAdmin
from .kalshi_auth import kalshi_error
from .kalshi_feed import PATH as FEED_PATH
from .kalshi_feed import KalshiFeed
from .kalshi_history import add_history
from .organizations import KeyKind, Organizations
from .records import Generation
from .revenue import Revenue, RevenueShape, revenue_error
from .signing import KeyKind as SigningKind
from .truth import Truth, anthropic_truth, johns_truth, kalshi_truth
from .upstream import Upstream, ended, every
from .world import World

UPSTREAMS = ("kalshi", "anthropic", "johns")


@dataclass(frozen=True)
class Credentials:
    """What a client needs; secrets stay out of the representation."""

    kalshi_key_id: str
    kalshi_private_key_pem: str = field(repr=False)
    anthropic_key: str = field(repr=False)
    revenue_token: str = field(repr=False)


class Simulator:
    """Plays Kalshi, Anthropic and John's revenue over real HTTP.

    `step_interval=None` moves only by `step()`. Keys are those handed in and those of `credentials()`; without
    `revenue_token` the revenue endpoint is open until `credentials()` is asked for. `kalshi_rate` is tokens a second
    (ten a request; None switches the limit off). `port_base` gives fixed ports: revenue, Kalshi, Anthropic, control.
    """

    def __init__(
        self,
        book: Book | None = None,
        *,
        seed: int = 1,
        clock: Callable[[], float] = time.time,
        step_interval: float | None = 1.0,
        kalshi_keys: Mapping[str, str] | None = None,
        anthropic_keys: Mapping[str, KeyKind] | None = None,
        revenue_token: str | None = None,
        revenue_shape: RevenueShape = "deals",
        generation: Generation = "both",
        kalshi_rate: float | None = 200.0,
        host: str = "127.0.0.1",
        port_base: int | None = None,
    ) -> None:
        self.generation: Generation = generation
        self.faults = Faults()
        self._clock = clock
        self._interval = step_interval
        self._task: asyncio.Task[None] | None = None
        self._credentials: dict[tuple[SigningKind, KeyKind, str], Credentials] = {}
        self._ports = iter(range(port_base, port_base + 4) if port_base else (0, 0, 0, 0))
        self._host = host
        self.world = World(book or Book.shipped(clock()), seed=seed, clock=clock)

        self._johns = self._upstream("johns", "/api/revenue", revenue_error)
        self._kalshi = self._upstream("kalshi", "/trade-api/v2", kalshi_error)
        self._anthropic = self._upstream("anthropic", "", anthropic_error)
        self._upstreams = {"kalshi": self._kalshi, "anthropic": self._anthropic, "johns": self._johns}

        self.revenue = Revenue(self.world, shape=revenue_shape, token=revenue_token)
        self._johns.add("", self.revenue.get)
        self._kalshi_api = api = KalshiApi(
            self.world, self._kalshi, generation=generation, tokens_per_second=kalshi_rate
        )
        add_history(api)
        self.kalshi = KalshiAdmin(self.world.exchange, api.keys, api.views, api.falsified, seed=seed, clock=clock)
        for key_id, pem in (kalshi_keys or {}).items():
            api.keys.admit(key_id, pem, self.world.account.user_id)
        self.feed = KalshiFeed(self.world, self._kalshi, self._kalshi_api)
        self.organizations = Organizations(self.world.spend)
        for key, kind_of_key in (anthropic_keys or {}).items():
            self.organizations.admit(key, kind_of_key)
        AnthropicApi(self.organizations, self._anthropic)
        self._control = Control(self, host=host, port=next(self._ports))

    def _upstream(self, name: str, base: str, error: Callable[..., object]) -> Upstream:
        return Upstream(
            name,
            base=base,
            host=self._host,
            port=next(self._ports),
            clock=self._clock,
            faults=self.faults,
            error=error,  # type: ignore[arg-type]
        )

    @property
    def kalshi_url(self) -> str:
        """Base URL, `/trade-api/v2` included."""
        return self._kalshi.url

    @property
    def kalshi_ws_url(self) -> str:
        """The feed's URL."""
        return self._kalshi.origin.replace("http://", "ws://") + FEED_PATH

    @property
    def anthropic_url(self) -> str:
        return self._anthropic.url

    @property
    def revenue_url(self) -> str:
        """The whole URL, `/api/revenue` included."""
        return self._johns.url

    @property
    def control_url(self) -> str:
        """Where faults, steps and amounts are set over HTTP; see control.py."""
        return self._control.url

    @property
    def requests(self) -> dict[str, Counter[str]]:
        """Requests taken since the start, by upstream and path below its base (`/portfolio/balance`)."""
        return {name: upstream.requests for name, upstream in self._upstreams.items()}

    @property
    def sent(self) -> dict[str, Counter[str]]:
        """Bytes of the bodies answered since the start, by upstream and path."""
        return {name: upstream.sent for name, upstream in self._upstreams.items()}

    async def start(self) -> None:
        """Listen and begin to move; OSError, with nothing left open, if a port is taken."""
        try:
            for upstream in self._upstreams.values():
                await upstream.start()
            await self._control.start()
        except OSError:
            await self.close()
            raise
        self.resume()

    async def close(self) -> None:
        await self.pause()
        self.clear_faults()
        await self._control.stop()
        for upstream in self._upstreams.values():
            await upstream.stop()

    async def __aenter__(self) -> Simulator:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def credentials(
        self, *, kalshi: SigningKind = "ed25519", anthropic: KeyKind = "admin", user_id: str | None = None
    ) -> Credentials:
        """Keys that are accepted from now on; the same ones for the same kinds and Kalshi account."""
        account = self.kalshi.account(user_id)
        kinds = (kalshi, anthropic, account.user_id)
        if kinds not in self._credentials:
            given = self.kalshi.new_key(account.user_id, kind=kalshi)
            key = self.organizations.new_key(kind=anthropic)
            if self.revenue.token is None:
                self.revenue.token = secrets.token_urlsafe(24)
            self._credentials[kinds] = Credentials(given.key_id, given.private_key_pem, key, self.revenue.token)
        return self._credentials[kinds]

    def settings(self) -> dict[str, str]:
        """What leads a server to the three upstreams, by the field of its settings."""
        given = self.credentials()
        return {
            "kalshi_api_url": self.kalshi_url,
            "kalshi_api_key": given.kalshi_key_id,
            "kalshi_private_key": given.kalshi_private_key_pem,
            "anthropic_api_url": self.anthropic_url,
            "anthropic_api_key": given.anthropic_key,
            "johns_revenue_url": self.revenue_url,
            "johns_revenue_token": given.revenue_token,
        }

    def step(self, n: int = 1) -> None:
        """Move by n steps."""
        for _ in range(n):
            self.world.step()

    async def pause(self) -> None:
        """Stand still until `resume`."""
        task, self._task = self._task, None
        await ended(task)

    def resume(self) -> None:
        """Move by the interval again, if there is one."""
        if self._interval is not None and self._task is None:
            self._task = asyncio.create_task(every(self._interval, self.world.step), name="simulator-steps")

    def set_fault(self, upstream: str, fault: Fault, times: int | None = None) -> None:
        """Make an upstream fail, for so many requests or until cleared; it replaces the fault for the same path."""
        self._known(upstream)
        self.faults.set(upstream, fault, times)

    def clear_faults(self, upstream: str | None = None) -> None:
        """Lift every fault, or one upstream's."""
        self.faults.clear(upstream)

    async def kill(self, upstream: str) -> None:
        """Stop listening: connections are refused until `revive`."""
        await self._known(upstream).stop()

    async def revive(self, upstream: str) -> None:
        """Listen again on the same port."""
        await self._known(upstream).start()

    def set_deal(
        self, deal_id: str, *, amount: Decimal | None = None, status: str | None = None, name: str | None = None
    ) -> None:
        """Change one of John's deals, or add it (recognized, unless a status is given)."""
        self.world.set_deal(deal_id, amount=amount, status=status, name=name)

    def remove_deal(self, deal_id: str) -> None:
        """Take one of John's deals away."""
        self.world.remove_deal(deal_id)

    def truth(self, user_id: str | None = None) -> Truth:
        """The exact figures that the server ought to show now, of the first Kalshi account or the one named."""
        return Truth(
            kalshi=kalshi_truth(self.kalshi.account(user_id), self.world.markets, self.generation),
            anthropic=anthropic_truth(self.world, self._clock),
            johns=johns_truth(self.world),
        )

    def _known(self, upstream: str) -> Upstream:
        if upstream not in self._upstreams:
            raise ValueError(f"no upstream {upstream!r}; there are {', '.join(UPSTREAMS)}")
        return self._upstreams[upstream]

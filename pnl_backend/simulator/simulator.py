"""All simulated upstreams on loopback ports, moved by steps, failing on command."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from pnl_backend.sources.anthropic.simulator import SimulatedAnthropic
from pnl_backend.sources.anthropic.simulator.organizations import KeyKind
from pnl_backend.sources.kalshi.simulator import SimulatedKalshi
from pnl_backend.sources.kalshi.simulator.records import Generation
from pnl_backend.sources.kalshi.simulator.signing import KeyKind as SigningKind
from pnl_backend.sources.revenue.simulator import SimulatedRevenue
from pnl_backend.sources.revenue.simulator.endpoint import RevenueShape
from pnl_backend.sources.simulated import Simulate, SimulatedPart, Simulation

from .book import Book
from .control import Control
from .faults import Fault, Faults
from .misbehave import interceptor
from .truth import Truth

PORTS = ("johns", "kalshi", "anthropic", "control")
"""The order of the fixed ports, from `port_base` on."""


@dataclass(frozen=True)
class Credentials:
    """What a client needs; secrets stay out of the representation."""

    kalshi_key_id: str
    kalshi_private_key_pem: str = field(repr=False)
    anthropic_key: str = field(repr=False)
    revenue_token: str = field(repr=False)


class Simulator:
    """Simulates Kalshi, Anthropic and John's revenue over real HTTP, and the upstreams of `others`.

    `step_interval=None` changes only by `step()`. Keys are those given and those of `credentials()`; without
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
        others: Sequence[Simulate] = (),
    ) -> None:
        self.faults = Faults()
        ports = dict(zip(PORTS, range(port_base, port_base + len(PORTS)), strict=True)) if port_base else {}
        self.simulation = simulation = Simulation(
            seed=seed,
            clock=clock,
            step_interval=step_interval,
            host=host,
            ports=ports,
            intercept=interceptor(self.faults),
        )
        started = book or Book.shipped(clock())
        self._kalshi = SimulatedKalshi(simulation, started, keys=kalshi_keys, generation=generation, rate=kalshi_rate)
        self._anthropic = SimulatedAnthropic(simulation, started.spend, keys=anthropic_keys)
        self._johns = SimulatedRevenue(simulation, started.deals, token=revenue_token, shape=revenue_shape)
        further = [simulate(simulation) for simulate in others]
        self._parts: tuple[SimulatedPart, ...] = (self._kalshi, self._anthropic, self._johns, *further)
        self.kalshi, self.feed, self.trading = self._kalshi.admin, self._kalshi.feed, self._kalshi.trading
        self.organizations, self.usage = self._anthropic.organizations, self._anthropic.usage
        self.revenue, self.deals = self._johns.endpoint, self._johns.book
        self._control = Control(
            simulation, self.faults, urls=self._urls, truth=self.truth, host=host, port=ports.get("control", 0)
        )

    @property
    def kalshi_url(self) -> str:
        """Base URL, `/trade-api/v2` included."""
        return self._kalshi.url

    @property
    def kalshi_ws_url(self) -> str:
        """The feed's URL."""
        return self._kalshi.ws_url

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
        return {name: upstream.requests for name, upstream in self.simulation.upstreams.items()}

    @property
    def sent(self) -> dict[str, Counter[str]]:
        """Bytes of the bodies answered since the start, by upstream and path."""
        return {name: upstream.sent for name, upstream in self.simulation.upstreams.items()}

    async def start(self) -> None:
        """Listen and start the steps; OSError, with nothing left open, if a port is taken."""
        try:
            await self.simulation.start()
            await self._control.start()
        except OSError:
            await self.close()
            raise
        self.resume()

    async def close(self) -> None:
        await self.pause()
        self.clear_faults()
        await self._control.stop()
        await self.simulation.close()

    async def __aenter__(self) -> Simulator:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def credentials(
        self, *, kalshi: SigningKind = "ed25519", anthropic: KeyKind = "admin", user_id: str | None = None
    ) -> Credentials:
        """Keys that are accepted from now on; the same ones for the same kinds and Kalshi account."""
        key = self._kalshi.key(kalshi, user_id)
        return Credentials(key.key_id, key.private_key_pem, self._anthropic.key(anthropic), self._johns.token())

    def settings(self) -> dict[str, Any]:
        """What leads a server to the upstreams, by the field of its settings."""
        return {name: value for part in self._parts for name, value in part.settings().items()}

    def environment(self, given: Credentials | None = None) -> dict[str, str]:
        """The same for the classic three as environment variables, with these keys."""
        given = given or self.credentials()
        return {
            "KALSHI_API_URL": self.kalshi_url,
            "KALSHI_API_KEY": given.kalshi_key_id,
            "KALSHI_PRIVATE_KEY": given.kalshi_private_key_pem.replace("\n", "\\n"),
            "ANTHROPIC_API_URL": self.anthropic_url,
            "ANTHROPIC_API_KEY": given.anthropic_key,
            "JOHNS_REVENUE_URL": self.revenue_url,
            "JOHNS_REVENUE_TOKEN": given.revenue_token,
        }

    def step(self, n: int = 1) -> None:
        """Move by n steps."""
        for _ in range(n):
            self.simulation.step()

    async def pause(self) -> None:
        """Stand still until `resume`."""
        await self.simulation.pause()

    def resume(self) -> None:
        """Move by the interval again, if there is one."""
        self.simulation.resume()

    def set_fault(self, upstream: str, fault: Fault, times: int | None = None) -> None:
        """Make an upstream fail, for so many requests or until cleared; it replaces the fault for the same path."""
        self.faults.set(self.simulation.known(upstream).name, fault, times)

    def clear_faults(self, upstream: str | None = None) -> None:
        """Lift every fault, or one upstream's."""
        self.faults.clear(upstream)

    async def kill(self, upstream: str) -> None:
        """Stop listening: connections are refused until `revive`."""
        await self.simulation.known(upstream).stop()

    async def revive(self, upstream: str) -> None:
        """Listen again on the same port."""
        await self.simulation.known(upstream).start()

    def set_deal(
        self, deal_id: str, *, amount: Decimal | None = None, status: str | None = None, name: str | None = None
    ) -> None:
        """Change one of John's deals, or add it (recognized, unless a status is given)."""
        self.deals.set_deal(deal_id, amount=amount, status=status, name=name)

    def remove_deal(self, deal_id: str) -> None:
        """Take one of John's deals away."""
        self.deals.remove_deal(deal_id)

    def truth(self, user_id: str | None = None) -> Truth:
        """The exact figures that the server ought to show now, of the first Kalshi account or the one named."""
        return Truth(kalshi=self._kalshi.truth(user_id), anthropic=self._anthropic.truth(), johns=self._johns.truth())

    def _urls(self) -> dict[str, str]:
        return {**{name: one.url for name, one in self.simulation.upstreams.items()}, "kalshi_ws": self.kalshi_ws_url}

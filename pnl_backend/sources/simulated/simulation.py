"""One run of simulated upstreams: what they share, and what each adds to it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Protocol

from pnl_backend.sources.simulated.tasks import ended, every
from pnl_backend.sources.simulated.units import ZERO
from pnl_backend.sources.simulated.upstream import ErrorBody, Intercept, Upstream, json_error

Action = Callable[[dict[str, Any]], dict[str, Any] | None]
"""Runs one command of the control route; what it returns is added to the answer. ValueError for what cannot be."""


class SimulatedPart(Protocol):
    """The simulated upstream of one source type."""

    def settings(self) -> Mapping[str, Any]:
        """The values of the type's settings that lead to it, by field; asked for while it listens."""


class Simulation:
    """A clock, a seed, loopback ports and the parts that were added.

    It advances by `step()`, and once it is resumed every `step_interval` seconds too (None: by `step()` alone).
    `ports` are fixed ones by upstream (others are free ones); `intercept` comes between each request and its answer.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        clock: Callable[[], float] = time.time,
        step_interval: float | None = None,
        host: str = "127.0.0.1",
        ports: Mapping[str, int] | None = None,
        intercept: Intercept | None = None,
    ) -> None:
        self.seed = seed
        self.clock = clock
        self.rng = random.Random(seed)  # noqa: S311 - a predictable simulation is the point
        self.upstreams: dict[str, Upstream] = {}
        self.actions: dict[str, Action] = {}
        self.steps = 0
        self._interval = step_interval
        self._task: asyncio.Task[None] | None = None
        self._host = host
        self._ports = ports or {}
        self._intercept = intercept
        self._moves: list[Callable[[], None]] = []
        self._results: list[Callable[[], Decimal]] = []

    def upstream(self, name: str, *, base: str = "", error: ErrorBody = json_error) -> Upstream:
        """An upstream whose routes are below `base`; it listens while the simulation runs."""
        self.upstreams[name] = Upstream(
            name,
            base=base,
            error=error,
            clock=self.clock,
            host=self._host,
            port=self._ports.get(name, 0),
            intercept=self._intercept,
        )
        return self.upstreams[name]

    def known(self, upstream: str) -> Upstream:
        """The upstream of that name; ValueError if there is none."""
        if upstream not in self.upstreams:
            raise ValueError(f"no upstream {upstream!r}; there are {', '.join(self.upstreams)}")
        return self.upstreams[upstream]

    def on_step(self, move: Callable[[], None]) -> None:
        """Call this at each step, about a second of life."""
        self._moves.append(move)

    def counts(self, result: Callable[[], Decimal]) -> None:
        """Count what this gives, USD earned since the start (below 0: spent), into `result`."""
        self._results.append(result)

    def result(self) -> Decimal:
        """USD that all parts have earned since the start."""
        return sum((result() for result in self._results), ZERO)

    def step(self) -> None:
        self.steps += 1
        for move in self._moves:
            move()

    async def pause(self) -> None:
        """Stand still until `resume`."""
        task, self._task = self._task, None
        await ended(task)

    def resume(self) -> None:
        """Move by the interval again, if there is one."""
        if self._interval is not None and self._task is None:
            self._task = asyncio.create_task(every(self._interval, self.step), name="simulator-steps")

    async def start(self) -> None:
        """Listen; OSError, with some listening, if a port is taken."""
        for upstream in self.upstreams.values():
            await upstream.start()

    async def close(self) -> None:
        await self.pause()
        for upstream in self.upstreams.values():
            await upstream.stop()

    async def __aenter__(self) -> Simulation:
        try:
            await self.start()
        except OSError:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class RandomInterval:
    """Comes due after a number of steps within `span`, again and again."""

    def __init__(self, rng: random.Random, span: tuple[int, int]) -> None:
        self._rng = rng
        self._span = span
        self._left = rng.randint(*span)

    def is_due(self) -> bool:
        """Count one step, and say whether it is the one."""
        self._left -= 1
        if self._left > 0:
            return False
        self._left = self._rng.randint(*self._span)
        return True


def chance(pull: Decimal) -> float:
    """A probability from a pull between -0.5 and 0.5; it stays away from never and always."""
    return max(0.02, min(0.98, 0.5 + float(pull)))


Simulate = Callable[[Simulation], SimulatedPart]

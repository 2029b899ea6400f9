"""Anthropic as a part of a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

from pnl_backend.sources.simulated import Simulation

from .api import AnthropicApi, anthropic_error
from .control import AnthropicControl
from .organizations import KeyKind, Organizations
from .spend import Spend
from .truth import AnthropicTruth, anthropic_truth
from .usage import Usage


class SimulatedAnthropic:
    """`keys` are accepted beside those of `key()`: their kinds by key."""

    def __init__(
        self, simulation: Simulation, spend: Spend | None = None, *, keys: Mapping[str, KeyKind] | None = None
    ) -> None:
        self._clock = simulation.clock
        spend = Spend.shipped(self._clock()) if spend is None else deepcopy(spend)
        self.usage = Usage(spend, rng=simulation.rng, clock=self._clock)
        self._upstream = simulation.upstream("anthropic", error=anthropic_error)
        self.organizations = Organizations(spend)
        for key, kind in (keys or {}).items():
            self.organizations.admit(key, kind)
        AnthropicApi(self.organizations, self._upstream)
        self._given: dict[KeyKind, str] = {}
        simulation.on_step(self.usage.step)
        simulation.counts(self.usage.result)
        simulation.actions.update(AnthropicControl(self.usage, self.organizations).actions)

    @property
    def url(self) -> str:
        return self._upstream.url

    def key(self, kind: KeyKind = "admin") -> str:
        """A key that is accepted from now on; the same one for the same kind."""
        if kind not in self._given:
            self._given[kind] = self.organizations.new_key(kind=kind)
        return self._given[kind]

    def settings(self) -> dict[str, str]:
        return {"anthropic_api_url": self.url, "anthropic_api_key": self.key()}

    def truth(self) -> AnthropicTruth:
        """The exact figures of the first organisation."""
        return anthropic_truth(self.usage.spend, self._clock)

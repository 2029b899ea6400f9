"""The declaration of a source type: one object with everything that the rest of the server needs of it.

Cache codec, guard, circuit breaker, health part, metrics, REST models, settings and the dashboard's card derive from
it. Registering a type checks the declaration; what is missing or does not fit is a `SourceTypeError`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any, Generic, TypeVar

from pnl_backend.domain.classic import CLASSIC
from pnl_backend.domain.figures import figures_of, shown_figures
from pnl_backend.domain.ledger_facts import FactKind
from pnl_backend.domain.lines import Accounting, Contribution, Moment
from pnl_backend.domain.readings import SourceName
from pnl_backend.errors import PnLError, UpstreamAuthError
from pnl_backend.sources.account import AccountIdentity, AnyAccount, host_of
from pnl_backend.sources.base import ClosedDays, Fetcher, UpstreamClient
from pnl_backend.sources.codec import Codec
from pnl_backend.sources.markets import MarketStore
from pnl_backend.sources.setting import SourceSettings
from pnl_backend.sources.simulated import Simulate

S = TypeVar("S", bound=SourceSettings)
Value = TypeVar("Value")
Figures = TypeVar("Figures")

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST_NAME = 32
RESERVED = frozenset(("summary", "costBreakdown", "agentAttribution", "timestamp", "epoch", "seq"))
"""Names of a breakdown's other fields."""


class SourceTypeError(PnLError):
    """A declaration that lacks something or contradicts itself."""


class Unconfigured:
    """Used where no fetcher could be built: every fetch fails with the name of the missing setting.

    `refused` marks credentials that were given and cannot be used, `half` those of which a part is missing.
    """

    def __init__(self, message: str, *, hint: str | None = None, refused: bool = False, half: bool = False) -> None:
        self.refused = refused
        self.half = half
        self._message = message
        self._hint = hint

    async def fetch(self) -> Any:
        raise UpstreamAuthError(self._message, hint=self._hint)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a fetcher is built with, beside its settings.

    `since` is the first day that counts, `closed_days` what is stored of cost days that cannot change any more,
    `markets` where settled markets are kept (None: in memory, read whole by the first fetch); `by_api_key` requests
    cost by API key too, for agent rules that name one. `identity` compares the account that answers with the ledger's:
    a fetch awaits its `confirm` before it writes anything.
    """

    client: UpstreamClient
    since: date
    closed_days: ClosedDays
    by_api_key: bool = False
    markets: MarketStore | None = None
    identity: AccountIdentity = field(default_factory=AnyAccount)


@dataclass(frozen=True, slots=True)
class CardRow:
    """One row of the dashboard's card: a figure's attribute, and its label."""

    figure: str
    label: str


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceType(Generic[S, Value, Figures]):
    """One type of source.

    `name` is what clients see: `components.<name>`, `sources.<name>`, the cache key and the metrics' label; `service`
    is what the circuit breaker and log lines are called, the name where it is empty. `label` is for people.

    `settings` are the environment variables that it reads, `configured_by` those of them of which one means that
    the source is configured, `poll` the one that holds the poll interval in ms. `build` makes the fetcher, or an
    `Unconfigured` that names what is missing.

    `figures` is the dataclass of what clients see of it. `contribute` turns a value into figures and lines; `nothing`
    is the value that counts while nothing was ever learned, and its class is what the cache keeps. `agent` is whose
    lines they are unless AGENT_RULES set another. `summary` describes in a few words what an answer held, for
    `pnl-backend check`. `card` is what the dashboard shows. `simulator` adds the upstream to a simulation, for the demo
    and the conformance suite; without one the source is left out of the demo. `host` gives the address that the account
    is at, which the ledger notes; without it that is the host of the first setting that holds a URL. `facts` are the
    kinds that the ledger books of it; its tables hold those of the classic three alone.
    """

    name: SourceName
    label: str
    settings: type[S]
    configured_by: frozenset[str]
    poll: str
    build: Callable[[S, Setup], Fetcher[Value] | Unconfigured]
    nothing: Value
    figures: type[Figures]
    contribute: Callable[[Value, Moment], Contribution[Figures]]
    agent: str
    summary: Callable[[Value], str]
    card: tuple[CardRow, ...]
    simulator: Simulate | None
    service: str = ""
    facts: frozenset[FactKind] = frozenset()
    host: Callable[[S], str] | None = None

    @property
    def breaker(self) -> str:
        """The circuit breaker's name."""
        return self.service or self.name

    @property
    def always_shown(self) -> bool:
        """Whether it is part of every snapshot, configured or not: old clients read the classic three."""
        return self.name in CLASSIC

    @cached_property
    def codec(self) -> Codec[Value]:
        return Codec(self.name, type(self.nothing))

    @cached_property
    def accounting(self) -> Accounting[Value, Figures]:
        return Accounting(nothing=self.nothing, agent=self.agent, contribute=self.contribute)

    def poll_interval(self, settings: SourceSettings) -> float:
        """Seconds."""
        milliseconds: int = getattr(settings, self.poll)
        return milliseconds / 1000

    def is_configured(self, settings: SourceSettings) -> bool:
        """Whether this source is configured, at least in part."""
        return not self.configured_by.isdisjoint(settings.model_fields_set)

    def host_of(self, settings: S) -> str:
        """Where the account is; empty for a type without an address."""
        if self.host is not None:
            return self.host(settings)
        values = (getattr(settings, name) for name in self.settings.model_fields)
        urls = (value for value in values if isinstance(value, str) and value.startswith(("http://", "https://")))
        return next(map(host_of, urls), "")

    def account_settings(self) -> frozenset[str]:
        """The settings that name an account: all but the poll interval."""
        return frozenset(self.settings.model_fields) - {self.poll}


def is_name(text: str) -> bool:
    """Whether a source may be called so."""
    return _NAME.fullmatch(text) is not None and len(text) <= LONGEST_NAME and text not in RESERVED


def check_type(declared: SourceType[Any, Any, Any]) -> None:
    """Raise SourceTypeError with one sentence a problem."""
    problems = [*_name_problems(declared), *_setting_problems(declared), *_figure_problems(declared)]
    try:
        declared.codec  # noqa: B018 - derived here, so that what cannot be kept is refused at the start
    except TypeError as error:
        problems.append(f"its value cannot be cached: {error}")
    if problems:
        raise SourceTypeError(f"source type {declared.name!r}: " + "; ".join(problems))


def _name_problems(declared: SourceType[Any, Any, Any]) -> list[str]:
    problems = []
    if not is_name(declared.name):
        problems.append(f"name must be lower case letters, digits and dashes, {LONGEST_NAME} at most")
    if declared.facts and not declared.always_shown:
        problems.append("facts must be empty: the ledger's tables hold the facts of the classic three alone")
    problems += [f"{field} must not be empty" for field in ("label", "agent") if not getattr(declared, field).strip()]
    return problems


def _setting_problems(declared: SourceType[Any, Any, Any]) -> list[str]:
    fields = declared.settings.model_fields
    prefix = declared.name.replace("-", "_") + "_"
    problems = (
        []
        if declared.always_shown
        else [f"setting {name} must begin with {prefix}" for name in fields if not name.startswith(prefix)]
    )
    for name, info in fields.items():
        extra = info.json_schema_extra
        if not info.description or not isinstance(extra, dict) or not extra.get("allowed"):
            problems.append(f"setting {name} has no help or no text of what is allowed: declare it with setting(...)")
        if info.is_required():
            problems.append(f"setting {name} needs a default: a server without this source must start")
    if unknown := sorted({declared.poll, *declared.configured_by} - fields.keys()):
        problems.append(f"no setting is called {', '.join(unknown)}")
    if not declared.configured_by:
        problems.append("configured_by must name a setting, else the source could never be turned on")
    return problems


def _figure_problems(declared: SourceType[Any, Any, Any]) -> list[str]:
    try:
        figures = figures_of(declared.figures)
    except TypeError as error:
        return [str(error)]
    model, shown = declared.figures.__name__, {figure.field for figure in shown_figures(declared.figures)}
    problems = [f"card: {row.figure} is no figure of {model}" for row in declared.card if row.figure not in shown]
    if not declared.card:
        problems.append("card must have a row, else the dashboard shows nothing of it")
    problems += [f"figure {one.field} has no help" for one in figures if not one.help and not one.ledger_only]
    if not declared.always_shown:
        problems += [f"figure {one.field} must not be kept in the ledger alone" for one in figures if one.ledger_only]
    return problems

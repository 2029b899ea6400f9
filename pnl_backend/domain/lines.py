"""What a source adds to the P&L: lines of revenue and expenses, exact, and the figures beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Generic, Literal, TypeVar

from pnl_backend.domain.attribution import AgentRules
from pnl_backend.domain.readings import Progress, SourceName

LineKind = Literal["revenue", "expense"]
Value = TypeVar("Value")
Figures_co = TypeVar("Figures_co", covariant=True)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a source, in USD before rounding; each line is rounded once, and totals are sums of rounded lines.

    An expense is in the cost breakdown under its `name`, or under the names of `parts`, which must sum to
    `amount`. It belongs to the source's agent, or to the agents of `by_agent`, which must sum to it too.
    """

    kind: LineKind
    name: str
    amount: Decimal
    parts: Mapping[str, Decimal] | None = None
    by_agent: Mapping[str, Decimal] | None = None


@dataclass(frozen=True, slots=True)
class PublishedLine:
    """A line as it was published, in whole cents of USD."""

    source: SourceName
    kind: LineKind
    name: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Contribution(Generic[Figures_co]):
    """What one source contributes to one snapshot; `notes` name what an estimated figure lacks.

    `importing` is given while history is still being read: such figures are not complete.
    """

    figures: Figures_co
    lines: tuple[Line, ...]
    estimated: bool = False
    notes: tuple[str, ...] = ()
    importing: Progress | None = None


class Memo:
    """Keeps one result for each source, for as long as its reading has the same value."""

    def __init__(self) -> None:
        self._held: dict[SourceName, tuple[object, Any]] = {}

    def get(self, source: SourceName, value: object, compute: Callable[[], Result]) -> Result:
        """`compute()`, or what it gave for this very `value` before."""
        held = self._held.get(source)
        if held is None or held[0] is not value:
            held = self._held[source] = (value, compute())
        result: Result = held[1]
        return result


@dataclass(frozen=True, slots=True)
class Moment:
    """What a contribution may depend on beside its value: the snapshot's time (ms), its rules, and its source's name.

    `memo` keeps what is costly to compute for as long as the value stays the same.
    """

    source: SourceName
    at: int
    rules: AgentRules = field(default_factory=AgentRules)
    memo: Memo = field(default_factory=Memo)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounting(Generic[Value, Figures_co]):
    """How a source's value becomes part of a snapshot.

    `nothing` is the value that counts while nothing was ever learned; `agent` is whose lines these are, unless the
    agent rules set another; `contribute` is pure.
    """

    nothing: Value
    agent: str
    contribute: Callable[[Value, Moment], Contribution[Figures_co]]

    def of(self, value: Value | None, moment: Moment) -> Contribution[Figures_co]:
        """What a value adds; None where nothing was ever learned."""
        return self.contribute(self.nothing if value is None else value, moment)

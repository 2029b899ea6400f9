"""Corrections: what an upstream changed or removed of the facts that the ledger already held."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from pnl_backend.domain.money import ZERO
from pnl_backend.domain.readings import CostRow

CorrectionKind = Literal["cost", "deal", "transfer", "settlement"]


@dataclass(frozen=True, slots=True)
class Correction:
    """One amount in USD before and after, noted at `at` (ms); None where there was, or is no longer, such a fact.

    `ref` names the fact: a deal's id, a transfer's key (of what it changed the balance by), a settlement's key
    (of its revenue), the ticker of an archived market (of what a YES contract was worth), or a cost's day, model,
    workspace and API key, joined by slashes (`-`: none).
    """

    kind: CorrectionKind
    ref: str
    before: Decimal | None
    after: Decimal | None
    at: int


def cost_corrections(
    before: Iterable[CostRow], after: Iterable[CostRow], at: int, *, removed_only: bool = False
) -> list[Correction]:
    """What differs between two states of the same days, by row; with `removed_only` just the rows that were removed.

    A day that is still open grows, so only what disappears from it is a correction.
    """
    old, new = _by_ref(before), _by_ref(after)
    refs = old.keys() - new.keys() if removed_only else old.keys() | new.keys()
    return [
        Correction("cost", ref, old.get(ref), new.get(ref), at) for ref in sorted(refs) if old.get(ref) != new.get(ref)
    ]


def cost_ref(row: CostRow) -> str:
    """What a correction calls the row."""
    return "/".join((row.day.isoformat(), row.model or "-", row.workspace_id or "-", row.api_key_id or "-"))


def _by_ref(rows: Iterable[CostRow]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for row in rows:
        ref = cost_ref(row)
        sums[ref] = sums.get(ref, ZERO) + row.amount
    return sums

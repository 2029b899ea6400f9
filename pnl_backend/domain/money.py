"""Decimal helpers: exact inside, rounded to cents only where money leaves the process."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

ZERO = Decimal(0)
CENT = Decimal("0.01")
HUNDRED = Decimal(100)


def cents(amount: Decimal) -> Decimal:
    """Round USD to whole cents, half up (away from zero at the half)."""
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)


def number(amount: Decimal) -> float:
    """USD or percent as a JSON number with at most two decimals; never a negative zero."""
    return float(cents(amount)) or 0.0


def decimal_text(amount: Decimal) -> str:
    """USD with every digit it has, two decimals at least and no exponent: `1374.504999`, `12.50`."""
    digits = format(amount, "f")
    whole, _, fraction = digits.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"


def exact(amount: Decimal) -> str:
    """A decimal as text without loss; equal amounts have equal texts."""
    return format(amount.normalize(), "f") if amount else "0"


def percent(part: Decimal, whole: Decimal) -> Decimal:
    """`part / whole x 100` with two decimals; `whole` must not be zero."""
    return cents(part / whole * HUNDRED)


def apportion(weights: Sequence[Decimal], total: Decimal, unit: Decimal = CENT) -> list[Decimal]:
    """Round each weight to `unit` so that the parts sum exactly to `total`, by largest remainder.

    `total` must be a multiple of `unit`; the weights need not sum to it (the difference is spread by remainder,
    and over all parts in turn when it exceeds one unit each). Ties go to the earlier part. No weights: no parts,
    whatever the total. Source: Hamilton's method of apportionment.
    """
    if not weights:
        return []
    floors = [(weight / unit).to_integral_value(rounding="ROUND_FLOOR") for weight in weights]
    missing = int(total / unit - sum(floors, ZERO))
    whole, rest = divmod(missing, len(weights))
    order = sorted(range(len(weights)), key=lambda i: (-(weights[i] / unit - floors[i]), i))
    extra = [whole] * len(weights)
    for i in order[:rest]:
        extra[i] += 1
    return [(floor + more) * unit for floor, more in zip(floors, extra, strict=True)]

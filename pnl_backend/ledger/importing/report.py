"""Counts which rows an import took, and which not and why, and reports it in lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pnl_backend.ledger.sql.imported import Added


class Tally:
    """The rows of one table or list."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.new = self.known = self.changed = 0
        self.refused: Counter[str] = Counter()

    def count(self, added: Added) -> None:
        self.new += added.new
        self.known += added.known
        self.changed += added.changed

    def refuse(self, reason: str) -> None:
        self.refused[reason] += 1

    def lines(self, changed: str) -> Iterator[str]:
        """One line of sums, and one for each reason; `changed` describes rows that were held with other values."""
        refused = sum(self.refused.values())
        parts = [f"{self.new:,} taken", f"{self.known:,} held already"]
        parts += [f"{self.changed:,} {changed}"] if self.changed else []
        yield f"  {self.name}: {', '.join(parts)}, {refused:,} not taken"
        yield from (f"    {count:,} not taken: {reason}" for reason, count in self.refused.most_common())

"""Metrics of a node: its role, whether it leads, and how far it is behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class NodeFigures:
    """One scrape; what is None does not exist on this node, and has no metric."""

    role: str
    leads: bool
    ledger_up: bool
    bus_up: bool | None = None
    fence: int | None = None
    lag: int | None = None
    """Updates that the stream has and this node's clients do not."""
    behind: int | None = None
    """Committed updates that are not in the stream."""
    changes: Mapping[str, int] = field(default_factory=dict)
    """How often the lease was won, lost and released."""


class NodeCollector(Collector):
    """Reads the figures of the node at each scrape."""

    def __init__(self, read: Callable[[], NodeFigures]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """Empty, so that registering does not read a node that is not built yet."""
        return ()

    def collect(self) -> Iterable[Metric]:
        now = self._read()
        role = GaugeMetricFamily("pnl_node_role", "1 for the role of this node", labels=["role"])
        role.add_metric([now.role], 1)
        yield role
        yield GaugeMetricFamily("pnl_leader", "1 while this node polls and writes the ledger", value=now.leads)
        yield GaugeMetricFamily("pnl_ledger_up", "1 while this node can use its ledger", value=now.ledger_up)
        optional = (
            ("pnl_bus_up", "1 while the Redis of the cluster answers", now.bus_up),
            ("pnl_fence", "The fence of this leader, or of the newest entry of the stream", now.fence),
            ("pnl_stream_lag_updates", "Updates of the stream that this node has not published", now.lag),
            ("pnl_stream_behind_ledger_updates", "Committed updates that are not in the stream", now.behind),
        )
        for name, says, value in optional:
            if value is not None:
                yield GaugeMetricFamily(name, says, value=value)
        if now.bus_up is not None:
            changes = CounterMetricFamily(
                "pnl_leadership_changes", "Leases that were won, lost and released", labels=["change"]
            )
            for change, count in now.changes.items():
                changes.add_metric([change], count)
            yield changes

"""What a node of a cluster says of itself and of the others."""

from __future__ import annotations

from collections.abc import Sequence

from pnl_backend.assembly.membership import Membership
from pnl_backend.bus.protocol import NodeInfo
from pnl_backend.domain.times import iso
from pnl_backend.ops.health import Part
from pnl_backend.wire import operations


def cluster_view(
    own: NodeInfo, nodes: Sequence[NodeInfo], *, fence: int, connected: bool, lag: int
) -> operations.Cluster:
    """The cluster in the health report; `lag` is how many updates this node is behind the stream."""
    return operations.Cluster(
        node=own.id,
        role=own.role,
        state=own.state,
        leader=next((node.id for node in nodes if node.leads), None),
        fence=fence,
        bus="connected" if connected else "down",
        lagUpdates=lag,
        lagMs=own.lag_ms,
        nodes=[
            operations.ClusterNode(
                node.id,
                node.role,
                node.state,
                node.leads,
                node.seq,
                node.lag_ms,
                node.clients,
                iso(node.since),
                node.version,
            )
            for node in nodes
        ],
    )


def missing(membership: Membership, *, connected: bool, fresh: bool) -> list[str]:
    """What keeps a node from being ready: what it has not reached since its start, and updates that do not come."""
    needs = {
        "redis": not membership.bus_seen or (not fresh and not connected),
        "postgresql": not membership.ledger_seen or (not fresh and not membership.ledger_up),
        "updates": not fresh,
    }
    return [name for name, lacking in needs.items() if lacking]


def bus_part(*, connected: bool, problem: str | None) -> Part:
    """The Redis of the cluster as a part of the health report."""
    return Part("connected") if connected else Part("down", ok=False, detail=problem)


def leadership_part(state: str, problem: str | None) -> Part:
    """The leadership as a part of the health report; `problem` is why this node could not lead."""
    return Part(state, ok=problem is None, detail=problem)

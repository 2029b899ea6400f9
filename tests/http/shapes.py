"""The figures of the snapshots that tests/http/support.py makes, as the contract shows them."""

from tests.http.support import NOW

ISO = "2026-02-25T22:24:00.000Z"


LIVE = {"status": "live", "tier": "live", "asOf": ISO, "ageMs": 0, "error": None, "estimated": False, "notes": []}
SOURCES = {
    "kalshi": LIVE,
    "anthropic": {
        **LIVE,
        "status": "stale",
        "tier": "redis",
        "asOf": "2026-02-25T22:23:20.000Z",
        "ageMs": 40_000,
        "error": "the source timed out",
    },
    "johns": LIVE,
}
ANTHROPIC = {"dailySpend": 5.25, "totalSpend": 105.25}
JOHNS = {"invoiced": 2000.0, "collected": 1000.0, "pipeline": 50.0}


def kalshi(seq):
    """Realized 500 and a dollar for each snapshot; ten contracts marked at 0.50 that cost 4.00."""
    return {
        "balance": 10_000.0, "positions": 1, "pnl": 501.0 + seq, "realizedPnl": 500.0 + seq, "unrealizedPnl": 1.0,
        "fees": 20.25, "marks": {"bid": 1},
    }  # fmt: skip


def net(seq):
    """Kalshi 501 + seq, collected 1000, less fees 20.25 and spend 105.25."""
    return 1375.5 + seq


def newest(seq, gross_margin):
    """The snapshot with number `seq`, taken at NOW."""
    return {
        "totalRevenue": 1501.0 + seq, "totalExpenses": 125.5, "netPnL": net(seq), "grossMargin": gross_margin,
        "dailyTrend": 0.0, "components": {"kalshi": kalshi(seq), "anthropic": ANTHROPIC, "johns": JOHNS},
        "timestamp": ISO, "calculatedAt": NOW, "epoch": "k3v9", "seq": seq, "degraded": [], "sources": SOURCES,
        "simulated": False, "stored": True, "exact": {"netPnL": f"{net(seq):.2f}"},
        "estimated": False, "complete": True,
    }  # fmt: skip

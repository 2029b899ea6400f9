"""The simulated Kalshi: an exchange, its accounts, the REST routes and the WebSocket feed."""

from .book import KalshiBook
from .part import SimulatedKalshi

__all__ = ["KalshiBook", "SimulatedKalshi"]

"""The simulated revenue endpoint: John's deals, in each of the shapes in which it may send them."""

from .deals import Deal, shipped_deals
from .part import SimulatedRevenue

__all__ = ["Deal", "SimulatedRevenue", "shipped_deals"]

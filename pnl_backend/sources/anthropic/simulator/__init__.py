"""The simulated Anthropic: organisations, their usage and its cost, and the three reports about them."""

from .part import SimulatedAnthropic
from .spend import Spend

__all__ = ["SimulatedAnthropic", "Spend"]

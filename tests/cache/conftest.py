"""The fixtures of the cache: tiers that the test delays and makes fail."""

from tests.cache.held import house

__all__ = ["house"]

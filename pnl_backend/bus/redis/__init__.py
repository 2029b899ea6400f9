"""The bus in a Redis: one stream, one lock, and a key for each node."""

from pnl_backend.bus.redis.bus import RedisBus

__all__ = ["RedisBus"]

"""Real-time profit-and-loss streaming server."""

__version__ = "0.2.0.dev0"

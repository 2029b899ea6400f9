"""Real-time profit-and-loss streaming server."""

__version__ = "0.1.0"

"""Engine.IO v4 beneath python-socketio, and the connections that every feed shares; knows nothing of P&L."""

from pnl_backend.engine.config import EngineConfig
from pnl_backend.engine.server import attach, create_server, listen

__all__ = ["EngineConfig", "attach", "create_server", "listen"]

"""Engine.IO v4 beneath python-socketio, and the connections that every feed shares; knows nothing of P&L."""

from pnl_backend.engine.config import EngineConfig
from pnl_backend.engine.engineio.packets import EncodedJson, Message
from pnl_backend.engine.feeds.connection import FeedConnection, FeedHandler, open_event_stream
from pnl_backend.engine.net.listener import Listener, attach, listen
from pnl_backend.engine.net.process import prepare_process
from pnl_backend.engine.net.requests import Environ, Refusal, fold_path
from pnl_backend.engine.net.timers import Deadlines
from pnl_backend.engine.server import EngineStats, Server, create_server
from pnl_backend.engine.socketio.connects import ConnectPlan, ConnectRequest

__all__ = [
    "ConnectPlan",
    "ConnectRequest",
    "Deadlines",
    "EncodedJson",
    "EngineConfig",
    "EngineStats",
    "Environ",
    "FeedConnection",
    "FeedHandler",
    "Listener",
    "Message",
    "Refusal",
    "Server",
    "attach",
    "create_server",
    "fold_path",
    "listen",
    "open_event_stream",
    "prepare_process",
]

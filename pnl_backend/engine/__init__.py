"""Engine.IO v4 beneath python-socketio, and the connections that every feed shares; knows nothing of P&L."""

from pnl_backend.engine.config import EngineConfig
from pnl_backend.engine.connects import ConnectPlan, ConnectRequest
from pnl_backend.engine.feeds import FeedConnection, FeedHandler, open_event_stream
from pnl_backend.engine.listener import Listener, attach, listen
from pnl_backend.engine.packets import EncodedJson, Message
from pnl_backend.engine.process import prepare_process
from pnl_backend.engine.requests import Environ, Refusal, fold_path
from pnl_backend.engine.server import EngineStats, Server, create_server
from pnl_backend.engine.timers import Deadlines

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

"""Engine.IO v4 beneath python-socketio, and the connections that every feed shares; knows nothing of P&L."""

from pnl_backend.engine.config import EngineConfig
from pnl_backend.engine.feeds.connection import FeedConnection, FeedHandler
from pnl_backend.engine.feeds.event_stream import open_event_stream
from pnl_backend.engine.net.listener import Listener
from pnl_backend.engine.net.messages import Message
from pnl_backend.engine.net.process import prepare_process
from pnl_backend.engine.net.requests import Environ, Refusal, fold_path
from pnl_backend.engine.net.timers import Deadlines
from pnl_backend.engine.server import EngineStats, Server, attach, create_server, listen
from pnl_backend.engine.socketio.clients import CONNECTED, LEAVING, Member
from pnl_backend.engine.socketio.connects import ConnectPlan, ConnectRequest
from pnl_backend.engine.socketio.packets import EncodedJson, with_argument

__all__ = [
    "CONNECTED",
    "LEAVING",
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
    "Member",
    "Message",
    "Refusal",
    "Server",
    "attach",
    "create_server",
    "fold_path",
    "listen",
    "open_event_stream",
    "prepare_process",
    "with_argument",
]

"""Options of `socketio.AsyncServer` that this server does not honour: none is ignored in silence."""

import inspect
from collections.abc import Iterable
from dataclasses import fields

import engineio
import socketio

from pnl_backend.engine.config import EngineConfig

_FIELDS = frozenset(field.name for field in fields(EngineConfig))
_BASES = (socketio.AsyncServer, socketio.base_server.BaseServer, engineio.AsyncServer, engineio.base_server.BaseServer)
ASYNC_SERVER_OPTIONS = frozenset(
    name
    for base in _BASES
    for name, parameter in inspect.signature(base.__init__).parameters.items()
    if name != "self" and parameter.kind is not inspect.Parameter.VAR_KEYWORD
) | {"engineio_logger"}


def refuse_options(options: Iterable[str]) -> None:
    """TypeError for the first of these options, with what to do instead."""
    for name in options:
        if name in _FIELDS:
            raise TypeError(f"{name} is a setting of EngineConfig: create_server(EngineConfig({name}=...))")
        if name in ASYNC_SERVER_OPTIONS:
            raise TypeError(f"{name}, an option of socketio.AsyncServer, is not honoured by this server")
        raise TypeError(f"{name} is not an option of this server")

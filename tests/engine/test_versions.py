"""What the engine assumes of python-socketio and python-engineio. A failure here names what an upgrade has broken."""

import ast
import inspect
from pathlib import Path

import engineio
import socketio
from socketio import async_server, base_server

from pnl_backend.engine import create_server
from pnl_backend.engine.engineio.server import EngineServer
from pnl_backend.engine.socketio.rooms import Rooms

OURS = ("_handle_", "attach")
"""Beginnings of the methods that our server class replaces or never lets be called."""


def used(attribute: str) -> set[str]:
    """Names that python-socketio's server reads from `self.<attribute>` in methods that we leave to it."""
    names: set[str] = set()
    for module in (async_server, base_server):
        functions = [
            node
            for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text()))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith(OURS)
        ]
        for node in (inner for function in functions for inner in ast.walk(function)):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Attribute)
                and node.value.attr == attribute
                and isinstance(node.value.value, ast.Name)
                and node.value.value.id == "self"
            ):
                names.add(node.attr)
    assert names, f"socketio.AsyncServer has no self.{attribute} any more"
    return names


def test_our_engine_has_all_that_python_socketio_uses() -> None:
    missing = {name for name in used("eio") if not hasattr(EngineServer, name)}
    assert not missing, f"socketio.AsyncServer now also uses eio.{', eio.'.join(sorted(missing))}: add to EngineServer"


def test_our_rooms_have_all_that_python_socketio_uses_of_a_manager() -> None:
    missing = {name for name in used("manager") if not hasattr(Rooms, name)}
    assert not missing, f"socketio.AsyncServer now also uses manager.{', manager.'.join(sorted(missing))}: add to Rooms"


def test_the_template_method_still_chooses_the_engine() -> None:
    assert type(create_server().eio) is not engineio.AsyncServer, "BaseServer no longer calls _engineio_server_class()"
    assert isinstance(create_server().eio, EngineServer)


def test_the_manager_is_still_given() -> None:
    assert isinstance(create_server().manager, Rooms), "AsyncServer no longer takes client_manager"


def test_handlers_are_still_found_where_we_look() -> None:
    server = create_server()
    handler = server.on("event", lambda sid: None, namespace="/n")
    assert handler is None or callable(handler)
    assert set(server.handlers) == {"/n"}, "BaseServer.handlers is no longer {namespace: {event: handler}}"
    namespace = socketio.AsyncNamespace("/m")
    server.register_namespace(namespace)
    assert server.namespace_handlers["/m"] is namespace
    assert inspect.iscoroutinefunction(namespace.trigger_event)


def test_the_encoder_still_takes_what_we_give_it() -> None:
    packet = create_server().packet_class(packet_type=2, data=["e", b"x"], namespace="/n", id=7).encode()
    assert packet == ['51-/n,7["e",{"_placeholder":true,"num":0}]', b"x"]


def test_nothing_private_of_either_library_is_used_but_the_template_method() -> None:
    """Names beginning with an underscore that our server class overrides."""
    own = {name for name in vars(type(create_server())) if name.startswith("_") and not name.startswith("__")}
    inherited = {name for base in socketio.AsyncServer.__mro__ for name in vars(base)}
    assert own & inherited == {"_engineio_server_class"}

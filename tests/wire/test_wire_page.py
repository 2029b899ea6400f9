"""docs/wire.md names the routes, events and fields that the models describe, and no others."""

import re
from pathlib import Path

from pnl_backend import __version__
from pnl_backend.http.routes.health import HealthRoutes
from pnl_backend.http.routes.operations import OperationsRoutes
from pnl_backend.http.routes.pnl import PnlRoutes
from pnl_backend.wire import dashboard_feed, history, ledger_feed, models, operations, socket_messages
from pnl_backend.wire.asyncapi import asyncapi
from pnl_backend.wire.message import Message
from tests.http.support import House, options

PAGE = (Path(__file__).parents[2] / "docs" / "wire.md").read_text()
MODULES = (models, operations, history, ledger_feed, dashboard_feed, socket_messages)
OF_CONNECTIONS = {"since", "apiKey", "success", "data", "timestamp", "error", "message", "code", "id", "type"}


def fields():
    found = [value for module in MODULES for value in vars(module).values() if isinstance(value, type)]
    return {name for model in found if issubclass(model, Message) for name in model.__struct_fields__}


def test_every_route_that_it_names_is_served_and_every_served_one_is_named():

    house, chosen = House(), options()
    kinds = (HealthRoutes, PnlRoutes, OperationsRoutes)
    served = {route.path for kind in kinds for route in kind(house.ports, chosen).routes()}
    (table,) = re.findall(r"\| route \| gives \|\n(.*?)\n\n", PAGE, re.DOTALL)
    named = {
        path for row in table.splitlines()[1:] for path in re.findall(r"(?:^|[ `])(/[a-z/-]+)", row.split(" | ")[0])
    }
    assert served <= named
    assert named - served <= {"/api/pnl/stream", "/api/sources"}


def test_every_event_that_it_names_is_described():
    messages = asyncapi(version=__version__, sources=())["components"]["messages"]
    described = {message["name"] for message in messages.values()}
    (table,) = re.findall(r"\| emit \| receive \|\n(.*?)\n\n", PAGE, re.DOTALL)
    named = set(re.findall(r"`([a-z]+[_-][a-z_-]+)`", table))
    assert named <= described
    assert {name for name in described if "subscribe" in name} <= named


def test_every_shape_that_it_shows_has_fields_of_the_models():
    shapes = re.findall(r"`\{([\w, ?:]+)\}`", PAGE)
    assert shapes
    named = {name for shape in shapes for name in re.findall(r"(\w+)(?=[,:?]|$)", shape.replace(" ", ""))}
    assert named - fields() - OF_CONNECTIONS == set()

"""The hand-written text of docs/wire.md names fields that the models have; its tables are written by `make docs`."""

import re
from pathlib import Path

from pnl_backend.wire import dashboard_feed, history, ledger_feed, models, operations, socket_messages
from pnl_backend.wire.message import Message

PAGE = (Path(__file__).parents[2] / "docs" / "wire.md").read_text()
MODULES = (models, operations, history, ledger_feed, dashboard_feed, socket_messages)
OF_CONNECTIONS = {"since", "apiKey", "success", "data", "timestamp", "error", "message", "code", "id", "type"}


def fields():
    found = [value for module in MODULES for value in vars(module).values() if isinstance(value, type)]
    return {name for model in found if issubclass(model, Message) for name in model.__struct_fields__}


def test_every_shape_that_it_shows_has_fields_of_the_models():
    shapes = re.findall(r"`\{([\w, ?:]+)\}`", PAGE)
    assert shapes
    named = {name for shape in shapes for name in re.findall(r"(\w+)(?=[,:?]|$)", shape.replace(" ", ""))}
    assert named - fields() - OF_CONNECTIONS == set()

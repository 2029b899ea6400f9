"""Writes what the documentation repeats of the code: tables in pages, the reference of messages, `.env.example`.

`make docs` runs it, and a test fails while a file differs. A table stands between `<!-- NAME: written by make docs -->`
and `<!-- end of NAME -->`; the text around it is written by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pnl_backend import __version__
from pnl_backend.assembly.feeds import stream_route
from pnl_backend.assembly.guards import describe
from pnl_backend.engine import closes, refusals
from pnl_backend.http.api import api_routes
from pnl_backend.http.openapi import openapi
from pnl_backend.http.options import HttpOptions
from pnl_backend.http.ports import Ports
from pnl_backend.http.routes.docs import DocsRoutes
from pnl_backend.http.routing import Route
from pnl_backend.settings import text as settings_text
from pnl_backend.sources import registry
from pnl_backend.wire.asyncapi import asyncapi

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"

Json = Mapping[str, Any]
Rows = Iterable[Sequence[str]]

_TABLE = re.compile(r"(<!-- (\w+): written by make docs -->\n).*?(<!-- end of \2 -->\n)", re.DOTALL)
_KEYS = {"public": "none", "optional": "optional", "admin": "admin", "metrics": "`METRICS_ACCESS`"}


class UnknownTable(Exception):
    """A page has the marks of a table that nothing writes."""


def files() -> dict[Path, str]:
    """Every file that is generated, or has generated parts, with the text that it is to have."""
    routes, rest, feeds = _described()
    tables = {
        "routes": lambda: _routes(routes),
        "feeds": lambda: _feeds(feeds),
        "marks": lambda: _marks(rest),
        "closes": _closes,
        "refusals": _refusals,
    }
    written = {page: filled(page.read_text(), tables) for page in sorted(DOCS.rglob("*.md"))}
    written[DOCS / "messages.md"] = _messages(rest, feeds)
    written[ROOT / ".env.example"] = settings_text.example(further=False)
    return written


def filled(text: str, tables: Mapping[str, Callable[[], str]]) -> str:
    """A page with its tables as they are now; UnknownTable for one that nothing writes."""

    def table(found: re.Match[str]) -> str:
        if found[2] not in tables:
            raise UnknownTable(found[2])
        return f"{found[1]}{tables[found[2]]()}{found[3]}"

    return _TABLE.sub(table, text)


def _described() -> tuple[list[Route], Json, Json]:
    """The documented routes, the OpenAPI and the AsyncAPI document, with the sources that every server has."""
    sources = [describe(declared) for declared in registry.types() if declared.always_shown]
    feeds = asyncapi(version=__version__, sources=sources)
    unused: Any = None  # no route is called
    ports = Ports(
        latest=unused, periods=unused, history=unused, breakers=unused, cache=unused, health=unused, metrics=unused,
        asyncapi=lambda: feeds, sources=sources,
    )  # fmt: skip
    options = HttpOptions(authenticator=unused)
    routes = api_routes(ports, options, docs=DocsRoutes(ports.asyncapi), extra=[stream_route(unused)])
    documented = [route for route in routes if route.documented]
    return documented, openapi(documented, version=__version__, sources=sources), feeds


def _routes(routes: Iterable[Route]) -> str:
    rows = []
    for route in routes:
        described = f" {route.description}" if route.description else ""
        asked = f"`{route.method} {route.path}{_query(route)}`"
        rows.append((asked, _KEYS.get(route.guard.access, "read"), f"{route.summary}.{described}"))
    return _table(("route", "key", "answers"), rows)


def _query(route: Route) -> str:
    """The parameters with their choices, as `?period=all|mtd|today&limit=`."""
    given = [f"{param.name}={'|'.join(param.schema().get('enum', ()))}" for param in route.params]
    return "?" + "&".join(given) if given else ""


def _feeds(feeds: Json) -> str:
    actions = {ref["$ref"]: each["action"] for each in feeds["operations"].values() for ref in each["messages"]}
    senders = {"send": "server", "receive": "client"}
    rows = []
    for name, channel in feeds["channels"].items():
        where = f"{channel['title']}, `{channel['address']}`"
        if name.startswith("socketio_"):
            continue  # the namespace of one topic, with the same messages
        for key in channel["messages"]:
            message = feeds["components"]["messages"][key]
            sender = senders.get(actions.get(f"#/channels/{name}/messages/{key}", ""), "server")
            rows.append((where, f"`{message['name']}`", sender, _linked(message["payload"]), message["summary"]))
    return _table(("feed", "message", "sent by", "fields", "when"), rows)


def _linked(payload: Json) -> str:
    """The name of a payload's model, with a link to its fields."""
    for choice in (payload, *payload.get("anyOf", ())):
        if "$ref" in choice:
            name = choice["$ref"].rsplit("/", 1)[1]
            return f"[{name}](messages.md#{name.lower()})"
    return "none"


def _marks(rest: Json) -> str:
    schemas = rest["components"]["schemas"]
    snapshot, now, row = (schemas[name]["properties"] for name in ("Snapshot", "Breakdown", "HistoryRow"))
    rows = [
        (f"`{name}`", now.get(name, snapshot[name])["description"], row[name]["description"])
        for name in ("degraded", "estimated", "complete", "restated")
    ]
    return _table(("field", "in messages and snapshots", "in rows of history"), rows)


def _closes() -> str:
    rows = [
        (str(each.code), f"`{each.reason}`" if each.reason else "none", _yes(each.reconnect), each.advice)
        for each in closes.ALL
    ]
    return _table(("code", "reason", "connect again", "what to do"), rows)


def _refusals() -> str:
    rows = []
    for each in refusals.ALL:
        status = f"{each.status}, `Retry-After: {each.retry_after}`" if each.retry_after else str(each.status)
        rows.append((status, str(each.code), f"`{each.message}`", _yes(each.retry), each.advice))
    return _table(("status", "code", "message", "same request again", "what to do"), rows)


_INTRODUCTION = """<!-- Written by make docs: edit the models in pnl_backend/wire instead. -->

# Messages and models

Every message and REST model with its fields. [wire.md](wire.md) has when each is sent. A running server has the same
page at `/docs`, with its further sources. Readers must accept unknown fields: later versions add some.
"""


def _messages(rest: Json, feeds: Json) -> str:
    schemas = {**feeds["components"]["schemas"], **rest["components"]["schemas"]}
    parts = [_INTRODUCTION]
    for name, schema in sorted(schemas.items(), key=lambda item: item[0].lower()):
        required = schema.get("required", ())
        rows = [
            (f"`{field}`" + ("" if field in required else ", optional"), _type(of), of.get("description", ""))
            for field, of in schema.get("properties", {}).items()
        ]
        described = f"{schema['description']}\n\n" if schema.get("description") else ""
        parts.append(f"## {name}\n\n{described}" + (_table(("field", "type", ""), rows) if rows else "No fields.\n"))
    return "\n".join(parts)


def _type(schema: Json) -> str:
    match schema:
        case {"$ref": reference}:
            name = reference.rsplit("/", 1)[1]
            text = f"[{name}](#{name.lower()})"
        case {"const": value}:
            text = f"`{json.dumps(value)}`"
        case {"enum": choices}:
            text = ", ".join(f"`{choice}`" for choice in choices)
        case {"anyOf": options}:
            text = " or ".join(_type(option) for option in options)
        case {"type": "array", "items": items}:
            text = f"list of {_type(items)}"
        case {"type": "object", "additionalProperties": dict(values)}:
            text = f"object, each value {_type(values)}"
        case _:
            text = str(schema.get("type", "any"))
    return text


def _table(head: Sequence[str], rows: Rows) -> str:
    lines = [[cell.replace("|", r"\|") for cell in row] for row in (head, *rows)]
    first, *others = [f"| {' | '.join(line)} |\n" for line in lines]
    return first + "|" + "---|" * len(head) + "\n" + "".join(others)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def main() -> None:
    for path, text in files().items():
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)
            print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

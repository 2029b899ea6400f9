"""The descriptions as an HTML page, rendered by the server, without scripts and external files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from pnl_backend.wire.message import encode

Json = Mapping[str, Any]

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="/page.css">
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def render(openapi: Json, asyncapi: Json | None = None) -> str:
    """One page: the routes by tag, the feeds where they are described, then every message's shape."""
    info = openapi["info"]
    parts = [
        f"<h1>{escape(info['title'])}</h1>",
        f'<p class="soft">Version {escape(info["version"])}. The same for machines: <code>/openapi.json</code>'
        + (", <code>/asyncapi.json</code>" if asyncapi is not None else "")
        + "</p>",
        f"<p>{_text(info['description'])}</p>",
        *_routes(openapi["paths"]),
    ]
    if asyncapi is not None:
        parts += _feeds(asyncapi)
    parts.append("<h2>Messages</h2>")
    schemas = {**(asyncapi or {}).get("components", {}).get("schemas", {}), **openapi["components"]["schemas"]}
    parts += [_schema(name, schema) for name, schema in sorted(schemas.items())]
    return _PAGE.format(title=escape(info["title"]), body="\n".join(parts))


def _routes(paths: Json) -> list[str]:
    by_tag: dict[str, list[str]] = {}
    for path, operations in paths.items():
        for method, operation in operations.items():
            by_tag.setdefault(operation["tags"][0], []).append(_operation(path, method, operation))
    return [part for tag, operations in by_tag.items() for part in (f"<h2>{escape(tag)}</h2>", *operations)]


def _operation(path: str, method: str, operation: Json) -> str:
    key = "" if operation["security"] else ' <span class="soft">no key needed</span>'
    rows = [
        (f"<code>{escape(p['name'])}</code>", _type(p["schema"]), _text(p["description"]))
        for p in operation.get("parameters", ())
    ]
    answers = []
    for status, answer in operation["responses"].items():
        content = ", ".join(f"{escape(kind)}: {_type(body['schema'])}" for kind, body in answer["content"].items())
        answers.append((escape(status), _text(answer["description"]), content))
    return "".join(
        (
            '<section class="card">',
            f'<h3><span class="verb">{escape(method.upper())}</span> <code>{escape(path)}</code></h3>',
            f"<p>{_text(operation['summary'])}. {_text(operation.get('description', ''))}{key}</p>",
            _table(("Parameter", "Type", ""), rows),
            _table(("Answer", "", "Body"), answers),
            "</section>",
        )
    )


def _feeds(asyncapi: Json) -> list[str]:
    parts = ["<h2>Feeds</h2>"]
    actions = {ref["$ref"]: o["action"] for o in asyncapi.get("operations", {}).values() for ref in o["messages"]}
    described = asyncapi.get("components", {}).get("messages", {})
    for name, channel in asyncapi.get("channels", {}).items():
        title, address = escape(str(channel.get("title", name))), escape(str(channel.get("address", name)))
        rows = [
            _feed_message(described[key], actions.get(f"#/channels/{name}/messages/{key}"))
            for key in channel.get("messages", {})
        ]
        parts.append(
            f'<section class="card"><h3>{title} <code>{address}</code></h3>'
            f"<p>{_text(str(channel.get('description', '')))}</p>"
            f"{_table(('Message', '', 'Payload', ''), rows)}</section>"
        )
    return parts


def _feed_message(message: Json, action: str | None) -> tuple[str, ...]:
    direction = {"send": "to the client", "receive": "from the client"}.get(str(action), "in answer")
    return (f"<code>{escape(message['name'])}</code>", direction, _type(message["payload"]), _text(message["summary"]))


def _schema(name: str, schema: Json) -> str:
    required = schema.get("required", ())
    rows = [
        (
            f"<code>{escape(field)}</code>" + ("" if field in required else ' <span class="soft">optional</span>'),
            _type(of),
            _text(of.get("description", "")),
        )
        for field, of in schema.get("properties", {}).items()
    ]
    title, text = escape(name), _text(schema.get("description", ""))
    table = _table(("Field", "Type", ""), rows)
    return f'<section class="card" id="{title}"><h3>{title}</h3><p>{text}</p>{table}</section>'


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Cells are HTML already."""
    if not rows:
        return ""
    heads = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>'


def _type(schema: Json) -> str:
    """A short form of a schema, with a link if it has a name."""
    match schema:
        case {"$ref": ref}:
            name = escape(ref.rsplit("/", 1)[1])
            text = f'<a href="#{name}">{name}</a>'
        case {"const": value}:
            text = f"<code>{escape(encode(value).decode())}</code>"
        case {"enum": choices}:
            text = ", ".join(f"<code>{escape(str(choice))}</code>" for choice in choices)
        case {"anyOf": options}:
            text = " or ".join(_type(option) for option in options)
        case {"type": "array"}:
            text = f"list of {_type(schema.get('items', {}))}"
        case {"properties": {"data": data}}:
            text = f"success form of {_type(data)}"
        case _:
            bounds = [f"{sign} {schema[key]}" for key, sign in (("minimum", "≥"), ("maximum", "≤")) if key in schema]
            text = escape(" ".join((str(schema.get("type", "any")), *bounds)))
    return text


def _text(text: str) -> str:
    """Prose with `code` in backticks."""
    pieces = escape(" ".join(text.split())).split("`")
    return "".join(f"<code>{piece}</code>" if i % 2 else piece for i, piece in enumerate(pieces))

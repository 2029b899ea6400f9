"""The OpenAPI 3.1 document, built from the routes that are served and the models of their messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

from pnl_backend.http.routing import Answer, Route
from pnl_backend.wire.answers import Failure, Success
from pnl_backend.wire.schemas import model_schemas
from pnl_backend.wire.schemas import schema_ref as _ref
from pnl_backend.wire.source_schemas import DescribedSource, with_sources

Json = dict[str, Any]

_KEYS: list[Json] = [{"header": []}, {"bearer": []}, {"query": []}]
_SECURITY: dict[str, list[Json]] = {"public": [], "optional": [{}, *_KEYS]}
"""Security by access; all others require one of the keys."""
_SCHEMES: Json = {
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "query": {
        "type": "apiKey",
        "in": "query",
        "name": "apiKey",
        "description": "For clients that cannot send headers; redacted in logs.",
    },
}
_INTRODUCTION = (
    "One true profit and loss out of Kalshi trading, Anthropic spend and invoiced revenue. Money is USD with at most "
    "two decimals. A client makes a set number of requests a minute; `RateLimit-*` headers have how many are left."
)


def openapi(routes: Iterable[Route], *, version: str, sources: Sequence[DescribedSource]) -> Json:
    """The whole document, without the routes that are not documented."""
    shown = [route for route in routes if route.documented]
    paths: Json = {}
    for route in shown:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "P&L streaming server", "version": version, "description": _INTRODUCTION},
        "paths": paths,
        "components": {"schemas": with_sources(_schemas(shown), sources), "securitySchemes": _SCHEMES},
    }


def _operation(route: Route) -> Json:
    words = route.path.replace("-", "/").replace(".", "/").split("/")
    operation: Json = {
        "operationId": route.method.lower() + "".join(word.capitalize() for word in words if word),
        "summary": route.summary,
        "tags": [route.tag],
        "security": _SECURITY.get(route.guard.access, _KEYS),
        "responses": _responses(route),
    }
    if route.description:
        operation["description"] = route.description
    if route.params:
        operation["parameters"] = [
            {"name": p.name, "in": "query", "description": p.description, "schema": p.schema()} for p in route.params
        ]
    if route.body is not None:
        operation["requestBody"] = {"required": False, "content": {"application/json": {"schema": _ref(route.body)}}}
    return operation


def _responses(route: Route) -> Json:
    responses: Json = {}
    for answer in route.answers:
        entry = responses.setdefault(str(answer.status), {"description": answer.description, "content": {}})
        schema, content = _answer_schema(answer), entry["content"]
        if answer.content_type in content:
            schema = {"anyOf": [content[answer.content_type]["schema"], schema]}
        content[answer.content_type] = {"schema": schema}
    refusals = set(route.errors)
    if route.guard.access not in _SECURITY:
        refusals |= {401, 403}
    if route.guard.limited:
        refusals.add(429)
    for status in sorted(refusals):
        responses[str(status)] = _failure(HTTPStatus(status).phrase)
        if status in {429, 503}:
            responses[str(status)]["headers"] = {
                "Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}
            }
    responses["default"] = _failure("Any other failure")
    return responses


def _failure(description: str) -> Json:
    return {"description": description, "content": {"application/json": {"schema": _ref(Failure)}}}


def _answer_schema(answer: Answer) -> Json:
    if answer.model is None:
        return {"type": "object" if answer.content_type == "application/json" else "string"}
    schema = _ref(answer.model)
    if answer.many:
        schema = {"type": "array", "items": schema}
    if not answer.enveloped:
        return schema
    envelope = model_schemas([Success])[Success.__name__]
    envelope["properties"]["data"] = schema
    return envelope if answer.beside is None else {"allOf": [envelope, _ref(answer.beside)]}


def _schemas(routes: Iterable[Route]) -> Json:
    models: list[type[Any]] = [Success, Failure]
    for route in routes:
        models += [model for answer in route.answers for model in (answer.model, answer.beside) if model is not None]
        models += [route.body] if route.body is not None else []
    return model_schemas(models)

"""Compares JSON with the field lists of Kalshi's official client, and notes which fields a reader reads."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from datetime import datetime
from typing import Any

from tests.data.kalshi.make_fields import ANSWERS, FIELDS

MODELS: dict[str, Any] = json.loads(FIELDS.read_text("utf-8"))
_PLAIN: dict[str, tuple[type, ...]] = {
    "StrictStr": (str,),
    "StrictInt": (int,),
    "StrictBool": (bool,),
    "StrictFloat": (float,),
    "datetime": (str,),
}

Difference = tuple[str, str, str]
"""Model, field, and what is wrong."""


def model_of(path: str) -> str:
    """The model of a route's answer; KeyError for a route that the lists do not have."""
    return ANSWERS[re.sub(r"(/historical/markets)/.+", r"\1/{ticker}", path)]


def nested(model: str, field: str) -> str | None:
    """The model of what stands in a field, if it is a model or a list of one."""
    kind = MODELS[model]["fields"].get(field, {}).get("type", "")
    return next((name for name in re.findall(r"\w+", kind) if "fields" in MODELS.get(name, {})), None)


def optional(model: str) -> set[str]:
    """The fields of a model, and of the models inside it, that may be left out."""
    found = {name for name, field in MODELS[model]["fields"].items() if not field["required"]}
    return found.union(*(optional(inner) for name in MODELS[model]["fields"] if (inner := nested(model, name))))


def differences(model: str, value: dict[str, Any]) -> set[Difference]:
    """Where an object departs from its model: a field that is missing, unknown, or of another type."""
    fields = MODELS[model]["fields"]
    found: set[Difference] = {(model, name, "unknown") for name in value if name not in fields}
    for name, field in fields.items():
        if name not in value:
            if field["required"]:
                found.add((model, name, "missing"))
        elif value[name] is None and not field["required"]:
            continue
        elif not _fits(field["type"], value[name]) or ("values" in field and value[name] not in field["values"]):
            found.add((model, name, f"not a {field['type']}: {value[name]!r:.60}"))
        elif (inner := nested(model, name)) is not None:
            rows = value[name] if isinstance(value[name], list) else [value[name]]
            found = found.union(*(differences(inner, row) for row in rows))
    return found


def _fits(kind: str, value: Any) -> bool:
    kind = re.sub(r"^Optional\[(.*)\]$", r"\1", kind)
    if kind.startswith("Union["):
        return any(_fits(one.strip(), value) for one in kind[6:-1].split(","))
    if kind.startswith("List["):
        return isinstance(value, list) and all(_fits(kind[5:-1], item) for item in value)
    if kind in _PLAIN:
        if isinstance(value, bool) and bool not in _PLAIN[kind]:
            return False
        return isinstance(value, _PLAIN[kind]) and (kind != "datetime" or _is_time(value))
    if "enum" in MODELS.get(kind, {}):
        return value in MODELS[kind]["enum"]
    return isinstance(value, dict)


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


class Noted(dict[str, Any]):
    """An object of an answer that notes, by model, which of its fields are looked at."""

    def __init__(self, value: dict[str, Any], model: str, seen: defaultdict[str, set[str]]) -> None:
        super().__init__({name: _noted(item, nested(model, name), seen) for name, item in value.items()})
        self._note = seen[model].add

    def get(self, key: str, default: Any = None) -> Any:
        self._note(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self._note(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self._note(str(key))
        return super().__contains__(key)


def _noted(value: Any, model: str | None, seen: defaultdict[str, set[str]]) -> Any:
    if model is None:
        return value
    if isinstance(value, list):
        return [_noted(item, model, seen) for item in value]
    return Noted(value, model, seen) if isinstance(value, dict) else value

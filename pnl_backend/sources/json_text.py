"""JSON of an upstream, every fraction a Decimal."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec

_DECODER = msgspec.json.Decoder(float_hook=Decimal)


def parse_json(text: str) -> Any:
    """The value of a JSON text; raises ValueError or RecursionError.

    msgspec takes two thirds of the standard library's time. What it refuses goes to the standard library, which says
    what is wrong in words, and takes the lone surrogates that msgspec does not.
    """
    try:
        return _DECODER.decode(text)
    except msgspec.DecodeError:
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)


def json_or_none(text: str | None) -> Any:
    """The value of a JSON text; None for anything else."""
    try:
        return None if text is None else parse_json(text)
    except (ValueError, RecursionError):
        return None


def cause_of(error: Exception) -> str:
    """Why a text is no JSON, in words."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos}"
    return str(error)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"it contains {name}")

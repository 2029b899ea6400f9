"""Every place in a JSON answer, and values that must not be there."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

Place = tuple[str | int, ...]

WRONG: tuple[Any, ...] = ({"unexpected": []}, True)
"""No upstream means these where it has a number, a text or a list."""


def places(answer: Any, at: Place = ()) -> Iterator[Place]:
    """Every value within an answer; of a list the first item only."""
    if isinstance(answer, dict):
        for name, value in answer.items():
            yield (*at, name)
            yield from places(value, (*at, name))
    elif isinstance(answer, list) and answer:
        yield (*at, 0)
        yield from places(answer[0], (*at, 0))


def value_at(answer: Any, place: Place) -> Any:
    for step in place:
        answer = answer[step]
    return answer


def replaced(answer: Any, place: Place, value: Any) -> Any:
    """A copy of the answer with another value at that place; as it is where the place is not in it."""
    changed = copy.deepcopy(answer)
    try:
        within = value_at(changed, place[:-1])
        within[place[-1]]
    except (KeyError, IndexError, TypeError):
        return changed
    within[place[-1]] = value
    return changed

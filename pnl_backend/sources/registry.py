"""Every source type that this server knows, in order: the built-in ones, then those that other packages bring.

A folder beside this module is a built-in type when its module `source` has a `SourceType` called `SOURCE`.
A package brings a type by an entry point in the group `pnl_backend.sources` whose value is a `SourceType`. What cannot
be loaded or does not pass the checks stops the start with the package's name.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

from pnl_backend.domain.classic import CLASSIC
from pnl_backend.domain.ledger_facts import FactKind
from pnl_backend.domain.readings import SourceName
from pnl_backend.sources.simulated import Simulate
from pnl_backend.sources.source_type import SourceType, SourceTypeError, check_type

PACKAGE = "pnl_backend.sources"
GROUP = PACKAGE
AnyType = SourceType[Any, Any, Any]

_added: list[AnyType] = []


def _in_folders() -> Iterator[AnyType]:
    """The types of this package: the `SOURCE` of each folder that has a module `source`."""
    package = import_module(PACKAGE)
    for found in pkgutil.iter_modules(package.__path__):
        if found.ispkg and find_spec(f"{PACKAGE}.{found.name}.source") is not None:
            yield import_module(f"{PACKAGE}.{found.name}.source").SOURCE


def _place(declared: AnyType) -> tuple[int, str]:
    """The classic three come first and in their old order, then the others by name."""
    return (CLASSIC.index(declared.name) if declared.name in CLASSIC else len(CLASSIC), declared.name)


BUILT_IN: tuple[AnyType, ...] = tuple(sorted(_in_folders(), key=_place))


def types() -> tuple[AnyType, ...]:
    """All registered types in their order; SourceTypeError for one that cannot be used."""
    return _checked((*BUILT_IN, *_installed(), *_added))


def known(name: SourceName) -> AnyType:
    """The type of that name; KeyError where there is none."""
    return {one.name: one for one in types()}[name]


def source_of(fact: FactKind) -> SourceName:
    """The source whose facts of this kind the ledger books."""
    return next(one.name for one in types() if fact in one.facts)


def further_simulators() -> list[Simulate]:
    """What adds the upstreams of all types but the classic three to a simulation."""
    return [one.simulator for one in types() if one.simulator is not None and not one.always_shown]


@contextmanager
def registered(declared: AnyType) -> Iterator[None]:
    """Know one more type while the block runs, as if a package had brought it; for tests of a type."""
    _added.append(declared)
    try:
        types()
        yield
    finally:
        _added.remove(declared)


@cache
def _checked(declared: tuple[AnyType, ...]) -> tuple[AnyType, ...]:
    for one in declared:
        check_type(one)
    _unique("name", (one.name for one in declared))
    _unique("service", (one.breaker for one in declared))
    _unique("fact", (kind for one in declared for kind in sorted(one.facts)))
    _unique("setting", (field for one in declared for field in one.settings.model_fields))
    return declared


def _unique(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise SourceTypeError(f"two source types have the same {what}: {name}")
        seen.add(name)


@cache
def _installed() -> tuple[AnyType, ...]:
    found = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        package = entry.dist.name if entry.dist is not None else entry.value
        try:
            declared = entry.load()
        except Exception as error:
            raise SourceTypeError(f"source type {entry.name!r} of {package} cannot be loaded: {error}") from error
        if not isinstance(declared, SourceType):
            raise SourceTypeError(
                f"entry point {entry.name!r} of {package} is no SourceType but {type(declared).__name__}"
            )
        found.append(declared)
    return tuple(found)

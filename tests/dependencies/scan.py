"""What our code uses of other people's classes that no documentation promises, found by reading it."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import pkgutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pnl_backend

PACKAGE = Path(pnl_backend.__file__).parent
NAMED_TUPLE = frozenset({"_replace", "_make", "_fields", "_asdict", "_field_defaults"})
"""Documented, whatever they begin with."""
DOCUMENTED_BASES = frozenset({"pydantic", "pydantic_settings", "prometheus_client"})
"""Their documentation says how to subclass them: models, settings, collectors."""


@cache
def sources() -> Sequence[tuple[Path, ast.Module]]:
    """Our modules, parsed once for all tests."""
    return [(path, ast.parse(path.read_text())) for path in sorted(PACKAGE.rglob("*.py"))]


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_uses(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of each private name that is used of anything but `self`, unless the module defines it."""
    own = {name for node in ast.walk(tree) for name in _defined(node)}
    for node in ast.walk(tree):
        for name in _private_names(node):
            if name not in own | NAMED_TUPLE:
                yield node.lineno, name  # type: ignore[attr-defined] # expressions and imports have a line


def _private_names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Attribute):
        receiver = node.value
        of_system = isinstance(receiver, ast.Name) and receiver.id in {"self", "cls", *sys.stdlib_module_names}
        if is_private(node.attr) and not of_system:
            yield node.attr
    elif isinstance(node, ast.ImportFrom):
        names = [alias.name for alias in node.names] + (node.module or "").split(".")
        yield from filter(is_private, names)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"getattr", "setattr"}:
        named = node.args[1] if len(node.args) > 1 else None
        if isinstance(named, ast.Constant) and is_private(str(named.value)):
            yield str(named.value)


def _defined(node: ast.AST) -> Iterator[str]:
    """Names that a node gives a meaning in this module."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
        yield node.attr


def submodules(tree: ast.Module) -> Iterator[str]:
    """Modules inside other people's packages that are imported, or reached by their dotted name."""
    imported = {
        alias.asname or alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names = [ast.unparse(node)]
        else:
            continue
        for name in names:
            top, _, inside = name.partition(".")
            if isinstance(node, ast.Attribute) and top not in imported:
                continue  # a variable
            if inside and top not in {"pnl_backend", *sys.stdlib_module_names} and _is_module(name):
                yield name


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def our_classes() -> Iterator[type]:
    """Every class of ours that other people's classes are bases of."""
    for found in pkgutil.walk_packages(pnl_backend.__path__, "pnl_backend."):
        if found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        for value in vars(module).values():
            if isinstance(value, type) and value.__module__ == module.__name__ and foreign_bases(value):
                yield value


def foreign_bases(cls: type) -> list[type]:
    left_out = {"pnl_backend", "builtins", *sys.stdlib_module_names, *DOCUMENTED_BASES}
    return [base for base in cls.__mro__[1:] if base.__module__.partition(".")[0] not in left_out]


def shared_names(cls: type) -> set[str]:
    """Names of other people's bases that the source of our class uses on `self` or defines again."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    names: set[str] = set()
    for node in ast.walk(body):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in {"self", "super()"}:
            names.add(node.attr)
    assert isinstance(body, ast.ClassDef)
    for statement in body.body:
        for node in (statement, *getattr(statement, "targets", ()), getattr(statement, "target", statement)):
            names.update(_defined(node))
    dunder = {name for name in names if name.startswith("__")}
    return {name for name in names - dunder if any(has(base, name) for base in foreign_bases(cls))}


def has(owner: Any, name: str) -> bool:
    """Whether a class, an instance made by its `__init__`, or a module has a name."""
    if hasattr(owner, name):
        return True
    for base in getattr(owner, "__mro__", ()):
        if name in getattr(base, "__slots__", ()):
            return True
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError):
            continue
        if any(name in _defined(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)):
            return True
    return False


def resolve(dotted: str) -> Any:
    """The module, class or function of a dotted name."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise ImportError(dotted)

"""What we rely on beyond the documentation of a library: it is listed, used, and in what is installed."""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from importlib.metadata import packages_distributions, version

import pytest

from tests.dependencies import scan
from tests.dependencies.relied_on import DOCUMENTED_MODULES, RELIED_ON, Reliance

distributions = cache(packages_distributions)


def installed(reliance: Reliance) -> str:
    package = reliance.owner.partition(".")[0]
    (distribution, *_) = distributions()[package]
    return f"{distribution} {version(distribution)}"


def shape(function: object) -> str:
    """The parameters as `RELIED_ON` writes them."""
    parts = []
    for parameter in inspect.signature(function).parameters.values():  # type: ignore[arg-type]
        star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        parts.append(star + parameter.name + ("" if parameter.default is parameter.empty else "="))
    return ", ".join(parts)


@pytest.mark.parametrize("reliance", RELIED_ON, ids=str)
def test_what_is_installed_still_has_it(reliance: Reliance) -> None:
    problem = f"{installed(reliance)} has no {reliance} as before, which {reliance.where} needs: {reliance.why}"
    owner = scan.resolve(reliance.owner)
    assert not reliance.name or scan.has(owner, reliance.name), problem
    if reliance.signature is not None:
        assert shape(getattr(owner, reliance.name)) == reliance.signature, problem
    if reliance.takes:
        assert set(reliance.takes) <= set(inspect.signature(getattr(owner, reliance.name)).parameters), problem


@pytest.mark.parametrize("reliance", RELIED_ON, ids=str)
def test_each_name_is_used_where_the_list_has_it(reliance: Reliance) -> None:
    named = reliance.owner.rpartition(".")[2] if reliance.name in ("", "__new__") else reliance.name
    assert any(re.search(rf"\b{named}\b", text) for text in definitions(reliance.where)), (
        f"{reliance.where} does not use {reliance}"
    )


def definitions(name: str) -> list[str]:
    """The source of every class and function of ours with a name; of a whole module that sets or uses it."""
    found = [ast.unparse(node) for node in made().get(name, [])]
    return found + [ast.unparse(tree) for (_, tree), names in zip(scan.sources(), used(), strict=True) if name in names]


@cache
def made() -> dict[str, list[ast.AST]]:
    """Our classes and functions by name."""
    found: dict[str, list[ast.AST]] = {}
    for _, tree in scan.sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found.setdefault(node.name, []).append(node)
    return found


@cache
def used() -> list[set[str]]:
    """The names that each of our modules uses."""
    return [{node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} for _, tree in scan.sources()]


def test_no_private_name_is_used_beyond_the_list() -> None:
    listed = {reliance.name for reliance in RELIED_ON}
    used = {
        f"{path.relative_to(scan.PACKAGE)}:{line} {name}"
        for path, tree in scan.sources()
        for line, name in scan.private_uses(tree)
        if name not in listed
    }
    assert not used, "list them in tests/dependencies/relied_on.py, or do without"


def test_no_name_of_a_base_class_is_used_or_overridden_beyond_the_list() -> None:
    for cls in scan.our_classes():
        listed = {reliance.name for reliance in RELIED_ON if reliance.where == cls.__name__}
        beyond = scan.shared_names(cls) - listed
        assert not beyond, f"{cls.__name__} shares {beyond} with {scan.foreign_bases(cls)}: list them"


def test_no_inner_module_is_imported_beyond_the_list() -> None:
    listed = DOCUMENTED_MODULES | {reliance.owner for reliance in RELIED_ON}
    beyond = {
        f"{path.relative_to(scan.PACKAGE)} {name}"
        for path, tree in scan.sources()
        for name in scan.submodules(tree)
        if not any(name == module or name.startswith(module + ".") for module in listed)
    }
    assert not beyond, "is it documented? then add it to DOCUMENTED_MODULES, else to RELIED_ON"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("transport._loop", ["_loop"]),
        ("a.b()._buffer.clear()", ["_buffer"]),
        ("request._cache = {}", ["_cache"]),
        ("getattr(writer, '_eof', None)", ["_eof"]),
        ("from aiohttp._websocket import reader", ["_websocket"]),
        ("from aiohttp.helpers import _SENTINEL", ["_SENTINEL"]),
        ("os._exit(1)", []),
        ("self._mine", []),
        ("row._replace(a=1)", []),
        ("class A:\n    def __init__(self): self._a = 1\ndef f(a: A): return a._a", []),
        ("message.__class__", []),
    ],
)
def test_the_search_finds_what_it_should(source: str, found: list[str]) -> None:
    assert [name for _, name in scan.private_uses(ast.parse(source))] == found

"""The page on the architecture agrees with the code: its layers, the order of start and stop, the names in it."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pnl_backend.app import running
from pnl_backend.settings import text as settings_text
from pnl_backend.stream.hub import RING
from tests.docs.pages import PAGES, ROOT

PAGE = (ROOT / "docs" / "contributing" / "architecture.md").read_text()
PACKAGE = ROOT / "pnl_backend"
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
CODE = re.compile(r"`([^`\n]+)`")


def section(heading: str) -> str:
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def rows(heading: str) -> list[list[str]]:
    """The cells of a section's table, its head aside."""
    lines = [line for line in section(heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_layers_are_those_that_are_checked() -> None:
    checked = [{part.strip() for part in layer.split("|")} for layer in CONTRACTS[0]["layers"]]
    assert [set(CODE.findall(parts)) for _, parts, _ in rows("Layers")] == checked


def test_every_part_of_the_package_has_a_layer() -> None:
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    named = {name for _, parts, _ in rows("Layers") for name in CODE.findall(parts)}
    assert named == parts - {"__init__", "__main__"}


def test_every_further_import_rule_is_named() -> None:
    listed = re.findall(r"^- (.+)$", section("Layers"), re.MULTILINE)
    assert listed == [contract["name"] for contract in CONTRACTS[1:]]


def test_the_length_of_the_ring_is_the_hub_s() -> None:
    assert f"for replay, {RING} of them" in PAGE


@pytest.fixture
def closers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the outermost stack is to close, in order, by its class and method or by its function."""
    found: list[str] = []
    stacks: list[AsyncExitStack] = []
    push, enter = AsyncExitStack.push_async_callback, AsyncExitStack.enter_async_context

    def note(stack: AsyncExitStack, name: str) -> None:
        stacks.append(stack)
        if stack is stacks[0]:
            found.append(name)

    def pushed(self: AsyncExitStack, callback: Any, *args: Any, **more: Any) -> Any:
        note(self, f"{type(callback.__self__).__name__}.{callback.__name__}")
        return push(self, callback, *args, **more)

    async def entered(self: AsyncExitStack, context: Any) -> Any:
        made_by = getattr(context, "func", None)
        note(self, made_by.__qualname__ if made_by is not None else type(context).__name__)
        return await enter(self, context)

    monkeypatch.setattr(AsyncExitStack, "push_async_callback", pushed)
    monkeypatch.setattr(AsyncExitStack, "enter_async_context", entered)
    return found


async def test_parts_are_opened_in_the_order_of_the_page(
    closers: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with running(settings_text.load(demo="true", port=0, log_dir=str(tmp_path / "logs"))):
        opened = list(dict.fromkeys(closers))
    assert [name for _, closed in rows("Start and stop") for name in CODE.findall(closed)] == opened


def defined(tree: ast.AST, prefix: str = "") -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from defined(node, f"{node.name}.")


@cache
def names() -> frozenset[str]:
    """Every function, class and method of the package and of the tests."""
    modules = [*PACKAGE.rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    return frozenset(name for path in modules for name in defined(ast.parse(path.read_text())))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_in_the_code_is_there(page: Path) -> None:
    """Paths, and methods as `Class.method`; names in code blocks are tried by running them."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for code in CODE.findall(prose):
        if re.fullmatch(r"(pnl_backend|tests|docs|client|bench|deploy)/[\w./-]*", code):
            assert (ROOT / code).exists(), code
        elif re.fullmatch(r"[A-Z][a-z][A-Za-z]*\.[a-z_]+", code) and code not in section("Start and stop"):
            assert code in names(), code

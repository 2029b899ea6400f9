"""What import-linter's contracts leave open: import cycles, and folders used by their public names only."""

import sys
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

PACKAGE = "pnl_backend"


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Every import between our modules, those under TYPE_CHECKING and inside of functions included."""
    return grimp.build_graph(PACKAGE, exclude_type_checking_imports=False, cache_dir=None)


def cycles(graph: grimp.ImportGraph) -> list[list[str]]:
    """Strongly connected components of more than one module (Tarjan's algorithm)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> Iterator[str]:
        number[module] = lowest[module] = len(number)
        stack.append(module)
        for imported in sorted(graph.find_modules_directly_imported_by(module)):
            if imported not in number:
                yield imported
                lowest[module] = min(lowest[module], lowest[imported])
            elif imported in stack:
                lowest[module] = min(lowest[module], number[imported])
        if lowest[module] == number[module]:
            start = stack.index(module)
            component = stack[start:]
            del stack[start:]
            if len(component) > 1:
                found.append(sorted(component))

    for module in sorted(graph.modules):
        if module not in number:
            walk = [visit(module)]
            while walk:
                following = next(walk[-1], None)
                if following is None:
                    walk.pop()
                else:
                    walk.append(visit(following))
    return found


def test_no_module_is_part_of_an_import_cycle(graph: grimp.ImportGraph) -> None:
    assert len(graph.modules) > 100
    assert cycles(graph) == []


def test_the_search_finds_cycles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One by an import for types alone and one by an import inside of a function."""
    sources = {
        "__init__": "",
        "a": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from cyclic.b import B\n",
        "b": "import cyclic.c\n",
        "c": "def f():\n    import cyclic.a\n",
        "d": "import cyclic.a\n",
    }
    (tmp_path / "cyclic").mkdir()
    for name, text in sources.items():
        (tmp_path / "cyclic" / f"{name}.py").write_text(text)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    found = cycles(grimp.build_graph("cyclic", exclude_type_checking_imports=False, cache_dir=None))
    assert found == [["cyclic.a", "cyclic.b", "cyclic.c"]]


def test_the_engine_is_used_by_its_public_names_only(graph: grimp.ImportGraph) -> None:
    """Its own name, and the three modules that hold nothing but limits, closes and refusals."""
    face = f"{PACKAGE}.engine"
    open_to_all = {f"{face}.{name}" for name in ("closes", "limits", "refusals")}
    inside = {
        (module, imported)
        for module in graph.modules
        if not (module + ".").startswith(f"{face}.")
        for imported in graph.find_modules_directly_imported_by(module)
        if imported.startswith(f"{face}.") and imported not in open_to_all
    }
    assert inside == set()


def test_no_source_knows_another_one(graph: grimp.ImportGraph) -> None:
    """Whichever folders there are: import-linter's contract names the classic three."""
    sources = f"{PACKAGE}.sources"
    types = {module.removesuffix(".source") for module in graph.modules if module.endswith(".source")}
    assert {f"{sources}.{name}" for name in ("kalshi", "anthropic", "revenue")} <= types

    def type_of(module: str) -> str | None:
        return next((one for one in types if (module + ".").startswith(one + ".")), None)

    across = {
        (module, imported)
        for module in graph.modules
        if (own := type_of(module)) is not None
        for imported in graph.find_modules_directly_imported_by(module)
        if type_of(imported) not in (own, None)
    }
    assert across == set()

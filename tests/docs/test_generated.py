"""What `make docs` writes is up to date, and follows from the code."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from pnl_backend.engine import EngineConfig, closes, refusals
from tests.docs.pages import ROOT

WIRE = ROOT / "docs" / "wire.md"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def written(generate: ModuleType) -> dict[Path, str]:
    files: dict[Path, str] = generate.files()
    return files


def test_every_generated_file_is_up_to_date(written: dict[Path, str]) -> None:
    stale = [str(path.relative_to(ROOT)) for path, text in written.items() if path.read_text() != text]
    assert stale == [], "run make docs"


def test_the_tables_list_every_route_close_and_refusal(written: dict[Path, str]) -> None:
    page = written[WIRE]
    for route in ("GET /health", "GET /api/pnl/current?period=all", "GET /api/pnl/stream", "POST /api/cache/clear"):
        assert f"| `{route}" in page
    for close in closes.ALL:
        assert f"| {close.code} | " in page
        assert f"| {close.advice} |" in page
    for refusal in refusals.ALL:
        assert f"| `{refusal.message}` |" in page
    for event in ("subscribe_pnl", "pnl_update", "pnl-update", "snapshot", "delta"):
        assert f"| `{event}` |" in page


def test_every_link_to_a_message_leads_to_its_fields(generate: ModuleType, written: dict[Path, str]) -> None:
    reference = written[generate.DOCS / "messages.md"]
    headings = {heading.lower() for heading in re.findall(r"^## (\w+)$", reference, re.MULTILINE)}
    linked = re.findall(r"messages\.md#(\w+)", written[WIRE]) + re.findall(r"\(#(\w+)\)", reference)
    assert len(linked) > 50
    assert set(linked) <= headings


def test_a_shape_that_both_descriptions_have_is_defined_alike(generate: ModuleType) -> None:
    _, rest, feeds = generate._described()
    shapes = [document["components"]["schemas"] for document in (rest, feeds)]
    shared = shapes[0].keys() & shapes[1].keys()
    assert {"Snapshot", "Breakdown", "KalshiComponent"} <= shared
    assert [name for name in sorted(shared) if shapes[0][name] != shapes[1][name]] == []


def test_the_types_of_the_client_have_the_fields_of_the_models(generate: ModuleType) -> None:
    """`npm run e2e` compares the whole file; this finds most differences without Node."""
    types = (ROOT / "client/packages/pnl-client/src/types/wire.ts").read_text()
    shapes = re.findall(r"^ {8}(\w+): \{\n(.*?)^ {8}\};$", types, re.MULTILINE | re.DOTALL)
    typed = {name: set(re.findall(r'^ {12}"?([\w-]+)"?\??:', body, re.MULTILINE)) for name, body in shapes}
    _, rest, feeds = generate._described()
    schemas = feeds["components"]["schemas"] | rest["components"]["schemas"]
    modelled = {name: set(schema.get("properties", {})) for name, schema in schemas.items()}
    assert {name: typed.get(name) for name in modelled} == modelled, "run npm run types in client/"


def test_a_changed_table_is_written_anew_and_the_text_around_it_stays(generate: ModuleType) -> None:
    page = "Before.\n<!-- one: written by make docs -->\n| old |\n<!-- end of one -->\nAfter.\n"
    assert generate.filled(page, {"one": lambda: "| new |\n"}) == page.replace("old", "new")


def test_a_table_that_nothing_writes_is_an_error(generate: ModuleType) -> None:
    with pytest.raises(generate.UnknownTable, match="other"):
        generate.filled("<!-- other: written by make docs -->\n<!-- end of other -->\n", {})


def test_the_limits_on_the_page_of_the_engine_are_its_defaults() -> None:
    table = (ROOT / "docs" / "engine.md").read_text().partition("## What a client without a key can cost")[2]
    named = re.findall(r"`(\w+)` ([\d,]+)( KiB)?", table)
    assert len(named) > 8
    defaults = EngineConfig()
    for name, figure, unit in named:
        assert getattr(defaults, name) == int(figure.replace(",", "")) * (1024 if unit else 1), name

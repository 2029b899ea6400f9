"""Readings are unchanged by the cache to the digit; foreign bytes never become a number."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pnl_backend.domain.readings import Fetched
from pnl_backend.sources.codec import Codec
from pnl_backend.sources.registry import known
from tests.domain.strategies import portfolios, revenues, spends
from tests.wire.recorded import FOLDER, NOW, PORTFOLIO, REVENUE, SOURCES, SPEND, VALUES

VALUE = st.one_of(
    st.tuples(st.just("kalshi"), portfolios),
    st.tuples(st.just("anthropic"), spends),
    st.tuples(st.just("johns"), revenues),
)


@given(VALUE, st.integers(0, 2**42))
def test_round_trip(given_value, as_of):
    source, value = given_value
    codec = known(source).codec
    assert codec.decode(codec.encode(Fetched(value, as_of))) == Fetched(value, as_of)


@pytest.mark.parametrize("source", SOURCES)
def test_what_version_1_cached_is_still_read(source):
    held = orjson.loads((FOLDER / "cached.json").read_bytes())[source]
    value = dict(zip(SOURCES, (PORTFOLIO, SPEND, REVENUE), strict=True))[source]
    assert known(source).codec.decode(held.encode()) == Fetched(value, NOW)


@given(st.sampled_from(SOURCES), st.binary(max_size=200))
def test_bytes_that_are_not_ours(source, data):
    with pytest.raises(ValueError, match=r"not a reading|version"):
        known(source).codec.decode(data)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"v": 9, "kind": "johns", "as_of": 1, "value": ["1", "1", "0", []]},
        {"v": 2, "kind": "johns", "as_of": 1, "shape": "another", "value": ["1", "1", "0", []]},
        {"v": 1, "kind": "nobody", "as_of": 1, "value": []},
        {"v": 1, "kind": "kalshi", "as_of": 1, "value": ["1", None, []]},
        {"v": 1, "kind": "johns", "as_of": "1", "value": ["1", "1", "0", []]},
        {"v": 1, "kind": "johns", "as_of": True, "value": ["1", "1", "0", []]},
        {"v": 1, "kind": "johns", "as_of": 1, "value": [1.5, "1", "0", []]},
        {"v": 1, "kind": "johns", "as_of": 1, "value": ["NaN", "1", "0", []]},
        {"v": 1, "kind": "johns", "as_of": 1, "value": ["x", "1", "0", []]},
        {"v": 1, "kind": "johns", "as_of": 1, "value": ["1", "1", "0", {}]},
        {"v": 1, "kind": "johns", "as_of": 1, "value": ["1", "1", "0", [["d", "D", "1", "lost", None]]]},
        {"v": 1, "kind": "johns", "as_of": 1, "value": ["1", "1", "0", [["d", "D", "1"]]]},
    ],
)
def test_documents_that_are_not_ours(document):
    with pytest.raises(ValueError, match=r"."):
        known("johns").codec.decode(orjson.dumps(document))


def test_only_values_of_the_source_can_be_encoded():
    with pytest.raises(TypeError, match="Decimal"):
        known("johns").codec.encode(Fetched(Decimal(1), 0))
    with pytest.raises(TypeError, match="KalshiPortfolio"):
        known("johns").codec.encode(Fetched(VALUES["all"][0], 0))


@dataclass(frozen=True)
class Item:
    name: str
    day: date
    kind: Literal["a", "b"]


@dataclass(frozen=True)
class Whole:
    amount: Decimal
    count: int
    estimated: bool
    maybe: Decimal | None
    items: tuple[Item, ...] = ()


@pytest.mark.parametrize("maybe", [None, Decimal("0.10")])
def test_any_dataclass_of_exact_fields_has_a_codec(maybe):
    codec = Codec("toy", Whole)
    value = Whole(Decimal("1.230"), 3, True, maybe, (Item("é", date(2026, 2, 25), "b"),))
    assert codec.decode(codec.encode(Fetched(value, 5))) == Fetched(value, 5)


@dataclass(frozen=True)
class Inexact:
    amount: float


@dataclass(frozen=True)
class Untyped:
    amounts: list[Decimal]


@pytest.mark.parametrize(
    ("model", "said"), [(Inexact, r"Inexact\.amount: float .* use Decimal$"), (Untyped, r"Untyped\.amounts")]
)
def test_a_field_that_cannot_be_kept_exactly_is_named(model, said):
    with pytest.raises(TypeError, match=said):
        Codec("toy", model)


def test_a_value_whose_fields_changed_is_no_reading():
    @dataclass(frozen=True)
    class Renamed:
        total: Decimal

    @dataclass(frozen=True)
    class Before:
        amount: Decimal

    written = Codec("toy", Before).encode(Fetched(Before(Decimal(1)), 1))
    with pytest.raises(ValueError, match="other fields"):
        Codec("toy", Renamed).decode(written)

"""Readings survive the cache to the digit; bytes that are not ours never become a number."""

from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pnl_backend.domain.readings import Fetched
from pnl_backend.ingest.codec import decode, encode
from tests.domain.strategies import portfolios, revenues, spends


@given(portfolios | spends | revenues, st.integers(0, 2**42))
def test_round_trip(value, as_of):
    assert decode(encode(Fetched(value, as_of))) == Fetched(value, as_of)


@given(st.binary(max_size=200))
def test_bytes_that_are_not_ours(data):
    with pytest.raises(ValueError, match=r"not a reading|version"):
        decode(data)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"v": 2, "kind": "johns", "as_of": 1, "value": ["1", "1", "0", []]},
        {"v": 1, "kind": "nobody", "as_of": 1, "value": []},
        {"v": 1, "kind": "johns", "as_of": 1, "value": [1.5, "1", "0", []]},
        {"v": 1, "kind": "johns", "as_of": 1, "value": ["NaN", "1", "0", []]},
        {"v": 1, "kind": "johns", "as_of": 1, "value": ["x", "1", "0", []]},
        {"v": 1, "kind": "kalshi", "as_of": 1, "value": ["1", None, [["T", "1"]]]},
    ],
)
def test_documents_that_are_not_ours(document):
    with pytest.raises(ValueError, match=r"."):
        decode(orjson.dumps(document))


def test_only_reading_values_can_be_encoded():
    with pytest.raises(TypeError, match="Decimal"):
        encode(Fetched(Decimal(1), 0))

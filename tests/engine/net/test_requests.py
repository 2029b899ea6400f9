"""A request's head: its query and its headers, read in the quick ways and in the general ones."""

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pnl_backend.engine.net.requests import MAX_FIELDS, Environ, parse_query


@given(st.text(st.sampled_from("ab=&%+2;é"), max_size=30))
def test_queries_are_read_as_the_standard_library_reads_them(query: str) -> None:
    pairs = parse_qsl(query, keep_blank_values=True)
    assert parse_query(query) == {name: next(v for n, v in pairs if n == name) for name, _ in pairs}


@pytest.mark.parametrize("part", ["a=1", "a=%31"])
def test_a_query_of_too_many_fields_reads_as_empty(part: str) -> None:
    assert parse_query("&".join([part] * MAX_FIELDS)) == {"a": "1"}
    assert parse_query("&".join([part] * (MAX_FIELDS + 1))) == {}


@pytest.mark.parametrize(
    ("lines", "name", "value"),
    [
        (["Origin: a"], "Origin", "a"),
        (["oRIGIN:  a b \t"], "ORIGIN", "a b"),
        (["Origin:"], "origin", ""),
        (["X-Origin: a"], "Origin", "none"),
        (["Host: Origin: a"], "Origin", "none"),
        (["A: 1", "B: 2", "a: 3"], "A", "1,3"),
        (["A: é"], "a", "é"),
    ],
)
@pytest.mark.parametrize("parsed", [False, True])
def test_one_header_alone_and_among_all(lines: list[str], name: str, value: str, parsed: bool) -> None:
    raw = "\r\n".join(["GET /Origin:x HTTP/1.1", *lines, ""]).encode("latin-1")
    environ = Environ(raw, "127.0.0.1")
    if parsed:
        assert isinstance(environ.headers, dict)
    assert environ.header(name, "none") == value

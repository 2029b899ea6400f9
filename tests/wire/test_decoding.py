"""What clients send is decoded by the models, and errors have short texts."""

import pytest

from pnl_backend.wire.message import converted, decoded
from pnl_backend.wire.operations import BreakerReset
from pnl_backend.wire.refusals import BadRequest
from pnl_backend.wire.socket_messages import Since, Subscribe


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        ({"since": 5}, "since: expected object | null, got int"),
        ({"since": {"epoch": "a"}}, "since: missing required field seq"),
        ({"since": {"epoch": "", "seq": 1}}, "since.epoch: expected str of length >= 1"),
        ({"since": {"epoch": "a" * 65, "seq": 1}}, "since.epoch: expected str of length <= 64"),
        ({"since": {"epoch": "a", "seq": -1}}, "since.seq: expected int >= 0"),
        ({"since": {"epoch": "a", "seq": True}}, "since.seq: expected int, got bool"),
        ({"since": {"epoch": "a", "seq": 2**53}}, "since.seq: expected int <= 9007199254740991"),
    ],
)
def test_a_wrong_field_is_named(payload, problem):
    with pytest.raises(BadRequest) as raised:
        converted(payload, Subscribe)
    assert str(raised.value) == problem


def test_what_is_right_is_taken_and_what_is_not_known_is_ignored():
    assert converted({"since": {"epoch": "a", "seq": 2**53 - 1, "x": 1}, "y": 2}, Subscribe) == Subscribe(
        Since("a", 2**53 - 1)
    )
    assert converted({}, Subscribe) == converted({"since": None}, Subscribe) == Subscribe()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        (b"\xff", "not JSON"),
        ('{"service":"\ud800"}', "not JSON"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("[]", "expected object, got array"),
        ('{"service":null}', "service: expected str, got null"),
        ('{"service":""}', "service: expected str of length >= 1"),
    ],
)
def test_text_that_is_no_message_is_refused_with_the_reason(text, problem):
    with pytest.raises(BadRequest) as raised:
        decoded(text, BreakerReset)
    assert str(raised.value) == problem


def test_what_a_client_sent_is_not_repeated_at_length():
    with pytest.raises(BadRequest) as raised:
        converted({"since": {"epoch": "a", "seq": "9" * 10_000}}, Subscribe)
    assert len(str(raised.value)) <= 80

"""The classic sources have unchanged messages, byte for byte, and what an older server had stored."""

import re
from dataclasses import replace
from decimal import Decimal

import orjson
import pytest

from pnl_backend.domain.record import Record
from pnl_backend.wire.dashboard_feed import dashboard_message
from pnl_backend.wire.ledger_feed import ledger
from pnl_backend.wire.message import encode
from pnl_backend.wire.views import breakdown_json, from_record, period_view, snapshot_view, to_record
from tests.support.snapshots import computed
from tests.wire.recorded import FOLDER, NOW, OPTIONS, VALUES, taken

CASES = sorted(VALUES)


def shown(case, **more):
    return computed(taken(case), **{"epoch": "k3v9", "seq": 7, "at": NOW, **more})


MARKED = {"degraded", "estimated", "complete"}
MARKS = re.compile(r'(,"degraded":\[[^]]*\])?,"estimated":(true|false),"complete":(true|false)(,"since":"[^"]+")?}$')


def recorded(case):
    held = orjson.loads((FOLDER / f"{case}.json").read_bytes())
    return {**held, "ledger": unordered(held["ledger"])}


def unordered(text):
    """The ledger's time has moved behind its figures, where marks stand by now; all else is as it was."""
    fields = {name: value for name, value in orjson.loads(text).items() if name not in MARKED}
    return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)


def unmarked(message):
    """Without the marks that messages end with since."""
    text, count = MARKS.subn("}", message.decode())
    assert count == 1
    return text


def shapes(snapshot, base):
    record = to_record(snapshot)
    return {
        "data": unmarked(record.data),
        "detail": record.detail.decode(),
        "cents": [record.net_cents, record.kalshi_cents, record.costs_cents, record.revenue_cents],
        "breakdown": unmarked(breakdown_json(snapshot)),
        "ledger": unordered(encode(ledger(snapshot))),
        "period": unmarked(encode(period_view(snapshot, base, "mtd"))),
        "dashboard": unmarked(encode(dashboard_message(snapshot, base, []))),
    }


@pytest.mark.parametrize("case", CASES)
def test_every_message_is_as_it_was(case):
    base = shown("no_deals", seq=1, at=NOW - 5000)
    assert shapes(shown(case, **OPTIONS.get(case, {})), base) == recorded(case)


@pytest.mark.parametrize("case", CASES)
def test_what_an_older_server_stored_is_read_back_as_it_was_published(case):
    held = recorded(case)
    record = Record("k3v9", 7, NOW, *held["cents"], held["data"].encode(), held["detail"].encode())
    snapshot = from_record(record)
    assert unmarked(encode(snapshot_view(snapshot))) == held["data"]
    again = to_record(snapshot)
    assert replace(again, data=unmarked(again.data).encode(), marks=record.marks) == record
    assert snapshot.net_pnl * 100 == Decimal(record.net_cents)
    assert unordered(encode(ledger(snapshot))) == held["ledger"]

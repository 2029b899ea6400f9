"""JSON that is held for long takes as much memory as it is long."""

import sys
import tracemalloc

from pnl_backend.stream.hub import Publication
from pnl_backend.wire.message import encode_kept
from pnl_backend.wire.views import to_record
from tests.http.support import NOW, snapshot_at

COUNT = 200


def traced(make):
    """Bytes of memory that each of `COUNT` results takes, and the results."""
    tracemalloc.start()
    try:
        made = [make() for _ in range(COUNT)]
        return tracemalloc.get_traced_memory()[0] / COUNT, made
    finally:
        tracemalloc.stop()


def test_it_takes_its_own_size():
    value = {"text": "x" * 1200}
    memory, made = traced(lambda: encode_kept(value))
    assert made[0] == b'{"text":"' + b"x" * 1200 + b'"}'
    assert memory < sys.getsizeof(made[0]) + 100


def test_a_record_and_the_views_of_a_publication_take_their_own_size():
    snapshot = snapshot_at(1, NOW)
    publication = Publication(snapshot, to_record(snapshot))
    assert publication.ledger

    def held():
        record = to_record(snapshot)
        again = Publication(snapshot, record)
        again.__dict__.update(ledger=publication.ledger)
        return record.data, record.detail, again.breakdown_json, again.ledger_json

    memory, made = traced(held)
    assert memory < sum(map(sys.getsizeof, made[0])) + 400

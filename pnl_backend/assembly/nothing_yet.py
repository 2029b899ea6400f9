"""What a node shows before it has seen any update: a snapshot in which every source is missing."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace

from pnl_backend.assembly.guards import accounting, shown_sources
from pnl_backend.domain.readings import Reading, Readings
from pnl_backend.domain.record import Record
from pnl_backend.domain.snapshot import compute
from pnl_backend.settings.model import Settings
from pnl_backend.wire.views import to_record

REASON = "this node has received no update since its start"


def nothing_yet(settings: Settings) -> Record:
    """Number 0 of an epoch that no ledger has, so that it is mistaken for no other snapshot."""
    now = int(time.time() * 1000)
    sources = accounting(shown_sources(settings))
    readings: Readings = {name: Reading(name, None, now, now, "fallback", REASON) for name in sources}
    snapshot = compute(readings, sources, epoch=secrets.token_hex(4), seq=0, at=now, simulated=settings.demo_mode)
    return to_record(replace(snapshot, stored=False))

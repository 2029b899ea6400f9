"""The stream of committed snapshots in Redis.

An entry's id is `<fence>-<seq>`. Redis refuses an id that is not greater than the newest one: a leader that was
replaced cannot add anything once its successor has added its takeover entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loguru import logger

from pnl_backend.bus.codec import decoded, encoded
from pnl_backend.bus.protocol import BEGIN, Entry, Place
from pnl_backend.bus.redis.link import BLOCK, READ_TIMEOUT, RedisLink
from pnl_backend.domain.readings import SourceName
from pnl_backend.domain.record import Record
from pnl_backend.errors import BusDown, Fenced
from pnl_backend.redis_client import Redis

BATCH = 100
"""Entries in one round trip."""

_REFUSED = "equal or smaller"
"""How Redis refuses an id that is not greater than the newest one."""

_TAKE_OVER = """
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local fence, seq = 0, '0'
if newest[1] then
    local f, s = string.match(newest[1][1], '(%d+)-(%d+)')
    fence, seq = tonumber(f), s
end
if fence >= tonumber(ARGV[1]) then return 0 end
redis.call('XADD', KEYS[1], ARGV[1] .. '-' .. seq, 'leader', ARGV[2])
return 1
"""
"""Adds the entry `<fence>-<last seq>`, read and written in one step; 0 if the stream has this fence or a later one."""


class RedisStream:
    def __init__(self, link: RedisLink, key: str) -> None:
        self._link = link
        self._key = key

    async def add(self, fence: int, record: Record, configured: frozenset[SourceName], *, keep: int) -> bool:
        fields: dict[Any, Any] = _fields(record, configured)
        place = Place(fence, record.seq)

        async def add(client: Redis) -> object:
            return await client.xadd(self._key, fields, id=str(place), maxlen=keep, approximate=True, nomkstream=True)

        try:
            return await self._link.call(add) is not None
        except BusDown as error:
            if _REFUSED not in str(error):
                raise
        await self._refused(place)
        return True

    async def fill(self, fence: int, records: Sequence[Record], configured: frozenset[SourceName]) -> None:
        top = await self.top() or BEGIN
        if top.fence > fence:
            raise Fenced(f"the stream has entries of fence {top.fence}, this leader's is {fence}")
        lacking = [record for record in records if record.seq > top.seq]
        for start in range(0, len(lacking), BATCH):
            batch = lacking[start : start + BATCH]

            async def add(client: Redis, batch: Sequence[Record] = batch) -> object:
                async with client.pipeline(transaction=False) as pipeline:
                    for record in batch:
                        fields: dict[Any, Any] = _fields(record, configured)
                        pipeline.xadd(self._key, fields, id=str(Place(fence, record.seq)))
                    return await pipeline.execute()

            try:
                await self._link.call(add, timeout=READ_TIMEOUT)
            except BusDown as error:
                if _REFUSED not in str(error):
                    raise
                await self._refused(Place(fence, batch[-1].seq))
        if lacking:
            logger.info("bus: {} snapshots up to {} were added to the stream", len(lacking), lacking[-1].seq)

    async def take_over(self, fence: int, node: str) -> None:
        async def run(client: Redis) -> object:
            return await client.eval(_TAKE_OVER, 1, self._key, str(fence), node)

        if await self._link.call(run):
            return
        # A script that was sent again after a lost answer finds its own entry.
        (newest,) = await self.newest(1)
        if newest.place.fence != fence or newest.leader != node:
            raise Fenced(f"the stream has entries of fence {newest.place.fence}, this leader's is {fence}")

    async def top(self) -> Place | None:
        async def read(client: Redis) -> Any:
            return await client.xrevrange(self._key, count=1)

        found = await self._link.call(read)
        return _place(found[0][0]) if found else None

    async def newest(self, count: int) -> list[Entry]:
        async def read(client: Redis) -> Any:
            return await client.xrevrange(self._key, count=count)

        return _entries(reversed(await self._link.call(read, probe=True, timeout=READ_TIMEOUT)))

    async def after(self, place: Place) -> list[Entry]:
        async def read(client: Redis) -> Any:
            return await client.xread({self._key: str(place)}, count=BATCH, block=int(BLOCK * 1000))

        answer = await self._link.call(read, probe=True, timeout=READ_TIMEOUT, blocking=True)
        return _entries(_of_one_stream(answer))

    async def _refused(self, place: Place) -> None:
        """Fenced unless the stream holds this place already: its answer was lost, and it was sent again."""
        top = await self.top() or BEGIN
        if top.fence != place.fence:
            raise Fenced(f"the stream has entries of fence {top.fence}, this leader's is {place.fence}")
        if top.seq < place.seq:
            raise BusDown(f"the stream refuses {place}, though its newest entry is {top}")


def _fields(record: Record, configured: frozenset[SourceName]) -> dict[str, bytes | str]:
    return {"record": encoded(record), "configured": ",".join(sorted(configured))}


def _of_one_stream(answer: Any) -> Any:
    """The entries of an answer to XREAD for one stream: RESP2 gives a list of pairs, RESP3 a mapping."""
    if not answer:
        return []
    if isinstance(answer, dict):
        (found,) = answer.values()
        return found[0] if found and isinstance(found[0], list) else found
    return answer[0][1]


def _place(entry_id: bytes) -> Place:
    fence, _, seq = entry_id.decode().partition("-")
    return Place(int(fence), int(seq))


def _entries(rows: Any) -> list[Entry]:
    """Rows of a range as entries; what is not ours is left out."""
    found = []
    for entry_id, fields in rows:
        place = _place(entry_id)
        try:
            found.append(_entry(place, fields))
        except ValueError as error:
            logger.error("bus: entry {} of the stream is not ours: {}", place, error)
    return found


def _entry(place: Place, fields: dict[bytes, bytes]) -> Entry:
    body = fields.get(b"record")
    if body is None:
        return Entry(place, leader=fields.get(b"leader", b"").decode(errors="replace"))
    record = decoded(body)
    if record.seq != place.seq:
        raise ValueError(f"it holds snapshot {record.seq}")
    configured = fields.get(b"configured", b"").decode(errors="replace")
    return Entry(place, record, frozenset(name for name in configured.split(",") if name))

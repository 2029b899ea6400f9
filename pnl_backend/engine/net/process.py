"""What the process needs around the engine: the garbage collector's thresholds and the file limit."""

import gc
import resource
from functools import lru_cache
from time import monotonic

from pnl_backend.engine.limits import RESERVED_DESCRIPTORS


def prepare_process() -> None:
    """Call once, when everything is built and before clients come.

    The cyclic collector walks every container object alive: with default thresholds (700 allocations for the
    youngest generation) ten thousand clients make each of its rounds cost milliseconds in the middle of a
    broadcast, for garbage that reference counting has already freed. So: collect now, freeze what the start built
    (modules, handlers; never garbage), and let the youngest generation wait for 200,000 surplus allocations, the
    middle one for 50 rounds of that, the oldest for 1,000. Connections free themselves by reference counting: they
    break their own cycles when they close.

    The soft file limit goes up to the hard one: a client is a descriptor.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 1000)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    _ceiling.cache_clear()
    _share.cache_clear()


def descriptor_ceiling() -> int:
    """The first descriptor that no client may have.

    A new descriptor is always the lowest free one, so a connection's own number says how many are in use. The limit is
    read once a second, for it may be changed from outside.
    """
    return _ceiling(int(monotonic()))


@lru_cache(maxsize=1)
def _ceiling(_second: int) -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return 2**31
    return soft - min(RESERVED_DESCRIPTORS, soft // 4)


def descriptor_share(cap: int, *, part: int) -> int:
    """A cap that never takes more than one part in `part` of the descriptors for clients; 0 leaves only that."""
    return _share(cap, part, int(monotonic()))


@lru_cache(maxsize=16)
def _share(cap: int, part: int, second: int) -> int:
    share = max(1, _ceiling(second) // part)
    return min(cap, share) if cap else share

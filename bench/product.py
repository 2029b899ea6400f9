"""The whole server, as `python server.py` starts it, with the moment of emission in every `pnl_update` broadcast.

The load client subtracts that `t` (CLOCK_MONOTONIC, ns) from its own clock; nothing else is changed.
"""

import sys
import time
from typing import Any

from pnl_backend.commands.cli import main
from pnl_backend.engine import EncodedJson, Message
from pnl_backend.engine.socketio.rooms import Rooms

encode = Rooms.encode


def stamped(self: Rooms, event: str, data: Any, *args: Any, **kwargs: Any) -> Message:
    if event == "pnl_update" and isinstance(data, EncodedJson):
        data = EncodedJson(f'{data[:-1]},"t":{time.monotonic_ns()}}}')
    return encode(self, event, data, *args, **kwargs)


if __name__ == "__main__":
    Rooms.encode = stamped  # type: ignore[method-assign] # a benchmark's own stopwatch
    sys.argv = sys.argv[:1]
    sys.exit(main())

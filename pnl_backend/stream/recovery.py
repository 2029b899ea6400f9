"""Connection state recovery: what a client gets so that after a cut it can give its former id and its last update.

https://socket.io/docs/v4/connection-state-recovery

Nothing is kept for it. The `pid` is the socket's id, sealed with the server's secret; the offset that travels with
each message names the rooms that the client is in and the last update it has of each. Both survive a restart of the
server, and what was missed is read from the ring or from the ledger.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from pnl_backend.engine import Environ

OFFSET_AGENTS = ("Mozilla/", "node-XMLHttpRequest")
"""How the User-Agent of a client begins that takes offsets unasked: browsers, and the JavaScript client in Node.

Most other clients hand every argument to the handler, where one more breaks it; many send no User-Agent at all.
"""

_OFFSET = re.compile(r"([a-z0-9]{1,32})-([0-9]{1,15})((?:_[a-z][0-9]{1,15})*)", re.ASCII)
_LONGEST = 256


def wants_offsets(auth: object, environ: Environ) -> bool:
    """Whether a client takes an offset as last argument: by its auth, else by its user agent."""
    if isinstance(auth, dict) and isinstance(auth.get("recovery"), bool):
        return bool(auth["recovery"])
    return environ.header("User-Agent").startswith(OFFSET_AGENTS)


@dataclass(frozen=True, slots=True)
class Offset:
    """The newest seq when a message was sent, and by topic letter the last seq that its reader has of each room."""

    epoch: str
    newest: int
    cursors: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.epoch}-{self.newest}" + "".join(f"_{letter}{seq}" for letter, seq in self.cursors.items())

    @classmethod
    def parse(cls, text: object) -> Offset | None:
        """None for anything that is not an offset of ours."""
        if not isinstance(text, str) or len(text) > _LONGEST or not (found := _OFFSET.fullmatch(text)):
            return None
        epoch, newest, rest = found.groups()
        cursors = {part[0]: int(part[1:]) for part in rest.split("_")[1:]}
        if any(seq > int(newest) for seq in cursors.values()):
            return None
        return cls(epoch, int(newest), cursors)


class Seal:
    """Makes the pid of a socket and recognises its own; a pid serves the key and the namespace it was given for."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def pid(self, sid: str, *, namespace: str, key: str) -> str:
        mac = hmac.digest(self._secret, "\0".join((sid, namespace, key)).encode(), sha256)
        return f"{sid}.{urlsafe_b64encode(mac[:18]).decode()}"

    def sid(self, pid: object, *, namespace: str, key: str) -> str | None:
        """The socket's id that a pid restores; None for one that is not ours."""
        if not isinstance(pid, str) or not pid.isascii() or len(pid) > _LONGEST:
            return None
        sid = pid.rpartition(".")[0]
        return sid if hmac.compare_digest(pid, self.pid(sid, namespace=namespace, key=key)) else None

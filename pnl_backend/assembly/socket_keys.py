"""The key of a socket: where it stands in a handshake, and what the engine is answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from pnl_backend.access.keys import Grant, presented_key
from pnl_backend.access.refusals import Forbidden, Unauthorized
from pnl_backend.access.wrongkeys import Authenticator, TooManyWrongKeys
from pnl_backend.engine import Refusal, refusals


class SocketAuthenticator:
    """Checks the key of a socket: `auth: {apiKey}` or the first message, else the query or a header of the request."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    def __call__(self, environ: Mapping[str, Any], auth: object) -> str | Refusal | None:
        """The key's digest as hex (`open` where no key is needed); None, or a Refusal with the reason, without one."""
        try:
            grant = self._authenticator.check(self._presented(environ, auth), str(environ["REMOTE_ADDR"]))
        except TooManyWrongKeys as error:
            return Refusal(error.status, str(error), retry_after=error.retry_after)
        except (Unauthorized, Forbidden):
            return None
        return key_name(grant)

    @staticmethod
    def _presented(environ: Mapping[str, Any], auth: object) -> str | None:
        if isinstance(auth, dict):
            key = auth.get("apiKey")
            if isinstance(key, str) and key:
                return key
        query = {name: values[-1] for name, values in parse_qs(str(environ.get("QUERY_STRING", ""))).items()}
        headers = {
            "X-API-Key": str(environ.get("HTTP_X_API_KEY", "")),
            "Authorization": str(environ.get("HTTP_AUTHORIZATION", "")),
        }
        return presented_key(headers, query)


def refuse_sockets(environ: Mapping[str, Any], auth: object) -> Refusal:  # noqa: ARG001 - nobody is let in
    """What a node that serves no clients answers to every socket."""
    return Refusal.of(refusals.NO_CLIENTS)


def key_name(grant: Grant) -> str:
    """What connections go by that a key opened: its digest as hex, `open` where no key is needed."""
    return grant.digest.hex() or "open"

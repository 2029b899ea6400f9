"""The health routes for orchestrators, monitors and older clients; no rate limit.

No key is needed, but in production amounts of money are shown with one only.
"""

from __future__ import annotations

from aiohttp import web

from pnl_backend.http.envelope import plain
from pnl_backend.http.middleware import INFO
from pnl_backend.http.options import HttpOptions
from pnl_backend.http.ports import Ports
from pnl_backend.http.routing import Answer, Guard, Route
from pnl_backend.wire import operations

_OPEN = Guard("public", limited=False)
_OPTIONAL = Guard("optional", limited=False)


class HealthRoutes:
    def __init__(self, ports: Ports, options: HttpOptions) -> None:
        self._health = ports.health
        self._production = options.production

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET", path="/health", handler=self.report, tag="Health", guard=_OPTIONAL,
                summary="The health of the server and of each of its parts",
                description="In production amounts of money (`reconciliation`), and the reasons for which a part is "
                "not healthy (`detail`, which may name hosts and files), are shown with a key only.",
                answers=(
                    Answer("It is healthy.", operations.Health, enveloped=False),
                    Answer("The loop has stopped, or the store fails.", operations.Health, enveloped=False, status=503),
                ),
            ),
            Route(
                method="GET", path="/api/health", handler=self.brief, tag="Health", guard=_OPTIONAL,
                summary="Number of clients, cache counters, and the configuration that clients need",
                description="`businessTimezone` (IANA) is the zone whose midnights separate the days, "
                "`updateIntervalMs` the time after which the next update is due. In production amounts of money "
                "(`reconciliation`) are shown with a key only.",
                answers=(Answer("The summary.", operations.BriefHealth, enveloped=False),),
            ),
            Route(
                method="GET", path="/health/live", handler=self.live, tag="Health", guard=_OPEN,
                summary="Whether the process answers",
                answers=(Answer("It answers.", operations.Probe, enveloped=False),),
            ),
            Route(
                method="GET", path="/health/ready", handler=self.ready, tag="Health", guard=_OPEN,
                summary="Whether new clients should be sent here",
                answers=(
                    Answer("It is ready.", operations.Probe, enveloped=False),
                    Answer("It is not, and names what is missing.", operations.Probe, enveloped=False, status=503),
                ),
            ),
        ]  # fmt: skip

    async def report(self, request: web.Request) -> web.StreamResponse:
        report = self._health.report(keyed=self._is_keyed(request))
        return plain(report, status=200 if report.status == "healthy" else 503)

    async def brief(self, request: web.Request) -> web.StreamResponse:
        return plain(self._health.brief(keyed=self._is_keyed(request)))

    async def live(self, request: web.Request) -> web.StreamResponse:  # noqa: ARG002 - a handler's signature
        return plain(operations.Probe("live"))

    async def ready(self, request: web.Request) -> web.StreamResponse:  # noqa: ARG002 - a handler's signature
        probe = self._health.readiness()
        return plain(probe, status=200 if probe.status == "ready" else 503)

    def _is_keyed(self, request: web.Request) -> bool:
        """Whether the request may see what production shows with a key only."""
        return not self._production or request[INFO].grant is not None

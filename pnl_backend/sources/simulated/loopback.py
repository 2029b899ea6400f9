"""An aiohttp application on a loopback port of its own."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web


class Loopback:
    """Serves the application that `application` makes; stopped and started again it keeps its port (0: a free one)."""

    def __init__(self, name: str, application: Callable[[], web.Application], *, host: str, port: int) -> None:
        self._name = name
        self._application = application
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None

    @property
    def origin(self) -> str:
        """Scheme, host and port; RuntimeError before the first start."""
        if not self._port:
            raise RuntimeError(f"the simulated {self._name} has not been started")
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        if self._runner is not None:
            return
        # A caller that gives up ends its handler, so that a hanging request leaves nothing behind.
        runner = web.AppRunner(self._application(), handler_cancellation=True, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        self._runner = runner
        await web.TCPSite(runner, self._host, self._port).start()
        self._port = int(runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

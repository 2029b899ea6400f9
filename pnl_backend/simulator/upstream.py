"""One simulated upstream: its port, its counters, its faults and its skewed clock around an aiohttp application."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from email.utils import formatdate

from aiohttp import web
from aiohttp.typedefs import Handler

from .faults import Fault, Faults
from .misbehave import ErrorBody, after, before

FAULT: web.RequestKey[Fault | None] = web.RequestKey("fault", object)  # type: ignore[arg-type]


class Upstream:
    """Serves routes on a loopback port of its own; `stop` and `start` again keep the port."""

    def __init__(
        self,
        name: str,
        *,
        base: str,
        host: str,
        port: int,
        clock: Callable[[], float],
        faults: Faults,
        error: ErrorBody,
    ) -> None:
        self.name = name
        self.base = base
        self.requests: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        """Bytes of the bodies that were answered, by path."""
        self.before_stop: Callable[[], Awaitable[None]] | None = None
        self._host = host
        self._port = port
        self._clock = clock
        self._faults = faults
        self._error = error
        self._routes: list[web.RouteDef] = []
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        if not self._port:
            raise RuntimeError(f"the simulated {self.name} has not been started")
        return f"http://{self._host}:{self._port}{self.base}"

    @property
    def origin(self) -> str:
        return self.url.removesuffix(self.base) if self.base else self.url

    def add(self, path: str, handler: Handler, *, absolute: bool = False) -> None:
        """Serve GET on a path below the base, or on an absolute one."""
        self._routes.append(web.get(path if absolute else self.base + path, handler))

    def now(self, request: web.Request) -> float:
        """This upstream's time of day, seconds since the epoch, skewed if a fault says so."""
        fault = request.get(FAULT)
        skew = float(fault.options["seconds"]) if fault is not None and fault.kind == "skew" else 0.0
        return self._clock() + skew

    async def start(self) -> None:
        if self._runner is not None:
            return
        app = web.Application(middlewares=[self._middleware])
        app.add_routes(self._routes)
        # A caller that gives up ends its handler, so that a hanging request leaves nothing behind.
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        self._runner = runner
        await web.TCPSite(runner, self._host, self._port).start()
        self._port = int(runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            runner, self._runner = self._runner, None
            if self.before_stop is not None:
                await self.before_stop()
            await runner.cleanup()

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path.removeprefix(self.base) or "/"
        if self.base and request.path == self.base:
            path = self.base
        self.requests[path] += 1
        fault = self._faults.take(self.name, path)
        request[FAULT] = fault
        answer: web.StreamResponse | None = None
        if fault is not None:
            answer = await before(fault, request, self._until_cleared, self._error)
        if answer is None:
            answer = await self._answer(request, handler)
            if fault is not None:
                answer = await after(fault, request, answer)
        if isinstance(answer, web.Response) and isinstance(answer.body, bytes):
            self.sent[path] += len(answer.body)
        if not answer.prepared:
            answer.headers["Date"] = formatdate(self.now(request), usegmt=True)
        return answer

    async def _until_cleared(self) -> None:
        await self._faults.until_cleared(self.name)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            return self._error(error.status, None)


async def every(interval: float, step: Callable[[], None]) -> None:
    """Step for ever, drift-free."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due += interval
        await asyncio.sleep(max(0.0, due - loop.time()))
        step()


async def ended(task: asyncio.Task[None] | None) -> None:
    """Cancel a task and wait until it has gone; what it failed of, if it failed, is raised here."""
    if task is not None:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()

"""The control route: POST /control with JSON makes an upstream fail, steps the simulation or sets a figure.

    {"upstream": "kalshi", "fault": "hang", "times": 3}              any fault of faults.py; "path" narrows it
    {"upstream": "johns", "fault": "status", "code": 503, "skip": 2} with a fault's options
    {"upstream": "kalshi", "action": "kill"}   "revive"              connections refused, and taken again
    {"action": "clear"}                        with "upstream": only that one's faults
    {"action": "step", "n": 10}   "pause"   "resume"

Further commands are those of the sources' parts: control.py and part.py of each `simulator` folder.

GET /control answers with the URLs, the faults in force, the request counts and the true figures. Only JSON from
outside a browser is taken: a page that someone visits must not be able to steer the simulation.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from aiohttp import web

from pnl_backend.sources.simulated import Simulation
from pnl_backend.sources.simulated.loopback import Loopback

from .faults import Fault, Faults
from .truth import Truth

MOST_STEPS = 100_000
"""Steps that one command takes at most."""


class Control:
    """Serves /control on a port of its own."""

    def __init__(
        self,
        simulation: Simulation,
        faults: Faults,
        *,
        urls: Callable[[], Mapping[str, str]],
        truth: Callable[[], Truth],
        host: str,
        port: int,
    ) -> None:
        self._simulation = simulation
        self._faults = faults
        self._urls = urls
        self._truth = truth
        self._server = Loopback("control", self._application, host=host, port=port)
        self.start, self.stop = self._server.start, self._server.stop
        self._actions: dict[str, Callable[[dict[str, Any]], Awaitable[None]]] = {
            "clear": self._clear,
            "step": self._step,
            "pause": self._pause,
            "resume": self._resume,
            "kill": self._kill,
            "revive": self._revive,
        }

    @property
    def url(self) -> str:
        return f"{self._server.origin}/control"

    def _application(self) -> web.Application:
        app = web.Application()
        app.add_routes([web.get("/control", self._get), web.post("/control", self._post)])
        return app

    async def _get(self, _request: web.Request) -> web.Response:
        body = {
            "urls": self._urls(),
            "steps": self._simulation.steps,
            "faults": self._faults.in_force(),
            "requests": {name: dict(one.requests) for name, one in self._simulation.upstreams.items()},
            "truth": _plain(dataclasses.asdict(self._truth())),
        }
        return web.json_response(body)

    async def _post(self, request: web.Request) -> web.Response:
        if "Origin" in request.headers or request.content_type != "application/json":
            return web.json_response({"error": "send application/json, not from a browser"}, status=403)
        try:
            command = await request.json()
            if not isinstance(command, dict):
                raise ValueError("an object is needed")
            added = await self._run(command)
        except (ValueError, KeyError, TypeError, InvalidOperation, json.JSONDecodeError) as error:
            return web.json_response({"error": str(error) or type(error).__name__}, status=400)
        return web.json_response({"ok": True, **added})

    async def _run(self, command: dict[str, Any]) -> dict[str, Any]:
        """Run one command; what it is to answer beside `ok`."""
        if "fault" in command:
            options = dict(command)
            upstream, kind = options.pop("upstream"), options.pop("fault")
            self._faults.set(self._simulation.known(upstream).name, Fault.make(kind, **options))
            return {}
        name = str(command.get("action"))
        if name in self._simulation.actions:
            return self._simulation.actions[name](command) or {}
        action = self._actions.get(name)
        if action is None:
            names = ", ".join([*self._actions, *self._simulation.actions])
            raise ValueError(f"fault or action is needed; actions are {names}")
        await action(command)
        return {}

    async def _clear(self, command: dict[str, Any]) -> None:
        self._faults.clear(command.get("upstream"))

    async def _step(self, command: dict[str, Any]) -> None:
        for _ in range(min(int(command.get("n", 1)), MOST_STEPS)):
            self._simulation.step()

    async def _pause(self, _command: dict[str, Any]) -> None:
        await self._simulation.pause()

    async def _resume(self, _command: dict[str, Any]) -> None:
        self._simulation.resume()

    async def _kill(self, command: dict[str, Any]) -> None:
        await self._simulation.known(command["upstream"]).stop()

    async def _revive(self, command: dict[str, Any]) -> None:
        await self._simulation.known(command["upstream"]).start()


def _plain(value: Any) -> Any:
    """Decimals and dates as text, all the way down."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, Decimal | date) else value

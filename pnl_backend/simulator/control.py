"""The control route: POST /control with JSON makes an upstream fail, moves the world or sets a figure.

    {"upstream": "kalshi", "fault": "hang", "times": 3}              any fault of faults.py; "path" narrows it
    {"upstream": "johns", "fault": "status", "code": 503, "skip": 2} a fault's options stand beside it
    {"upstream": "kalshi", "action": "kill"}   "revive"              connections refused, and taken again
    {"action": "clear"}                        with "upstream": only that one's faults
    {"action": "step", "n": 10}   "pause"   "resume"
    {"action": "set_deal", "id": "d-900", "amount": "1200.00", "status": "recognized"}
    {"action": "remove_deal", "id": "d-900"}
    {"action": "age_out", "keep": 0}           settled markets leave the live lists
    {"action": "feed", "do": "drop"}           Kalshi's WebSocket: "drop", "mute", "unmute", or "fail" with "code": 10

The commands about Kalshi's accounts stand in control_kalshi.py, those about Anthropic in control_anthropic.py.

GET /control answers with the URLs, the faults in force, the request counts and the true figures. Only JSON from
outside a browser is taken: a page that someone visits must not be able to steer the simulation.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

from aiohttp import web

from .control_anthropic import AnthropicControl
from .control_kalshi import KalshiControl
from .faults import Fault, Faults
from .kalshi_admin import KalshiAdmin
from .kalshi_feed import KalshiFeed
from .organizations import Organizations
from .truth import Truth
from .world import World


class Controlled(Protocol):
    """What the control route uses of the simulator."""

    world: World
    faults: Faults
    feed: KalshiFeed
    organizations: Organizations

    @property
    def kalshi(self) -> KalshiAdmin: ...

    @property
    def kalshi_url(self) -> str: ...

    @property
    def kalshi_ws_url(self) -> str: ...

    @property
    def anthropic_url(self) -> str: ...

    @property
    def revenue_url(self) -> str: ...

    @property
    def requests(self) -> dict[str, Counter[str]]: ...

    def truth(self) -> Truth: ...

    def set_fault(self, upstream: str, fault: Fault) -> None: ...

    async def pause(self) -> None: ...

    def resume(self) -> None: ...

    async def kill(self, upstream: str) -> None: ...

    async def revive(self, upstream: str) -> None: ...


class Control:
    """Serves /control on a port of its own."""

    def __init__(self, simulator: Controlled, *, host: str, port: int) -> None:
        self._simulator = simulator
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None
        self._actions: dict[str, Callable[[dict[str, Any]], Awaitable[None]]] = {
            "clear": self._clear,
            "step": self._step,
            "pause": self._pause,
            "resume": self._resume,
            "kill": self._kill,
            "revive": self._revive,
            "set_deal": self._set_deal,
            "remove_deal": self._remove_deal,
            "age_out": self._age_out,
            "feed": self._feed,
        }
        self._synchronous = {
            **KalshiControl(simulator.kalshi).actions,
            **AnthropicControl(simulator.world, simulator.organizations).actions,
        }

    @property
    def url(self) -> str:
        if not self._port:
            raise RuntimeError("the simulator has not been started")
        return f"http://{self._host}:{self._port}/control"

    async def start(self) -> None:
        if self._runner is not None:
            return
        app = web.Application()
        app.add_routes([web.get("/control", self._get), web.post("/control", self._post)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        self._runner = runner
        await web.TCPSite(runner, self._host, self._port).start()
        self._port = int(runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    async def _get(self, _request: web.Request) -> web.Response:
        simulator = self._simulator
        body = {
            "urls": {
                "kalshi": simulator.kalshi_url,
                "kalshi_ws": simulator.kalshi_ws_url,
                "anthropic": simulator.anthropic_url,
                "johns": simulator.revenue_url,
            },
            "steps": simulator.world.steps,
            "faults": simulator.faults.in_force(),
            "requests": {name: dict(counts) for name, counts in simulator.requests.items()},
            "truth": _plain(dataclasses.asdict(simulator.truth())),
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
            self._simulator.set_fault(upstream, Fault.make(kind, **options))
            return {}
        name = str(command.get("action"))
        if name in self._synchronous:
            return self._synchronous[name](command) or {}
        action = self._actions.get(name)
        if action is None:
            names = ", ".join([*self._actions, *self._synchronous])
            raise ValueError(f"fault or action is needed; actions are {names}")
        await action(command)
        return {}

    async def _clear(self, command: dict[str, Any]) -> None:
        self._simulator.faults.clear(command.get("upstream"))

    async def _step(self, command: dict[str, Any]) -> None:
        for _ in range(min(int(command.get("n", 1)), 100_000)):
            self._simulator.world.step()

    async def _pause(self, _command: dict[str, Any]) -> None:
        await self._simulator.pause()

    async def _resume(self, _command: dict[str, Any]) -> None:
        self._simulator.resume()

    async def _kill(self, command: dict[str, Any]) -> None:
        await self._simulator.kill(command["upstream"])

    async def _revive(self, command: dict[str, Any]) -> None:
        await self._simulator.revive(command["upstream"])

    async def _set_deal(self, command: dict[str, Any]) -> None:
        amount = command.get("amount")
        self._simulator.world.set_deal(
            command["id"],
            amount=None if amount is None else Decimal(str(amount)),
            status=command.get("status"),
            name=command.get("name"),
        )

    async def _remove_deal(self, command: dict[str, Any]) -> None:
        self._simulator.world.remove_deal(command["id"])

    async def _age_out(self, command: dict[str, Any]) -> None:
        self._simulator.world.age_out(int(command.get("keep", 0)))

    async def _feed(self, command: dict[str, Any]) -> None:
        feed, do = self._simulator.feed, command["do"]
        if do == "drop":
            feed.drop()
        elif do == "fail":
            feed.fail(int(command.get("code", 10)))
        elif do in ("mute", "unmute"):
            feed.muted = do == "mute"
        else:
            raise ValueError("do is drop, mute, unmute or fail")


def _plain(value: Any) -> Any:
    """Decimals and dates as text, all the way down."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, Decimal | date) else value

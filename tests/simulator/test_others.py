"""The simulated upstreams of further source types: assembled with the classic ones, failing and moving on command."""

import aiohttp

from pnl_backend.simulator import Fault, Simulator
from pnl_backend.sources.simulated import Simulation
from tests.sources.toy import SimulatedHosting


class Growing(SimulatedHosting):
    """A cent more at each step; `raise` puts the price up."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        simulation.on_step(self.step)
        simulation.actions["raise"] = lambda command: self.put_up(command["cents"])

    def step(self) -> None:
        self.answer["spent"] += 1

    def put_up(self, cents: int) -> dict[str, int]:
        self.answer["spent"] += cents
        return {"spent": self.answer["spent"]}


async def test_a_further_upstream_is_assembled_with_the_others_and_fails_and_moves_on_command():
    async with Simulator(step_interval=None, others=[Growing]) as simulator, aiohttp.ClientSession() as http:
        settings = simulator.settings()
        headers = {"Authorization": f"Bearer {settings['hosting_token']}"}

        async def spent():
            async with http.get(settings["hosting_url"], headers=headers) as answer:
                return answer.status, (await answer.json()).get("spent")

        async def command(**body):
            async with http.post(simulator.control_url, json=body) as answer:
                assert answer.status == 200
                return await answer.json()

        assert "kalshi_api_url" in settings
        assert await spent() == (200, 123456)
        simulator.step(3)
        assert await spent() == (200, 123459)
        assert await command(action="raise", cents=41) == {"ok": True, "spent": 123500}
        simulator.set_fault("hosting", Fault.status(503), times=1)
        assert (await spent())[0] == 503
        await command(upstream="hosting", fault="rate_limit", times=1)
        assert (await spent())[0] == 429
        assert await spent() == (200, 123500)
        async with http.get(simulator.control_url) as answer:
            shown = await answer.json()
        assert shown["urls"]["hosting"] == settings["hosting_url"].removesuffix("/api/month")
        assert shown["requests"]["hosting"] == {"/api/month": 5}

"""Every built-in source type, and the toy in one file, pass the suite that every type must pass."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import ClassVar

import aiohttp
import pytest

from pnl_backend.domain.readings import Fetched
from pnl_backend.errors import AccountChanged
from pnl_backend.sources.account import AccountIdentity
from pnl_backend.sources.anthropic.source import SOURCE as ANTHROPIC
from pnl_backend.sources.kalshi.simulator import SimulatedKalshi
from pnl_backend.sources.kalshi.source import SOURCE as KALSHI
from pnl_backend.sources.revenue.source import SOURCE as REVENUE
from pnl_backend.sources.simulated import Simulation
from pnl_backend.sources.testing import SourceConformance
from tests.sources.toy import SOURCE as HOSTING
from tests.sources.toy import Bill, HostingFetcher


class TestKalshi(SourceConformance):
    source = KALSHI
    pages_of: ClassVar = {
        "/trade-api/v2/portfolio/positions": lambda answer: {**answer, "cursor": "again"},
        "/trade-api/v2/markets": lambda answer: {**answer, "cursor": "again"},
    }

    def simulated(self, simulation: Simulation) -> SimulatedKalshi:
        return SimulatedKalshi(simulation, rate=None)


class TestAnthropic(SourceConformance):
    source = ANTHROPIC
    pages_of: ClassVar = {
        "/v1/organizations/analytics/cost": lambda answer: {**answer, "has_more": True, "next_page": "again"},
    }


class TestRevenue(SourceConformance):
    source = REVENUE


class TestHosting(SourceConformance):
    source = HOSTING


class Careless(HostingFetcher):
    """Believes whatever it is sent, and dates it by tomorrow."""

    async def fetch(self) -> Fetched[Bill]:
        async with aiohttp.ClientSession(headers=self._headers) as session, session.get(self._url) as answer:
            told = json.loads(await answer.text())
        spent = Decimal(str(float(bool(told["spent"])))) if isinstance(told["spent"], bool) else Decimal(told["spent"])
        return Fetched(Bill(spent / 100, Decimal(told["credited"]) / 100, int(told["servers"])), 4_000_000_000_000)


def careless(settings, setup):
    return Careless(setup.client, settings.hosting_url, settings.hosting_token.get_secret_value())


def twice(bill, moment):
    found = HOSTING.contribute(bill, moment)
    return replace(found, lines=tuple(replace(line, parts={"all": line.amount + 1}) for line in found.lines))


class Catching(HostingFetcher):
    """Goes on whoever answers."""

    identity: AccountIdentity

    async def fetch(self) -> Fetched[Bill]:
        with suppress(AccountChanged):
            await self.identity.confirm()
        return await super().fetch()


def catching(settings, setup):
    built = Catching(setup.client, settings.hosting_url, settings.hosting_token.get_secret_value())
    built.identity = setup.identity
    return built


FAULTY = {
    "test_an_account_swapped_under_the_same_name_is_refused": {"build": catching},
    "test_an_answer_is_read_and_survives_the_cache_to_the_digit": {"build": careless},
    "test_a_clock_that_is_off_moves_no_reading_into_the_future": {"build": careless},
    "test_a_rate_limit_is_told_with_its_pause": {"build": careless},
    "test_a_refused_key_is_no_outage_and_is_shown_nowhere": {"build": careless},
    "test_an_outage_can_be_tried_again": {"build": careless},
    "test_what_is_no_answer_is_refused": {"build": careless},
    "test_a_redirect_is_not_followed": {"build": careless},
    "test_too_much_is_refused": {"build": careless},
    "test_a_value_of_a_wrong_type_never_becomes_another_figure": {"build": careless},
    "test_not_a_number_is_refused_wherever_it_stands": {"build": careless},
    "test_lines_are_exact_and_their_parts_sum_to_them": {"contribute": twice},
    "test_nothing_learned_adds_nothing": {"nothing": Bill(Decimal(1), Decimal(0), 0)},
    "test_the_declaration_is_complete": {"card": ()},
    "test_without_settings_it_is_not_configured_and_does_not_fail": {"build": careless},
}


@pytest.mark.parametrize("test", FAULTY)
def test_the_suite_finds_a_careless_type(test):
    class Suite(SourceConformance):
        source = replace(HOSTING, **FAULTY[test])

    with pytest.raises(Exception, match=r".*"):
        getattr(Suite(), test)()

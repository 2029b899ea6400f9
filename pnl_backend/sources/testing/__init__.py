"""What every source type must pass: a suite of tests that a type inherits.

    from pnl_backend.sources.testing import SourceConformance

    class TestHosting(SourceConformance):
        source = SOURCE

The suite runs under pytest without any plugin. It needs a healthy upstream on a loopback port, by default the one that
the type's `simulator` adds; a type without one adds it in `simulated`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import fields
from decimal import Decimal
from typing import Any, ClassVar

import aiohttp

from pnl_backend.domain.lines import Contribution, Moment
from pnl_backend.domain.money import ZERO
from pnl_backend.errors import (
    AccountChanged,
    FetchError,
    InvalidResponse,
    UpstreamAuthError,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from pnl_backend.sources.account import Recognise
from pnl_backend.sources.base import UpstreamClient
from pnl_backend.sources.simulated import SimulatedPart, Simulation
from pnl_backend.sources.source_type import SourceType, check_type
from pnl_backend.sources.testing import stub as faults
from pnl_backend.sources.testing.instance import Instance, instance_of, setup_of
from pnl_backend.sources.testing.wrong_values import WRONG, Place, places, replaced, value_at

QUICK = 0.4
"""Deadline of one call, in seconds, where an upstream is expected to keep us waiting."""

SMALL = 256 * 1024
"""The longest answer that is taken, in bytes, where an upstream sends too much."""

LIMIT = 60.0
"""Seconds that one test may take: a fetch that never ends fails it."""

MOST_REQUESTS = 2000
"""A fetch that has not ended after so many requests never will."""


class SourceConformance:
    """Inherit and set `source`; `paging` is for types that read several pages."""

    source: ClassVar[SourceType[Any, Any, Any]]

    pages_of: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}
    """By path: an answer changed so that it announces the same next page again and again."""

    def simulated(self, simulation: Simulation) -> SimulatedPart:
        """Add the healthy upstream to a simulation."""
        assert self.source.simulator is not None, "set `simulator` in the declaration, or override `simulated`"
        return self.source.simulator(simulation)

    # -- the declaration

    def test_the_declaration_is_complete(self) -> None:
        check_type(self.source)

    def test_without_settings_it_is_not_configured_and_does_not_fail(self) -> None:
        async def check() -> None:
            settings = self.source.settings()
            assert not self.source.is_configured(settings)
            async with aiohttp.ClientSession() as session:
                self.source.build(settings, setup_of(UpstreamClient(session, timeout=QUICK)))

        _run(check())

    def test_nothing_learned_adds_nothing(self) -> None:
        contribution = self._contribution(self.source.nothing)
        assert [line.amount for line in contribution.lines] == [ZERO] * len(contribution.lines)

    # -- a healthy upstream

    def test_an_answer_is_read_and_survives_the_cache_to_the_digit(self) -> None:
        async def check(one: Instance) -> None:
            before = int(time.time() * 1000)
            fetched = await one.fetch()
            assert type(fetched.value) is type(self.source.nothing)
            assert 0 < fetched.as_of <= int(time.time() * 1000), "a reading is never from the future"
            assert fetched.as_of <= before or fetched.as_of - before < LIMIT * 1000
            codec = self.source.codec
            assert codec.decode(codec.encode(fetched)) == fetched
            assert self.source.summary(fetched.value)

        self._with_one(check)

    def test_lines_are_exact_and_their_parts_sum_to_them(self) -> None:
        async def check(one: Instance) -> None:
            value = (await one.fetch()).value
            contribution = self._contribution(value)
            assert self._contribution(value) == contribution, "contribute is a pure function"
            assert isinstance(contribution.figures, self.source.figures)
            for figure in fields(contribution.figures):
                assert not isinstance(getattr(contribution.figures, figure.name), float), f"{figure.name} is not exact"
            for line in contribution.lines:
                assert isinstance(line.amount, Decimal), f"{line.name} is not a Decimal"
                assert line.amount.is_finite(), f"{line.name} is not finite"
                for parts in (line.parts, line.by_agent):
                    assert not parts or sum(parts.values(), ZERO) == line.amount, f"parts of {line.name}"

        self._with_one(check)

    def test_two_instances_stand_side_by_side(self) -> None:
        async def check() -> None:
            async with self._instance() as first, self._instance() as second:
                one, other = await asyncio.gather(first.fetch(), second.fetch())
                assert first.stub.requests
                assert second.stub.requests
                assert type(one.value) is type(other.value)
                failure, still = await asyncio.gather(first.failure(faults.status(500)), second.fetch())
                assert failure.retryable
                assert still.value == other.value, "one instance's outage is not the other's"
                assert (await first.fetch()).value == one.value

        _run(check())

    def test_an_account_swapped_under_the_same_name_is_refused(self) -> None:
        """The host identifies the account, and a refusal of its identity ends the fetch of a type that asks for it."""

        async def check() -> None:
            refusing = _Refusing()
            async with self._instance(identity=refusing) as one:
                assert one.host, "the first setting with a URL, or `host` in the declaration, is the account's address"
                try:
                    await one.fetch()
                except AccountChanged:
                    return
                assert not refusing.asked, "the refusal of an account must not be caught"

        _run(check())

    def test_a_clock_that_is_off_moves_no_reading_into_the_future(self) -> None:
        async def check(one: Instance) -> None:
            for seconds in (-7200, 7200):
                fetched = await one.fetch(faults.skewed(seconds, time.time()))
                assert fetched.as_of <= int(time.time() * 1000)

        self._with_one(check)

    # -- a bad one

    def test_a_hanging_upstream_ends_at_the_deadline(self) -> None:
        async def check(one: Instance) -> None:
            for fault in (faults.hang, faults.drip):
                assert isinstance(await one.failure(fault), UpstreamTimeout)
            await one.fetch()

        self._with_one(check, timeout=QUICK)

    def test_a_rate_limit_is_told_with_its_pause(self) -> None:
        async def check(one: Instance) -> None:
            for given, pause in (("7", 7.0), (None, None), ("soon", None)):
                error = await one.failure(faults.status(429, retry_after=given))
                assert isinstance(error, UpstreamRateLimited)
                assert error.retry_after == pause

        self._with_one(check)

    def test_a_refused_key_is_no_outage_and_is_shown_nowhere(self) -> None:
        async def check(one: Instance) -> None:
            error = await one.failure(faults.status(401))
            assert isinstance(error, UpstreamAuthError)
            assert error.hint, "it names the setting to check"

        self._with_one(check)

    def test_an_outage_can_be_tried_again(self) -> None:
        async def check(one: Instance) -> None:
            for fault in (faults.status(500), faults.status(503), faults.cut):
                assert (await one.failure(fault)).retryable
            await one.fetch()

        self._with_one(check)

    def test_what_is_no_answer_is_refused(self) -> None:
        texts = (b"", b"{", b"\xff\xfe", b"null", b"7", b'"text"', b'{"a": NaN}', b'[{"b": Infinity}]', b"[" * 100_000)

        async def check(one: Instance) -> None:
            for text in texts:
                assert isinstance(await one.failure(faults.body(text)), InvalidResponse), text[:20]
            assert isinstance(await one.failure(faults.body(b"<html>", "text/html")), InvalidResponse)

        self._with_one(check)

    def test_too_much_is_refused(self) -> None:
        async def check(one: Instance) -> None:
            assert isinstance(await one.failure(faults.oversize(2 * SMALL)), InvalidResponse)

        self._with_one(check, max_body=SMALL)

    def test_a_redirect_is_not_followed(self) -> None:
        async def check(one: Instance) -> None:
            assert isinstance(await one.failure(faults.redirect), InvalidResponse)

        self._with_one(check)

    def test_a_value_of_a_wrong_type_never_becomes_another_figure(self) -> None:
        async def check(one: Instance) -> None:
            answers: dict[str, Any] = {}
            healthy = (await one.fetch(faults.recording(answers))).value
            for path, answer in answers.items():
                for place in places(answer):
                    for wrong in WRONG:
                        if type(wrong) is not type(value_at(answer, place)):
                            await _refused_or_unread(one, healthy, path, place, wrong)

        self._with_one(check)

    def test_not_a_number_is_refused_wherever_it_stands(self) -> None:
        async def check(one: Instance) -> None:
            answers: dict[str, Any] = {}
            await one.fetch(faults.recording(answers))
            for path, answer in answers.items():
                for place in places(answer):
                    if isinstance(value_at(answer, place), int | float):
                        change = _changer(place, float("nan"))
                        assert isinstance(await one.failure(faults.changed(path, change)), InvalidResponse), place

        self._with_one(check)

    def test_pages_that_never_end_are_refused(self) -> None:
        async def check(one: Instance) -> None:
            for path, again in self.pages_of.items():
                one.stub.requests = 0
                change = _same_page(again)
                assert isinstance(await one.failure(faults.changed(path, change)), FetchError)
                assert one.stub.requests < MOST_REQUESTS

        self._with_one(check)

    # -- the machinery

    def _contribution(self, value: Any) -> Contribution[Any]:
        return self.source.contribute(value, Moment(self.source.name, int(time.time() * 1000)))

    def _with_one(self, check: Callable[[Instance], Coroutine[Any, Any, None]], **client: Any) -> None:
        async def run() -> None:
            async with self._instance(**client) as one:
                await check(one)

        _run(run())

    def _instance(self, **client: Any) -> AbstractAsyncContextManager[Instance]:
        return instance_of(self.source, self.simulated, **client)


class _Refusing:
    """The identity of an account that is not the ledger's."""

    def __init__(self) -> None:
        self.asked = False

    async def confirm(self, account: str | None = None, recognise: Recognise | None = None) -> None:
        del account, recognise
        self.asked = True
        raise AccountChanged("another account")


async def _refused_or_unread(one: Instance, healthy: Any, path: str, place: Place, wrong: Any) -> None:
    try:
        fetched = await one.fetch(faults.changed(path, _changer(place, wrong)))
    except FetchError:
        return
    assert fetched.value == healthy, f"{path} {place}: {wrong!r} changed the figures"


def _changer(place: tuple[str | int, ...], value: Any) -> Callable[[Any], str]:
    return lambda answer: json.dumps(replaced(answer, place, value))


def _same_page(again: Callable[[Any], Any]) -> Callable[[Any], str]:
    return lambda answer: json.dumps(again(answer))


def _run(check: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(LIMIT):
            await check

    asyncio.run(limited())

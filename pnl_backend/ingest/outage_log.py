"""Log lines of one source: each kind of failure once per outage, then counted; the recovery once, with the count."""

from __future__ import annotations

from loguru import logger

from pnl_backend.errors import FetchError
from pnl_backend.sources.base import describe_problem


class OutageLog:
    """What has been logged of the present outage, so that it is logged once."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._failures = 0
        self._said: set[str] = set()
        self._cache_said: set[str] = set()

    def failed(self, error: FetchError) -> None:
        """A fetch failed."""
        self._failures += 1
        if error.code in self._said:
            return
        self._said.add(error.code)
        logger.warning("{}: {} [{}]", self._service, describe_problem(error), error.code)

    def opened(self, trial_every: float) -> None:
        """The breaker opened; logged once per outage."""
        if "breaker" in self._said:
            return
        self._said.add("breaker")
        logger.warning(
            "{}: circuit breaker open after {} failures, one trial every {:g} s",
            self._service,
            self._failures,
            trial_every,
        )

    def succeeded(self) -> None:
        """A fetch succeeded, which ends an outage."""
        if self._failures:
            logger.info("{}: recovered after {} failures", self._service, self._failures)
        self._failures = 0
        self._said.clear()

    def crashed(self, error: Exception) -> None:
        """A fetch failed by an error in the fetcher: the traceback is logged, once per outage and kind."""
        kind = f"crash {type(error).__name__}"
        if kind in self._said:
            return
        self._said.add(kind)
        logger.opt(exception=error).error("{}: the fetcher itself failed", self._service)

    def cache_failed(self, operation: str, error: Exception) -> None:
        """The cached reading could not be read, decoded or written; logged once per operation until it works again."""
        if operation in self._cache_said:
            return
        self._cache_said.add(operation)
        logger.warning(
            "{}: the cached reading could not be {}: {}", self._service, operation, error or type(error).__name__
        )

    def cache_worked(self, operation: str) -> None:
        """The operation worked, so its next failure is logged."""
        self._cache_said.discard(operation)

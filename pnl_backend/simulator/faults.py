"""Ways in which an upstream can go wrong on command, and which of them are in force."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

Upstream = str


@dataclass(frozen=True)
class Fault:
    """One way to fail; `times` is how many requests it takes (None: until cleared), `path` which ones.

    Build it by its class methods: `Fault.status(500, times=5)`, `Fault.hang()`.
    """

    kind: str
    times: int | None = None
    path: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    skip: int = 0
    """How many requests pass unharmed before the first that it takes."""

    KINDS: ClassVar[tuple[str, ...]] = (
        "hang",
        "slow",
        "drip",
        "status",
        "rate_limit",
        "garbage",
        "truncated",
        "html",
        "redirect",
        "nan",
        "infinity",
        "missing_field",
        "missing_fields",
        "extra_fields",
        "wrong_type",
        "set_field",
        "too_big",
        "skew",
        "close",
        "cut",
    )

    @classmethod
    def make(cls, kind: str, *, times: int | None = None, path: str = "", skip: int = 0, **options: Any) -> Fault:
        """A fault by its name, as the control route does it; ValueError for a name or an option it lacks."""
        if kind not in cls.KINDS:
            raise ValueError(f"no such fault: {kind}; there are {', '.join(cls.KINDS)}")
        try:
            fault: Fault = getattr(cls, kind)(**options)
        except TypeError as error:
            raise ValueError(f"{kind}: {error}") from error
        return replace(fault, times=times, path=path, skip=skip)

    @classmethod
    def _of(cls, kind: str, times: int | None, path: str, **options: Any) -> Fault:
        return cls(kind, times, path, options)

    @classmethod
    def hang(cls, *, times: int | None = None, path: str = "") -> Fault:
        """Take the request and never answer."""
        return cls._of("hang", times, path)

    @classmethod
    def slow(cls, seconds: float = 1.0, *, times: int | None = None, path: str = "") -> Fault:
        """Answer rightly, but late."""
        return cls._of("slow", times, path, seconds=seconds)

    @classmethod
    def drip(cls, seconds: float = 0.2, *, times: int | None = None, path: str = "") -> Fault:
        """Send the right answer a byte at a time, `seconds` apart."""
        return cls._of("drip", times, path, seconds=seconds)

    @classmethod
    def status(
        cls, code: int = 500, *, retry_after: float | None = None, times: int | None = None, path: str = ""
    ) -> Fault:
        """Answer with an HTTP status and that upstream's own error body."""
        return cls._of("status", times, path, code=code, retry_after=retry_after)

    @classmethod
    def rate_limit(cls, retry_after: float | None = None, *, times: int | None = None, path: str = "") -> Fault:
        """Answer 429; Kalshi sends no Retry-After unless one is given here."""
        return cls._of("rate_limit", times, path, retry_after=retry_after)

    @classmethod
    def garbage(cls, *, times: int | None = None, path: str = "") -> Fault:
        """Bytes that are neither JSON nor UTF-8, called application/json."""
        return cls._of("garbage", times, path)

    @classmethod
    def truncated(cls, *, times: int | None = None, path: str = "") -> Fault:
        """The first half of the right JSON, in an answer that is complete for HTTP."""
        return cls._of("truncated", times, path)

    @classmethod
    def html(cls, code: int = 200, *, times: int | None = None, path: str = "") -> Fault:
        """A proxy's page instead of JSON."""
        return cls._of("html", times, path, code=code)

    @classmethod
    def redirect(cls, location: str = "/login", code: int = 302, *, times: int | None = None, path: str = "") -> Fault:
        """Send the caller elsewhere."""
        return cls._of("redirect", times, path, location=location, code=code)

    @classmethod
    def nan(cls, name: str | None = None, *, times: int | None = None, path: str = "") -> Fault:
        """NaN in every money field, or in the named one: a bare NaN for a number, "NaN" for a string."""
        return cls._of("nan", times, path, name=name)

    @classmethod
    def infinity(cls, name: str | None = None, *, times: int | None = None, path: str = "") -> Fault:
        """Infinity likewise."""
        return cls._of("infinity", times, path, name=name)

    @classmethod
    def missing_field(cls, name: str, *, times: int | None = None, path: str = "") -> Fault:
        """The right answer without that field, in every place where it occurs."""
        return cls._of("missing_field", times, path, name=name)

    @classmethod
    def missing_fields(cls, names: Sequence[str], *, times: int | None = None, path: str = "") -> Fault:
        """The right answer without those fields: a fill without its optional times, say."""
        return cls._of("missing_fields", times, path, names=list(names))

    @classmethod
    def extra_fields(cls, *, times: int | None = None, path: str = "") -> Fault:
        """The right answer with fields that no document names, in every object."""
        return cls._of("extra_fields", times, path)

    @classmethod
    def wrong_type(cls, name: str, *, times: int | None = None, path: str = "") -> Fault:
        """An object where that field's value should be."""
        return cls._of("wrong_type", times, path, name=name)

    @classmethod
    def set_field(cls, name: str, value: Any, *, times: int | None = None, path: str = "") -> Fault:
        """Any JSON value in that field, in every place where it occurs."""
        return cls._of("set_field", times, path, name=name, value=value)

    @classmethod
    def too_big(cls, *, gzip: bool = False, times: int | None = None, path: str = "") -> Fault:
        """Valid JSON of over 8 MB; gzipped it is a few kilobytes on the wire."""
        return cls._of("too_big", times, path, gzip=gzip)

    @classmethod
    def skew(cls, seconds: float, *, times: int | None = None, path: str = "") -> Fault:
        """That upstream's clock runs ahead by so many seconds (behind, if negative)."""
        return cls._of("skew", times, path, seconds=seconds)

    @classmethod
    def close(cls, *, times: int | None = None, path: str = "") -> Fault:
        """Drop the connection without an answer."""
        return cls._of("close", times, path)

    @classmethod
    def cut(cls, *, times: int | None = None, path: str = "") -> Fault:
        """Promise the whole body, send half of it and drop the connection."""
        return cls._of("cut", times, path)


class Faults:
    """The faults in force, by upstream and path; a request takes the first that fits."""

    def __init__(self) -> None:
        self._set: dict[Upstream, list[Fault]] = {}
        self._released: dict[Upstream, asyncio.Event] = {}

    def set(self, upstream: Upstream, fault: Fault, times: int | None = None) -> None:
        """Put a fault in force, in place of the one for the same path."""
        if times is not None:
            fault = replace(fault, times=times)
        others = [held for held in self._set.get(upstream, []) if held.path != fault.path]
        # The narrower path goes first, so that a fault for one endpoint is seen beside one for all.
        self._set[upstream] = sorted([*others, fault], key=lambda held: -len(held.path))

    def clear(self, upstream: Upstream | None = None) -> None:
        """Lift the faults of one upstream or of all; requests that hang are dropped."""
        for name in [upstream] if upstream is not None else list(self._set):
            self._set.pop(name, None)
        for name in [upstream] if upstream is not None else list(self._released):
            if (waiting := self._released.pop(name, None)) is not None:
                waiting.set()

    def take(self, upstream: Upstream, path: str) -> Fault | None:
        """The fault for this request, counted down."""
        held = self._set.get(upstream, [])
        for index, fault in enumerate(held):
            if fault.path in path:
                if fault.skip:
                    held[index] = replace(fault, skip=fault.skip - 1)
                    return None
                if fault.times is not None:
                    left = fault.times - 1
                    if left <= 0:
                        held.pop(index)
                    else:
                        held[index] = replace(fault, times=left)
                return fault
        return None

    def in_force(self) -> dict[str, list[dict[str, Any]]]:
        """What is set now, for the control route."""
        return {
            name: [
                {"fault": f.kind, "times": f.times, "path": f.path, **{k: v for k, v in f.options.items() if v}}
                for f in held
            ]
            for name, held in self._set.items()
            if held
        }

    async def until_cleared(self, upstream: Upstream) -> None:
        """Wait for the next clearing of that upstream's faults."""
        await self._released.setdefault(upstream, asyncio.Event()).wait()

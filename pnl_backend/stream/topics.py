"""What can be subscribed to: the name of each topic, its Socket.IO event, and its message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from pnl_backend.stream.hub import Publication
from pnl_backend.wire.json_values import Json

Origin = Literal["initial", "stream", "replay"]


class Topic(Protocol):
    """`event` is what clients listen to; the first letters of the names differ, offsets use them."""

    @property
    def name(self) -> str: ...

    @property
    def event(self) -> str: ...

    def message(self, publication: Publication, source: Origin) -> Json:
        """What a client is sent."""

    def replace_key(self, publication: Publication) -> str | None:
        """Under which an update replaces what waits for a client that lags; None: it must not be replaced."""


@dataclass(frozen=True, slots=True)
class SnapshotTopic:
    """`view` takes the topic's data from a publication, `initial` what a new subscriber gets; every update is whole."""

    name: str
    event: str
    view: Callable[[Publication], Json]
    initial: Callable[[Publication], Json]

    def message(self, publication: Publication, source: Origin) -> Json:
        """The data, when it was computed, and how it came."""
        view = self.initial if source == "initial" else self.view
        return {"data": view(publication), "timestamp": publication.timestamp, "source": source}

    def replace_key(self, publication: Publication) -> str | None:  # noqa: ARG002 - the same for all of them
        return self.name


PNL = SnapshotTopic("pnl", "pnl_update", lambda publication: publication.pnl, lambda publication: publication.pnl_now)
COMPONENTS = SnapshotTopic(
    "components",
    "components_update",
    lambda publication: publication.components,
    lambda publication: publication.components,
)

"""What can be subscribed to: the name of each topic, its Socket.IO event, and its message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pnl_backend.domain.views import Json
from pnl_backend.stream.hub import Publication

Origin = Literal["initial", "stream", "replay"]


@dataclass(frozen=True, slots=True)
class Topic:
    """`event` is what clients listen to, `view` takes the topic's data from a publication."""

    name: str
    event: str
    view: Callable[[Publication], Json]

    def message(self, publication: Publication, source: Origin) -> Json:
        """The wire message: the data, when it was computed, and how it came."""
        return {"data": self.view(publication), "timestamp": publication.timestamp, "source": source}


PNL = Topic("pnl", "pnl_update", lambda publication: publication.pnl)
COMPONENTS = Topic("components", "components_update", lambda publication: publication.components)
TOPICS = (PNL, COMPONENTS)

"""What can be subscribed to: the name of each topic, its Socket.IO event, and its message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from pnl_backend.engine import EncodedJson
from pnl_backend.stream.hub import Publication
from pnl_backend.wire.message import encode, raw
from pnl_backend.wire.socket_messages import ComponentsUpdate, Origin, PnLUpdate


class Topic(Protocol):
    """`event` is what clients listen to; the first letters of the names differ, offsets use them."""

    @property
    def name(self) -> str: ...

    @property
    def event(self) -> str: ...

    def message(self, publication: Publication, source: Origin) -> EncodedJson:
        """What a client is sent."""

    def replace_key(self, publication: Publication) -> str | None:
        """Under which an update replaces what waits for a client that lags; None: it must not be replaced."""


def as_text(value: object) -> EncodedJson:
    """A model as the payload of an event or as an acknowledgement."""
    return EncodedJson(encode(value).decode())


class Newest:
    """The message that was requested last, so that several namespaces and feeds share one encoding."""

    def __init__(self) -> None:
        self._of: tuple[object, ...] = ()
        self._text = EncodedJson()

    def get(self, make: Callable[[], object], *of: object) -> EncodedJson:
        """The text of what `make` answers; `of` is what it depends on, compared by identity or as numbers and texts."""
        if of != self._of:
            self._of, self._text = of, as_text(make())
        return self._text


class SnapshotTopic:
    """Every update is whole; `data` is the JSON of a publication, the second argument is True for a new subscriber."""

    def __init__(
        self,
        name: str,
        event: str,
        model: Callable[[Any, str, Origin], object],
        data: Callable[[Publication, bool], bytes],
    ) -> None:
        self.name = name
        self.event = event
        self._model = model
        self._data = data
        self._newest = {"initial": Newest(), "stream": Newest(), "replay": Newest()}

    def message(self, publication: Publication, source: Origin) -> EncodedJson:
        """The data, when it was computed, and its origin."""
        initial = source == "initial"
        age = publication.age if initial else 0

        def make() -> object:
            return self._model(raw(self._data(publication, initial)), publication.timestamp, source)

        return self._newest[source].get(make, publication, age)

    def replace_key(self, publication: Publication) -> str | None:
        return None if publication.in_burst else self.name


def snapshot_topics() -> tuple[SnapshotTopic, SnapshotTopic]:
    """The snapshot and its breakdown; a new subscriber's snapshot has the ages of its sources as they are now."""
    return (
        SnapshotTopic(
            "pnl",
            "pnl_update",
            PnLUpdate,
            lambda publication, initial: publication.snapshot_json if initial else publication.record.data,
        ),
        SnapshotTopic(
            "components", "components_update", ComponentsUpdate, lambda publication, _: publication.breakdown_json
        ),
    )

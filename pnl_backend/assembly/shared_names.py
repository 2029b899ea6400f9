"""A set whose content is replaced while others hold it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set


class SharedNames(Set[str]):
    """The sources that the leader has configured: a node without credentials learns them from the stream."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(names)

    def replace(self, names: Iterable[str]) -> None:
        """Have these from now on."""
        self._names = frozenset(names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __hash__(self) -> int:
        return id(self)

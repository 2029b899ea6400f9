"""Finds misspelt setting names in `.env` and, with stricter rules, in the environment."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

FOREIGN = ("VITE_", "REACT_APP_")
"""Names with these prefixes belong to the build of a dashboard."""


def misspelt(known: Collection[str], *, in_file: Iterable[str], in_environment: Iterable[str]) -> Iterator[str]:
    """One line for each unknown name that is similar to a known one; names in upper case.

    A file holds only our settings, so a difference of one or two letters is reported. An environment holds names of
    other programs too, so only long names are compared there.
    """
    found: dict[str, str] = {}
    for name in in_environment:
        if near := _nearest(name, known, shortest=10):
            found[name] = f"{name}: no setting has this name (environment); did you mean {near}?"
    for name in in_file:
        if near := _nearest(name, known, shortest=4):
            found[name] = f"{name}: no setting has this name (.env); did you mean {near}?"
    yield from found.values()


def without_effect(
    fields: Iterable[Sequence[str]], *, in_file: Collection[str], in_environment: Collection[str]
) -> Iterator[str]:
    """One line for each name in `.env` without effect: unknown, or overridden by another name of the same setting.

    `fields` has the names of every setting, the preferred one first; a name in the environment overrides all names
    in the file.
    """
    known: set[str] = set()
    for names in fields:
        known.update(names)
        given = [name for name in names if name in in_environment]
        given += [name for name in names if name in in_file and name not in given]
        yield from (f"{name}: has no effect, {given[0]} goes before it" for name in given[1:])
    for name in sorted(set(in_file) - known):
        if name.startswith(FOREIGN):
            yield f"{name}: is read when a dashboard is built, not by the server"
        else:
            yield f"{name}: no setting has this name (.env), it has no effect"


def _nearest(name: str, known: Collection[str], *, shortest: int) -> str | None:
    """The most similar known name of at least `shortest` letters; None if `name` is known or none is similar."""
    # KALSHI_API_KEY_2 is a second key, not a misspelling.
    if name in known or name.startswith(FOREIGN) or name.rstrip("0123456789").rstrip("_") in known:
        return None
    near = [(_distance(name, other), other) for other in known if len(other) >= shortest]
    near = [(distance, other) for distance, other in near if distance <= (1 if len(other) < 8 else 2)]
    return min(near)[1] if near else None


def _distance(first: str, second: str) -> int:
    """The edit distance: letters left out, added, replaced or swapped with their neighbour; `_` is ignored."""
    a, b = first.replace("_", ""), second.replace("_", "")
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, letter in enumerate(a, start=1):
        row = [i]
        for j, other in enumerate(b, start=1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != other))
            if before and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]

"""The changelog's form: versions, and below each what was added, changed and fixed, in this order."""

from __future__ import annotations

import re

from tests.support.server import ROOT

KINDS = ["Added", "Changed", "Fixed"]
LINES = (ROOT / "CHANGELOG.md").read_text().splitlines()


def versions() -> dict[str, list[str]]:
    """The lines below each version's heading, the newest first."""
    found: dict[str, list[str]] = {}
    for line in LINES[1:]:
        if line.startswith("## "):
            found[line.removeprefix("## ")] = []
        elif found:
            found[list(found)[-1]].append(line)
    return found


def test_versions_are_in_order_newest_first() -> None:
    assert LINES[0] == "# Changelog"
    newest, *released = versions()
    assert newest == "Unreleased" or re.match(r"\d+\.\d+\.\d+", newest)
    numbers = [tuple(map(int, name.split()[0].split("."))) for name in released]
    assert numbers == sorted(numbers, reverse=True)


def test_what_is_not_released_is_sorted_by_kind() -> None:
    lines = next(iter(versions().values()))
    kinds = [line.removeprefix("### ") for line in lines if line.startswith("#")]
    assert kinds == [kind for kind in KINDS if kind in kinds]
    first = next(line for line in lines if line)
    assert first.startswith("### "), "each entry stands below its kind"


def test_every_entry_is_a_list_item_of_a_sentence() -> None:
    for name, lines in versions().items():
        if name != "Unreleased":
            continue
        for line in lines:
            assert not line or line.startswith(("- ", "  ", "### ")), line
        for entry in re.split(
            r"^- ", "\n".join(line for line in lines if not line.startswith("#")), flags=re.MULTILINE
        )[1:]:
            assert entry.rstrip().endswith((".", ".**")), entry

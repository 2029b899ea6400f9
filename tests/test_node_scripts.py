"""Node.js scripts that tests run: all that they print is read, whenever they exit."""

import pytest

from tests.support.node import needs_node, run_script

FULL_PIPE = """
const [lines, length] = process.argv.slice(-2).map(Number);
for (let number = 0; number < lines; number++) { console.log(JSON.stringify({ number, text: "x".repeat(length) })); }
process.exit(0);
"""
LINES = 40


@needs_node
@pytest.mark.parametrize("length", [30_000, 100_000])
async def test_a_script_that_exits_at_once_is_read_to_its_last_line(length):
    """Much more than a pipe holds (64 KiB), in lines that are shorter and longer than that."""
    found = await run_script(FULL_PIPE, str(LINES), str(length))
    assert [(line["number"], len(line["text"])) for line in found] == [(number, length) for number in range(LINES)]

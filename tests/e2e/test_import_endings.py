"""An import that does not go well: it is killed, its file is huge, or the file cannot be taken."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from contextlib import closing, suppress

import pytest

from tests.e2e.importing import LIVE, START, run
from tests.ledger.sqlite.recompute import kept, recomputed
from tests.support import node_files
from tests.support.server import ROOT
from tests.waiting import until


async def test_an_import_that_was_killed_goes_on_where_it_was(ledger, tmp_path):
    file = node_files.database(tmp_path / "old.db", node_files.snapshots(START, 40_000))
    arguments = str(ROOT / "server.py"), "import", file.name
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=tmp_path, env=LIVE)

    def begun():
        with suppress(sqlite3.Error):
            return ledger("SELECT count(*) FROM snapshots") > [(0,)]
        return False

    await until(begun)
    process.kill()
    await process.wait()
    ((taken,),) = ledger("SELECT count(*) FROM snapshots")
    assert 0 < taken < 40_000
    assert f"pnl_snapshots: {40_000 - taken:,} taken, {taken:,} held already, 0 not taken" in await run(tmp_path, file)
    path = tmp_path / "data" / "pnl.db"
    assert kept(path) == recomputed(path)


MEASURED = """
import pathlib, sys
from pnl_backend.commands.cli import main
main(["import", sys.argv[1]])
print("peak", pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


async def test_memory_does_not_grow_with_the_file(tmp_path):
    peaks = []
    for count in (3_000, 30_000):
        rows = [node_files.whole(row) for row in node_files.snapshots(START, count)]
        for file in (
            node_files.export(tmp_path / f"{count}.json", node_files.envelope(rows)),
            node_files.database(tmp_path / f"{count}.db", node_files.snapshots(START, count)),
        ):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", MEASURED, file.name),
                cwd=tmp_path,
                env={"PYTHONPATH": str(ROOT), "DB_PATH": f"{file.stem}-{file.suffix[1:]}-ledger.db", **LIVE},
                stdout=asyncio.subprocess.PIPE,
            )
            output, _ = await process.communicate()
            peaks.append(int(output.split(b"peak ")[1]))
    small, large = peaks[:2], peaks[2:]
    for before, after in zip(small, large, strict=True):
        assert after - before < 6_000, f"{before} KB of 3,000 rows, {after} KB of 30,000, which are 10 MB of JSON"


def damaged(file):
    node_files.database(file, node_files.snapshots(START, 2000))
    file.write_bytes(file.read_bytes()[:20_000])


def newer(file):
    node_files.database(file)
    content = bytearray(file.read_bytes())
    content[18:20] = b"\x03\x03"
    file.write_bytes(content)


def foreign(file):
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE theirs (a)")


def cut(file):
    text = json.dumps(node_files.envelope([node_files.sums(row) for row in node_files.snapshots(START, 3000)]))
    file.write_text(text[: len(text) // 2])


BAD = {
    "missing": (lambda _: None, "no such file"),
    "directory": (lambda file: file.mkdir(), "is a directory"),
    "empty": (lambda file: file.touch(), "is empty"),
    "blank": (lambda file: file.write_text(" \n\n"), "is empty"),
    "picture": (lambda file: file.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00=1\n"), "is neither a .env, nor an SQLite"),
    "prose": (lambda file: file.write_text("Dear all,\nhello\n"), "is neither a .env, nor an SQLite"),
    "damaged": (damaged, "is damaged"),
    "header": (lambda file: file.write_bytes(b"SQLite format 3\x00"), "is damaged"),
    "newer": (newer, "newer version of SQLite"),
    "foreign": (foreign, "but not the Node server's: it holds theirs"),
    "cut": (cut, "is damaged: a value is cut off"),
    "ends early": (lambda file: file.write_text('{"data": [{}'), "is damaged: it ends too early"),
    "goes on": (lambda file: file.write_text("[] []"), "is damaged: there is text after its end"),
    "other json": (lambda file: file.write_text('{"success": false, "error": {}}'), "there is no list of rows"),
    "empty json": (lambda file: file.write_text("{}"), "there is no list of rows"),
    "deep json": (lambda file: file.write_text("[" * 100_000), "is damaged"),
    "latin": (lambda file: file.write_bytes(b'[{"a": "\xff"}]'), "not UTF-8"),
}


@pytest.mark.parametrize("kind", BAD)
async def test_a_file_that_cannot_be_taken_is_one_line_and_makes_no_ledger(tmp_path, kind):
    make, words = BAD[kind]
    file = tmp_path / "a file"
    make(file)
    output = await run(tmp_path, file, code=1)
    (line,) = output.strip().splitlines()
    assert words in line.lower() or words in line
    assert "a file" in line
    assert not (tmp_path / "data").exists()

"""The script that makes the ledger's database and its roles, run by psql on a real PostgreSQL."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege, ReadOnlySqlTransaction

from pnl_backend.ledger.postgres import Reader, Store
from tests.deploy.dockerfile import DEPLOY
from tests.ledger.sqlite.conftest import record  # noqa: F401 - a fixture
from tests.ledger.sqlite.ledger import MakeRecord
from tests.support.postgres import ADMIN, PASSWORD, READ_ONLY_USER, PostgresServer, program
from tests.support.server import ROOT

SCRIPT = DEPLOY / "postgres" / "roles.sql"
OWNER_PASSWORD, READER_PASSWORD = "owner's word", "reader's word"


@dataclass(frozen=True)
class Urls:
    owner: str
    reader: str
    stranger: str


def run_script(server: PostgresServer, **environment: str) -> subprocess.CompletedProcess[str]:
    psql = program("psql")
    assert psql is not None
    return subprocess.run(
        [psql, "--no-psqlrc", "-f", str(SCRIPT), server.url_of("postgres", ADMIN)],
        env={"PATH": os.environ["PATH"], "PGPASSWORD": PASSWORD, **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def urls(postgres: PostgresServer) -> Iterator[Urls]:
    """The database with its roles."""
    done = run_script(postgres, PNL_OWNER_PASSWORD=OWNER_PASSWORD, PNL_READER_PASSWORD=READER_PASSWORD)
    assert done.returncode == 0, done.stderr
    owner, reader = (word.replace(" ", "%20") for word in (OWNER_PASSWORD, READER_PASSWORD))
    yield Urls(
        postgres.url_of("pnl", "pnl_owner", owner),
        postgres.url_of("pnl", "pnl_reader", reader),
        postgres.url_of("pnl", READ_ONLY_USER),
    )
    with postgres.admin() as admin:
        admin.execute("DROP DATABASE pnl WITH (FORCE)")
        admin.execute("DROP ROLE pnl_owner, pnl_reader")


async def test_one_role_writes_the_ledger_and_the_other_one_only_reads_it(
    urls: Urls,
    record: MakeRecord,  # noqa: F811 - the fixture
) -> None:
    store = await Store.open(urls.owner, origin="live")
    reader = None
    try:
        await store.append(record(store))
        reader = await Reader.open(urls.reader, origin="live")
        assert (reader.epoch, reader.last_seq) == (store.epoch, 1)
        made = await store.secret()
        assert await reader.secret() == made
        assert [found.seq for found in await reader.newest(5)] == [1]
    finally:
        if reader is not None:
            await reader.close()
        await store.close()
    with psycopg.connect(urls.reader, autocommit=True) as raw:
        with pytest.raises(ReadOnlySqlTransaction):
            raw.execute("DELETE FROM snapshots")
        raw.execute("SET default_transaction_read_only = off")
        for forbidden in ("DELETE FROM snapshots", "UPDATE head SET fence = 9", "CREATE TABLE more (id integer)"):
            with pytest.raises(InsufficientPrivilege):
                raw.execute(forbidden)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(urls.stranger)


async def test_the_commands_of_the_page_back_the_ledger_up_and_restore_it(
    urls: Urls,
    record: MakeRecord,  # noqa: F811 - the fixture
    tmp_path: Path,
) -> None:
    page = (ROOT / "docs" / "cluster.md").read_text()
    dump, empty, restore = re.findall(r"^(?:pg_dump|psql --command|pg_restore).*$", page, re.MULTILINE)
    store = await Store.open(urls.owner, origin="live")
    await store.append(record(store))
    run_line(dump, urls.owner, tmp_path)
    await store.append(record(store))
    await store.close()
    (made,) = tmp_path.iterdir()
    run_line(empty, urls.owner, tmp_path)
    run_line(re.sub(r"pnl-\S+\.dump", made.name, restore), urls.owner, tmp_path)
    reader = await Reader.open(urls.reader, origin="live")
    try:
        assert [found.seq for found in await reader.newest(5)] == [1]
    finally:
        await reader.close()


def run_line(line: str, url: str, folder: Path) -> None:
    """Run a shell line of the page in `folder` on the database at `url`, which stands for the one in the line."""
    name = line.split(maxsplit=1)[0]
    found = program(name)
    assert found is not None
    shell = re.sub(r"postgresql://\S+", lambda _: shlex.quote(url), line).replace(name, found, 1)
    done = subprocess.run(["sh", "-c", shell], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_passwords_no_role_is_made(postgres: PostgresServer) -> None:
    done = run_script(postgres, PNL_OWNER_PASSWORD=OWNER_PASSWORD)
    assert done.returncode != 0
    with postgres.admin() as admin:
        assert admin.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'pnl_%'").fetchall() == []

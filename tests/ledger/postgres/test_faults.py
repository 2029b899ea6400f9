"""What breaks under a ledger in PostgreSQL: it says so in plain words, loses nothing, and goes on by itself."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from pnl_backend.errors import StoreError
from pnl_backend.ledger.postgres import Store, database
from pnl_backend.ledger.postgres.adapter import Adapter
from pnl_backend.ledger.postgres.address import connect
from tests.ledger.postgres.conftest import Open
from tests.ledger.sqlite.ledger import NOON, MakeRecord
from tests.ledger.store.places import PostgresPlace
from tests.support.cutting import cutting_proxy
from tests.support.postgres import PASSWORD


async def fails(store: Store, record: MakeRecord, words: str) -> None:
    """The next append fails with these words, health says the same, and no text has the password."""
    with pytest.raises(StoreError, match=words) as failure:
        await store.append(record(store))
    health = store.health()
    assert (health["state"], health["unstored"]) == ("down", 1)
    assert PASSWORD not in f"{failure.value}{health['error']}"


async def works(store: Store, record: MakeRecord) -> None:
    """The snapshot that failed can be stored after all, and nothing is missing."""
    await store.append(record(store))
    health = store.health()
    assert (health["state"], health["error"], health["unstored"]) == ("connected", None, 0)
    assert [one.seq for one in await store.newest(1000)] == list(range(1, store.last_seq + 1))


@pytest.fixture
async def filled(store: Store, record: MakeRecord) -> Store:
    for _ in range(3):
        await store.append(record(store))
    await store.newest(1)  # a reader is connected when things break
    return store


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
async def test_postgresql_is_stopped_and_started(
    filled: Store, record: MakeRecord, place: PostgresPlace, how: signal.Signals
) -> None:
    place.server.stop(how)
    try:
        await fails(filled, record, "nothing listens there|shutting down|has closed the connection")
        await fails(filled, record, "nothing listens there")
        with pytest.raises(StoreError, match="nothing listens there"):
            await filled.newest(1)
    finally:
        place.server.start()
    await works(filled, record)


async def test_sessions_that_an_administrator_ends_are_made_again(
    filled: Store, record: MakeRecord, place: PostgresPlace
) -> None:
    for _ in range(3):
        assert place.server.end_sessions("pnl-backend%") >= 1
        await works(filled, record)


async def test_a_session_that_ends_within_a_transaction_stores_nothing(
    filled: Store, record: MakeRecord, place: PostgresPlace
) -> None:
    place.ask(
        "CREATE FUNCTION end_session() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$"
    )
    place.ask("CREATE TRIGGER ends BEFORE INSERT ON payloads_other FOR EACH ROW EXECUTE FUNCTION end_session()")
    await fails(filled, record, "has closed the connection|was lost")
    assert place.ask("SELECT count(*) FROM snapshots") == [(3,)]
    place.ask("DROP TRIGGER ends ON payloads_other")
    await works(filled, record)


async def test_a_server_that_became_read_only(filled: Store, record: MakeRecord, place: PostgresPlace) -> None:
    with place.refusing():
        await fails(filled, record, "is read-only")
        assert len(await filled.newest(10)) == 3
    await works(filled, record)


async def test_a_full_disk(filled: Store, record: MakeRecord, place: PostgresPlace) -> None:
    with refusal(place, "53100", "could not extend file"):
        await fails(filled, record, "the disk of .* is full: free some space")
        assert len(await filled.newest(10)) == 3
    await works(filled, record)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("57014", "took too long"),
        ("42501", "does not permit this user to write"),
        ("53200", "out of memory"),
        ("XX001", "internal error"),
        ("22003", "made up for the test"),
    ],
)
async def test_what_postgresql_reports_is_said_in_plain_words(
    filled: Store, record: MakeRecord, place: PostgresPlace, code: str, words: str
) -> None:
    with refusal(place, code, "made up for the test"):
        await fails(filled, record, words)
    await works(filled, record)


async def test_a_lock_of_another_session(
    filled: Store, record: MakeRecord, place: PostgresPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pnl_backend.ledger.postgres.address.LOCK_TIMEOUT_MS", 100)
    place.server.end_sessions("pnl-backend%")
    with psycopg.connect(place.url) as other:
        other.execute("LOCK TABLE rollups IN ACCESS EXCLUSIVE MODE")
        await fails(filled, record, "another session holds a lock")
        other.rollback()
    await works(filled, record)


async def test_a_paused_writer_does_not_hold_up_the_next_one(
    open_store: Open, record: MakeRecord, place: PostgresPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that rests is ended by PostgreSQL, long before its writer wakes."""
    monkeypatch.setattr("pnl_backend.ledger.postgres.address.IDLE_TIMEOUT_MS", 300)
    raw = connect(place.url, program="paused")
    Adapter(raw).execute("BEGIN IMMEDIATE")
    store = await open_store(fence=2)
    await store.append(record(store))
    with pytest.raises(psycopg.Error):
        raw.execute("COMMIT")
    raw.close()


async def test_a_connection_that_gives_no_answer_is_given_up(
    open_store: Open, record: MakeRecord, place: PostgresPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LONGEST_WRITE", 0.5)
    monkeypatch.setattr(database, "PATIENCE", 0.2)
    async with cutting_proxy(place.server.port) as proxy:
        url = place.url.replace(f":{place.server.port}/", f":{proxy.url.rpartition(':')[2]}/")
        store = await Store.open(url, origin="live")
        await store.append(record(store))
        proxy.stall()
        await fails(store, record, "lost|does not answer|no answer")
        await fails(store, record, "lost|does not answer|no answer")
        proxy.resume()
        place.server.end_sessions("pnl-backend%")
        async with asyncio.timeout(30):
            while True:
                try:
                    await store.append(record(store))
                    break
                except StoreError:
                    await asyncio.sleep(0.1)
        assert [one.seq for one in await store.newest(10)] == [1, 2]
        await store.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda url, _: url.replace(PASSWORD, "wrong-words"), "refuses the user or the password"),
        (lambda url, _: url.rpartition("/")[0] + "/nowhere", "does not exist: create"),
        (lambda url, port: url.replace(f":{port}/", ":1/"), "nothing listens there"),
        (lambda url, _: url.replace("127.0.0.1", "no-such-host.invalid"), "its host name is unknown"),
        (lambda _url, _port: "postgresql://pnl:wrong-words@[::bad", "is no address of a PostgreSQL database"),
    ],
    ids=["password", "database", "port", "host", "url"],
)
async def test_an_address_that_is_wrong_is_said_at_the_start(place: PostgresPlace, change, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(StoreError, match=words) as failure:
        await Store.open(change(place.url, place.server.port), origin="live")
    assert PASSWORD not in str(failure.value)
    assert "wrong-words" not in str(failure.value)


async def test_too_many_connections(filled: Store, record: MakeRecord, place: PostgresPlace) -> None:
    name = place.url.rpartition("/")[2]
    with place.server.admin() as admin:
        admin.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
        place.server.end_sessions("pnl-backend%")
        await fails(filled, record, "too many connections")
        admin.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1")
    await works(filled, record)


async def test_a_database_of_another_program_is_refused_and_left_alone(place: PostgresPlace) -> None:
    other = place.server.database(empty=True)
    with psycopg.connect(other, autocommit=True) as connection:
        connection.execute("CREATE TABLE customers (name text)")
        with pytest.raises(StoreError, match="holds tables of another program"):
            await Store.open(other, origin="live", tolerant=True)
        assert connection.execute("SELECT relname FROM pg_class WHERE relname = 'meta'").fetchall() == []
    place.server.drop(other)


async def test_a_newer_ledger_is_refused_in_one_line(place: PostgresPlace) -> None:
    place.ask("UPDATE meta SET value = '99' WHERE key = 'schema'")
    with pytest.raises(StoreError, match=r"made by a newer version \(schema 99, this one knows \d+\)") as failure:
        await Store.open(place.url, origin="live", tolerant=True)
    assert "\n" not in str(failure.value)


async def test_a_ledger_of_the_other_origin_is_refused(store: Store, place: PostgresPlace) -> None:
    await store.close()
    with pytest.raises(StoreError, match="holds live figures, this server is demo"):
        await place.open(origin="demo")


async def test_a_start_without_postgresql_stores_later_in_an_epoch_of_its_own(
    store: Store, record: MakeRecord, place: PostgresPlace
) -> None:
    await store.append(record(store))
    former = store.epoch
    await store.close()
    place.server.stop()
    try:
        early = await place.open(tolerant=True)
        assert early.epoch != former
        seq = early.last_seq + 1
        await fails(early, record, "nothing listens there")
    finally:
        place.server.start()
    await early.append(record(early, seq, at=NOON))
    assert [(one.epoch, one.seq) for one in await early.newest(5)] == [(former, 1), (early.epoch, seq)]
    assert early.health()["state"] == "connected"
    await early.close()


async def test_a_start_on_a_read_only_server_reads_what_there_is(
    store: Store, record: MakeRecord, place: PostgresPlace
) -> None:
    await store.append(record(store))
    await store.close()
    with place.refusing():
        early = await place.open(tolerant=True)
        assert (early.last_seq, await early.latest()) == (1, (await early.newest(1))[0])
        await fails(early, record, "is read-only")
    await early.append(record(early))
    assert [one.seq for one in await early.newest(5)] == [1, 2]
    await early.close()


async def test_a_node_with_a_fence_does_not_open_a_ledger_that_is_away(place: PostgresPlace) -> None:
    place.server.stop()
    try:
        with pytest.raises(StoreError, match="nothing listens there"):
            await place.open(fence=1, tolerant=True)
    finally:
        place.server.start()


@contextmanager
def refusal(place: PostgresPlace, code: str, message: str) -> Iterator[None]:
    """While the block runs PostgreSQL reports this error for every payload."""
    place.ask(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION '{message}' USING ERRCODE = '{code}'; END $$"
    )
    place.ask("CREATE TRIGGER refuses BEFORE INSERT ON payloads_other FOR EACH ROW EXECUTE FUNCTION refuse()")
    yield
    place.ask("DROP FUNCTION refuse CASCADE")

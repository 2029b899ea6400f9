"""The ledger holds the facts of one account a source: another account under the same name is refused and not used."""

import shutil
import sqlite3
import time
from contextlib import closing

import pytest

from pnl_backend.simulator import Book, Simulator
from tests.support.server import FAST, ROOT, ServerProcess, command, upstream_env

FACTS = ("fills", "settlements", "transfers", "positions", "deals", "cost_days", "costs")
SOURCES = ("kalshi", "anthropic", "johns")


def is_live(*sources):
    return lambda answer: all(answer["data"]["sources"][name]["status"] == "live" for name in sources or SOURCES)


def is_whole(answer):
    """Every source is live, and nothing is to be said of its figures."""
    return is_live()(answer) and not any(state.get("marks") for state in answer["data"]["sources"].values())


def is_changed(source):
    return lambda answer: "account_changed" in answer["data"]["sources"][source].get("marks", [])


def facts(server):
    """Every fact in the ledger; of the markets not when they were written."""
    found = {table: server.rows(f"SELECT * FROM {table}") for table in FACTS}
    found["positions"] = server.rows("SELECT ticker, subaccount, realized, fees, quantity, cost FROM positions")
    return found


async def stopped(server):
    """The facts of a server that has ended."""
    assert await server.stop() == 0
    return facts(server)


async def imported(server):
    """Wait until the account's history is in the ledger."""
    await server.until(
        "/health", lambda answer: all(answer["parts"][name]["state"] == "complete" for name in ("history", "import"))
    )


async def booked(server):
    """The snapshot once the facts of every source are in the ledger."""
    await imported(server)
    await server.until("/health", lambda _: all(server.rows(f"SELECT * FROM {table} LIMIT 1") for table in FACTS))
    return (await server.until("/api/pnl/current", is_whole))["data"]


@pytest.fixture
async def start(tmp_path, simulator):
    """Starts the server on the same ledger with other settings, after the one before it was stopped."""
    servers: list[ServerProcess] = []

    async def start(**settings):
        for server in servers:
            await server.close()
        env = {
            **FAST,
            "FETCH_TIMEOUT_MS": "5000",
            "PNL_SINCE": "2026-11-01",
            **upstream_env(simulator, simulator.credentials()),
            **settings,
        }
        servers.append(await ServerProcess(tmp_path, **env).start())
        return servers[-1]

    yield start
    for server in servers:
        await server.close()


def other_account(simulator):
    user = simulator.kalshi.add_account(Book.sized(5, time.time()))
    return upstream_env(simulator, simulator.credentials(user_id=user))


async def refused(server, source):
    """The snapshot once the source is refused, and its error."""
    answer = await server.until("/api/pnl/current", is_changed(source))
    state = answer["data"]["sources"][source]
    assert state["status"] != "live"
    assert f"pnl-backend ledger adopt {source}" in state["error"]
    assert "DB_PATH" in state["error"]
    return answer["data"]


@pytest.mark.parametrize("redis", [False, True])
async def test_another_account_is_refused_and_the_old_one_comes_back(start, simulator, redis_server, redis):
    cache = {"REDIS_URL": redis_server.url} if redis else {}
    server = await start(**cache)
    before = await booked(server)
    kept = await stopped(server)
    server = await start(**other_account(simulator), **cache)
    shown = await refused(server, "kalshi")
    assert shown["components"]["kalshi"] == before["components"]["kalshi"], "the last good values"
    assert is_live("anthropic", "johns")({"data": shown})
    await server.until("/health", lambda answer: "kalshi" in answer.get("degraded", []))
    assert (await server.get("/api/circuit-breaker/status"))["data"]["services"]["kalshi"]["state"] == "CLOSED"
    assert facts(server) == kept, "no fact of the other account"
    assert server.log.count("account_changed") == 1
    server = await start(**cache)
    back = (await server.until("/api/pnl/current", is_live()))["data"]
    assert back["components"]["kalshi"] == before["components"]["kalshi"]
    assert facts(server) == kept


async def test_an_account_without_anything_is_refused_too(start, simulator):
    server = await start()
    kept = (await booked(server), await stopped(server))
    user = simulator.kalshi.add_account()
    server = await start(**upstream_env(simulator, simulator.credentials(user_id=user)))
    shown = await refused(server, "kalshi")
    assert (shown["components"]["kalshi"], facts(server)) == (kept[0]["components"]["kalshi"], kept[1])


@pytest.mark.parametrize("archived", [False, True])
async def test_a_rotated_key_of_the_same_account_works_without_a_notice(start, simulator, archived):
    server = await start()
    before = await booked(server)
    if archived:
        simulator.kalshi.archive()
    given = simulator.kalshi.new_key()
    simulator.kalshi.revoke_key(simulator.credentials().kalshi_key_id)
    server = await start(
        KALSHI_API_KEY=given.key_id,
        KALSHI_PRIVATE_KEY=given.private_key_pem.replace("\n", "\\n"),
        ANTHROPIC_API_KEY=simulator.organizations.new_key(),
    )
    after = (await server.until("/api/pnl/current", is_live()))["data"]
    assert after["components"]["kalshi"] == before["components"]["kalshi"]
    assert "account_changed" not in server.log
    assert "adopt" not in server.log


async def test_a_host_that_moved_is_refused_before_it_is_asked(start, simulator):
    server = await start()
    before = await booked(server)
    kept = await stopped(server)
    async with Simulator(step_interval=None, kalshi_rate=None) as moved:
        server = await start(**upstream_env(moved, moved.credentials()))
        for source in SOURCES:
            shown = await refused(server, source)
        assert shown["netPnL"] == before["netPnL"]
        assert not any(sum(counted.values()) for counted in moved.requests.values())
    assert facts(server) == kept


async def test_another_organisation_is_refused(start, simulator):
    server = await start()
    before = await booked(server)
    kept = await stopped(server)
    server = await start(ANTHROPIC_API_KEY=simulator.organizations.new_key(simulator.organizations.add()))
    shown = await refused(server, "anthropic")
    assert shown["components"]["anthropic"]["totalSpend"] == before["components"]["anthropic"]["totalSpend"]
    assert facts(server) == kept
    server = await start()
    await server.until("/api/pnl/current", is_live())


async def test_other_deals_at_the_same_address_are_refused(start, simulator):
    server = await start()
    before = await booked(server)
    kept = await stopped(server)
    for deal in simulator.deals.deals:
        deal.id = f"other-{deal.id}"
    server = await start()
    shown = await refused(server, "johns")
    assert shown["components"]["johns"] == before["components"]["johns"]
    assert facts(server) == kept


async def test_a_new_ledger_takes_nothing_from_the_cache_of_another_account(start, simulator, redis_server, tmp_path):
    server = await start(REDIS_URL=redis_server.url)
    await booked(server)
    await simulator.kill("kalshi")
    server = await start(REDIS_URL=redis_server.url, DB_PATH=str(tmp_path / "other" / "pnl.db"))
    shown = await server.until("/api/pnl/current", is_live("anthropic", "johns"))
    assert shown["data"]["sources"]["kalshi"]["status"] == "degraded"
    assert shown["data"]["components"]["kalshi"]["balance"] == 0


async def test_a_moved_host_of_the_same_account_can_be_adopted(start, simulator, tmp_path):
    server = await start()
    before = await booked(server)
    kept = await stopped(server)
    moved = {"KALSHI_API_URL": simulator.kalshi_url.replace("127.0.0.1", "localhost")}
    moved["JOHNS_REVENUE_URL"] = simulator.revenue_url.replace("127.0.0.1", "localhost")
    moved["ANTHROPIC_API_URL"] = simulator.anthropic_url.replace("127.0.0.1", "localhost")
    server = await start(**moved)
    for source in SOURCES:
        await refused(server, source)
        code, said = await command(tmp_path, "ledger", "adopt", source, **server.env)
        assert (code, "in use" in said) == (1, True), "the server runs"
    assert await server.stop() == 0
    for source, fact in zip(SOURCES, ("fill ", "its id ", "deal "), strict=True):
        code, said = await command(tmp_path, "ledger", "adopt", source, **server.env)
        assert (code, fact in said, len(said.splitlines())) == (0, True, 1), said
    await server.start()
    shown = await server.until("/api/pnl/current", is_live())
    assert shown["data"]["components"]["kalshi"] == before["components"]["kalshi"]
    assert facts(server) == kept


async def test_another_account_is_adopted_by_force_alone_and_its_predecessor_does_not_count(start, simulator, tmp_path):
    server = await start()
    await booked(server)
    server = await start(**other_account(simulator))
    await refused(server, "kalshi")
    kept = await stopped(server)
    snapshots = server.rows("SELECT * FROM snapshots")
    code, said = await command(tmp_path, "ledger", "adopt", "kalshi", **server.env)
    assert (code, "AccountChanged" in said, "--force" in said, "set aside" in said) == (1, True, True, True)
    assert facts(server) == kept
    code, said = await command(tmp_path, "ledger", "adopt", "kalshi", "--force", **server.env)
    assert (code, "set aside" in said) == (0, True), said
    held = {kind for (kind,) in server.rows("SELECT DISTINCT kind FROM set_aside WHERE source = 'kalshi'")}
    assert held == {"fills", "settlements", "transfers", "positions"}
    assert server.rows("SELECT count(*) FROM set_aside") == [(sum(len(kept[table]) for table in held),)]
    assert server.rows("SELECT * FROM snapshots") == snapshots
    await server.start()
    truth = simulator.truth(simulator.kalshi.user_ids[1]).kalshi
    shown = (await server.until("/api/pnl/current", is_live()))["data"]["components"]["kalshi"]
    assert shown["positions"] == 5
    assert shown["pnl"] == pytest.approx(float(truth.pnl), abs=0.01)
    assert shown["fees"] == pytest.approx(float(truth.fees), abs=0.006)


@pytest.mark.parametrize(
    ("name", "words"), [("nobody", "there are kalshi, anthropic, johns"), ("kalshi", "there is no ledger")]
)
async def test_what_cannot_be_adopted_is_one_line(simulator, tmp_path, name, words):
    env = upstream_env(simulator, simulator.credentials())
    code, said = await command(tmp_path, "ledger", "adopt", name, **env)
    assert (code, words in said, len(said.splitlines())) == (1, True, 1), said
    assert not list(tmp_path.glob("data/*.db"))


async def test_an_account_that_does_not_answer_is_not_adopted(start, simulator, tmp_path):
    server = await start()
    await booked(server)
    assert await server.stop() == 0
    held = server.rows("SELECT * FROM accounts")
    await simulator.kill("kalshi")
    code, said = await command(tmp_path, "ledger", "adopt", "kalshi", "--force", **server.env)
    assert (code, "cannot be reached" in said, len(said.splitlines())) == (1, True, 1), said
    assert server.rows("SELECT * FROM accounts") == held


async def test_the_check_finds_another_account_and_notes_nothing(start, simulator, tmp_path):
    server = await start()
    await booked(server)
    code, said = await command(tmp_path, "check", **server.env)
    assert (code, "another account" in said) == (0, False), said
    held = server.rows("SELECT * FROM accounts")
    code, said = await command(tmp_path, "check", **(server.env | other_account(simulator)))
    (line,) = [line for line in said.splitlines() if "another account" in line]
    assert (code, line.split()[:2], "ledger adopt kalshi" in line) == (1, ["problem", "kalshi"], True)
    assert server.rows("SELECT * FROM accounts") == held


OLD = ROOT / "tests" / "data" / "ledgers" / "0.1.0" / "pnl.db"
OLD_FACTS = {"fills": 9, "settlements": 11, "transfers": 8, "positions": 6}
"""The tables of a ledger of 0.1.0, with their number of columns."""


def add_to_old(old, new):
    """Put the account's facts of a ledger into one of 0.1.0, as if that had counted this account too."""
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("ATTACH ? AS new", (str(new),))
        for table, count in OLD_FACTS.items():
            names = [name for _, name, *_ in connection.execute(f"PRAGMA main.table_info({table})")]
            assert len(names) == count
            columns = ", ".join(names)
            connection.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}")
        connection.commit()


@pytest.fixture
async def old_ledger(simulator, tmp_path):
    """A server of today on a ledger of 0.1.0 that counted two accounts: what each of them brought, by table."""
    env = {**FAST, "FETCH_TIMEOUT_MS": "5000", **upstream_env(simulator, simulator.credentials())}
    for name in ("ANTHROPIC_API_URL", "ANTHROPIC_API_KEY", "JOHNS_REVENUE_URL", "JOHNS_REVENUE_TOKEN"):
        del env[name]
    (tmp_path / "first").mkdir()
    first = ServerProcess(tmp_path / "first", **env)
    await first.start()
    try:
        await imported(first)
        await first.until(
            "/health",
            lambda _: all(first.rows(f"SELECT * FROM {table} LIMIT 1") for table in OLD_FACTS),
        )
        assert await first.stop() == 0
    finally:
        await first.close()
    server = ServerProcess(tmp_path / "second", **env)
    (server.directory / "data").mkdir(parents=True)
    old = server.directory / "data" / "pnl.db"
    shutil.copy(OLD, old)
    foreign = {table: len(server.rows(f"SELECT * FROM {table}")) for table in OLD_FACTS}
    ours = {table: len(first.rows(f"SELECT * FROM {table}")) for table in OLD_FACTS}
    add_to_old(old, first.directory / "data" / "pnl.db")
    yield server, ours, foreign
    await server.close()


async def test_an_old_ledger_with_two_accounts_counts_the_present_one_alone(old_ledger, simulator):
    server, ours, foreign = old_ledger
    stored = "SELECT seq, at, net, kalshi, costs, revenue FROM snapshots"
    history = server.rows(stored)
    await server.start()
    await server.until("/health", lambda _: not server.rows("SELECT * FROM unconfirmed"))
    shown = await server.until(
        "/api/pnl/current",
        lambda answer: is_live("kalshi")(answer) and not answer["data"]["sources"]["kalshi"].get("marks"),
    )
    figures, truth = shown["data"]["components"]["kalshi"], simulator.truth().kalshi
    assert figures["pnl"] == pytest.approx(float(truth.pnl), abs=0.011)
    assert figures["fees"] == pytest.approx(float(truth.fees), abs=0.006)
    assert figures["balance"] == pytest.approx(float(truth.balance), abs=0.006)
    for table in OLD_FACTS:
        ((count,),) = server.rows(f"SELECT count(*) FROM {table}")
        ((aside,),) = server.rows("SELECT count(*) FROM set_aside WHERE kind = ?", table)
        assert (count, aside) == (ours[table], foreign[table]), table
    assert server.rows(f"{stored} WHERE seq <= ?", history[-1][0]) == history
    first, last = history[0][1], history[-1][1]
    path = f"/api/pnl/history?from={first}&to={last}&resolution=1h"
    answer = await server.until(path, lambda answer: answer["data"]["restatements"])
    assert [one["source"] for one in answer["data"]["restatements"]] == ["kalshi"]
    rows = [row for row in answer["data"]["data"] if not row.get("imported")]
    assert rows
    assert all(row["restated"] for row in rows)

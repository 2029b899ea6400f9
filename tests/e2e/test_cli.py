"""The command line: bad settings, check, stop."""

import asyncio
import signal
import ssl
import stat
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pnl_backend.settings.text import example
from pnl_backend.simulator import Fault, Simulator
from tests.support.clients import listening
from tests.support.server import FAST, ServerProcess, command, upstream_env
from tests.waiting import PATIENCE


async def test_bad_settings_stop_the_start_with_a_line_each(tmp_path):
    code, output = await command(tmp_path, PORT="abc", BUSINESS_TIMEZONE="Mars/X")
    assert code == 2
    assert "PORT: given 'abc', allowed: 0 to 65535" in output
    assert "BUSINESS_TIMEZONE: given 'Mars/X'" in output
    assert "Traceback" not in output


async def test_directories_are_made_at_start_and_the_ledger_is_private(tmp_path):
    server = await ServerProcess(tmp_path, **FAST).start()
    try:
        assert (tmp_path / "logs").is_dir()
        (ledger,) = tmp_path.glob("data/pnl-demo.db")
        assert stat.S_IMODE(ledger.stat().st_mode) == 0o600
        assert "DEMO" in server.log
        assert (await server.get("/api/pnl/current"))["data"]["simulated"] is True
        assert "demo" in str(await server.get("/health")).lower()
    finally:
        await server.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_and_exits_0(tmp_path, simulator, number):
    server = await ServerProcess(tmp_path, **FAST, **upstream_env(simulator, simulator.credentials())).start()
    try:
        async with listening(server.url) as client, listening(server.url, transports=["polling"]) as other:
            await client.io.call("subscribe_pnl")
            await other.io.call("subscribe_pnl")
            last = await client.next("pnl_update")
            server.signal(number)
            async with asyncio.timeout(PATIENCE):
                await client.ended.wait()
                await other.ended.wait()
            assert await server.wait() == 0
        ((stored,),) = server.rows("SELECT max(seq) FROM snapshots")
        assert stored >= last["data"]["seq"]
        assert "Traceback" not in server.log
    finally:
        await server.close()


async def test_a_signal_ends_a_server_whose_upstream_hangs(tmp_path, simulator):
    env = FAST | {"FETCH_TIMEOUT_MS": "60000"}
    server = await ServerProcess(tmp_path, **env, **upstream_env(simulator, simulator.credentials())).start()
    try:
        await server.until("/api/pnl/current", lambda a: a["data"]["sources"]["kalshi"]["status"] == "live")
        simulator.set_fault("kalshi", Fault.hang())
        await server.until("/api/pnl/current", lambda a: (a["data"]["sources"]["kalshi"]["ageMs"] or 0) > 300)
        assert await server.stop() == 0
    finally:
        await server.close()


async def test_a_second_signal_ends_at_once(tmp_path):
    server = await ServerProcess(tmp_path, **FAST).start()
    try:
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGTERM)
        assert await server.wait() in (0, 130)
    finally:
        await server.close()


@pytest.fixture
async def tls_port(tmp_path):
    """A port that speaks TLS alone, under a certificate that nobody signed; what is said there leads to nothing."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis.test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "tls.pem").write_bytes(private + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.pem")
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_check_of_the_demo(tmp_path):
    code, output = await command(tmp_path, "check")
    assert code == 0, output
    assert "DEMO" in output
    assert "The server can do its job." in output


async def test_check_prints_what_works_and_masks_secrets(tmp_path, simulator, redis_server):
    env = upstream_env(simulator, simulator.credentials())
    code, output = await command(tmp_path, "check", **env, REDIS_URL=redis_server.url, API_KEY="not-to-be-shown")
    assert code == 0, output
    for part in ("kalshi", "anthropic", "johns_revenue", "redis", "database"):
        assert f"ok       {part}" in output
    for secret in ("not-to-be-shown", env["ANTHROPIC_API_KEY"], env["JOHNS_REVENUE_TOKEN"], "PRIVATE KEY"):
        assert secret not in output


async def test_check_reports_that_a_plain_key_cannot_read_costs(tmp_path):
    async with Simulator(step_interval=None) as simulator:
        env = upstream_env(simulator, simulator.credentials(anthropic="plain"))
        code, output = await command(tmp_path, "check", **env)
    assert code == 1
    assert "Admin key" in output
    assert "problem  anthropic" in output


async def test_check_reports_what_is_wrong_with_a_private_key(tmp_path, simulator):
    env = upstream_env(simulator, simulator.credentials())
    code, output = await command(tmp_path, "check", **(env | {"KALSHI_PRIVATE_KEY": "not a key"}))
    assert code == 1
    assert "problem  kalshi" in output


async def test_check_warns_of_an_outage_and_fails_on_it_only_when_strict(tmp_path, simulator, redis_server):
    env = upstream_env(simulator, simulator.credentials()) | {"REDIS_URL": redis_server.url}
    assert (await command(tmp_path, "check", "--strict", **env))[0] == 0
    await redis_server.stop()
    await simulator.kill("johns")
    code, output = await command(tmp_path, "check", **env)
    assert code == 0, output
    assert "warning  johns_revenue" in output
    assert "warning  redis" in output
    assert (await command(tmp_path, "check", "--strict", **env))[0] == 1
    for upstream in ("kalshi", "anthropic"):
        await simulator.kill(upstream)
    code, output = await command(tmp_path, "check", **env)
    assert code == 0, output
    assert "no source answers" in output
    assert (await command(tmp_path, "check", "--strict", **env))[0] == 1


async def test_check_asks_hanging_upstreams_together_and_takes_them_for_an_outage(tmp_path, simulator):
    env = upstream_env(simulator, simulator.credentials()) | {"FETCH_TIMEOUT_MS": "100"}
    for upstream in ("kalshi", "anthropic", "johns"):
        simulator.set_fault(upstream, Fault.hang())
    code, output = await command(tmp_path, "check", **env)
    assert code == 0, output
    assert output.count("warning  ") == 4


async def test_check_fails_when_no_source_is_configured_or_the_database_cannot_be_written(tmp_path, simulator):
    env = upstream_env(simulator, simulator.credentials())
    (tmp_path / "file").write_text("not a directory")
    code, output = await command(tmp_path, "check", **env, DB_PATH=str(tmp_path / "file" / "pnl.db"))
    assert code == 1
    assert "problem  database" in output
    code, output = await command(tmp_path, "check", DEMO="false")
    assert code == 1
    assert "no source is configured" in output


async def test_check_prints_why_redis_refuses(tmp_path, redis_server):
    plain, closed = redis_server.url, "redis://127.0.0.1:1"
    await redis_server.stop()
    await redis_server.start("--requirepass", "the-right-password")
    for url, code, words in (
        (plain, 1, "requires a password: put it into REDIS_URL before the host, as :password@;"),
        (plain.replace("://", "://:the-wrong-password@"), 1, "refuses the user or the password of REDIS_URL"),
        (plain.replace("://", "://nobody:the-right-password@"), 1, "refuses the user or the password of REDIS_URL"),
        (plain.replace("redis:", "rediss:"), 0, "use redis:// in REDIS_URL"),
        (closed, 0, "does not answer"),
    ):
        exit_code, output = await command(tmp_path, "check", REDIS_URL=url)
        assert words in output
        assert exit_code == code, output
        assert "-password" not in output
        assert "nobody" not in output
        assert "Traceback" not in output
    url = plain.replace("://", "://:the-right-password@")
    exit_code, output = await command(tmp_path, "check", REDIS_URL=url)
    assert exit_code == 0
    assert "ok       redis" in output


async def test_check_reports_that_redis_needs_tls_or_has_an_unknown_certificate(tmp_path, tls_port):
    code, output = await command(tmp_path, "check", REDIS_URL=f"redis://127.0.0.1:{tls_port}")
    assert code == 0
    assert "use rediss:// in REDIS_URL" in output
    code, output = await command(tmp_path, "check", REDIS_URL=f"rediss://127.0.0.1:{tls_port}")
    assert code == 1
    assert "certificate is not trusted: self-signed certificate" in output


async def test_no_user_password_or_query_of_a_url_is_printed(tmp_path):
    given = {
        "REDIS_URL": "redis://user-a:secret-b@127.0.0.1:1/0?password=secret-c",
        "KALSHI_API_URL": "http://user-d:secret-e@127.0.0.1:1/trade-api/v2?token=secret-f",
        "KALSHI_WS_URL": "ws://secret-g@127.0.0.1:1/ws?secret-h",
        "ANTHROPIC_API_URL": "http://user-i:p@ss:secret-j@127.0.0.1:1",
        "ANTHROPIC_API_KEY": "secret-k",
        "JOHNS_REVENUE_URL": "http://127.0.0.1:1/api/revenue?key=secret-l&user=user-m#secret-n",
    }
    outputs = [await command(tmp_path, name, **given) for name in ("check", "settings")]
    wrong = {name: value.replace("://", ":x//") for name, value in given.items()} | {"PORT": "x"}
    wrong["REDIS_URL"] = "user-o:secret-p@127.0.0.1"
    outputs += [await command(tmp_path, name, **wrong) for name in ("check", "settings")]
    for _, output in outputs:
        assert "REDIS_URL" in output
        assert "127.0.0.1:1/trade-api/v2" in output or "KALSHI_API_URL: given" in output
        assert "secret-" not in output
        assert "user-" not in output


async def test_settings_are_listed_masked_and_the_example_is_printed(tmp_path):
    code, output = await command(tmp_path, "settings", API_KEY="not-to-be-shown")
    assert code == 0
    assert "not-to-be-shown" not in output
    assert await command(tmp_path, "settings", "--example") == (0, example())

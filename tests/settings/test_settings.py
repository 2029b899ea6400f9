"""Settings: every name of the contract, one clear line for what is wrong, secrets never shown."""

import re
from pathlib import Path

import pytest

from pnl_backend.errors import ConfigError
from pnl_backend.settings import model as config
from pnl_backend.settings.model import Settings, settings_class
from pnl_backend.settings.names import misspelt
from pnl_backend.settings.text import describe, example, load, names, notices
from pnl_backend.sources import registry
from tests.sources.toy import SOURCE as HOSTING

CONTRACT = [
    "PORT",
    "HOST",
    "NODE_ENV",
    "APP_ENV",
    "LOG_LEVEL",
    "LOG_DIR",
    "LOG_JSON",
    "API_KEY",
    "ADMIN_API_KEY",
    "CORS_ORIGIN",
    "ALLOWED_ORIGINS",
    "KALSHI_API_URL",
    "KALSHI_WS_URL",
    "KALSHI_API_KEY",
    "KALSHI_API_KEY_ID",
    "KALSHI_PRIVATE_KEY_PATH",
    "KALSHI_PRIVATE_KEY",
    "KALSHI_API_SECRET",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_ADMIN_KEY",
    "ANTHROPIC_API_URL",
    "JOHNS_REVENUE_URL",
    "JOHN_API_BASE_URL",
    "JOHNS_REVENUE_TOKEN",
    "DEMO",
    "UPDATE_INTERVAL_MS",
    "AGGREGATION_INTERVAL_MS",
    "FETCH_TIMEOUT_MS",
    "KALSHI_POLL_MS",
    "ANTHROPIC_POLL_MS",
    "JOHNS_POLL_MS",
    "REDIS_URL",
    "USE_REDIS",
    "CACHE_TTL",
    "DB_PATH",
    "CIRCUIT_BREAKER_FAILURE_THRESHOLD",
    "CIRCUIT_BREAKER_RESET_TIMEOUT",
    "PNL_SINCE",
    "BUSINESS_TIMEZONE",
    "DASHBOARD_BROADCAST",
    "RATE_LIMIT_PER_MINUTE",
    "TRUSTED_PROXIES",
    "MAX_CONNECTIONS",
    "MAX_CONNECTIONS_PER_IP",
    "PING_INTERVAL_MS",
    "PING_TIMEOUT_MS",
    "CONNECT_TIMEOUT_MS",
    "RECOVERY_WINDOW_MS",
    "SLOW_CLIENT_TIMEOUT_MS",
    "RETENTION_DAYS",
    "BACKUP_DIR",
    "BACKUP_KEEP_DAYS",
]

LONG_KEY = "k7Qm2xV9pL4sT8wB1nC6dF3gH5jR0yZa"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch, tmp_path):
    """Nothing of the machine's own environment or .env is seen."""
    for field in Settings.model_fields:
        for name in names(field):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def given(monkeypatch):
    def give(**values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        return load()

    return give


def problems(given, **values):
    with pytest.raises(ConfigError) as caught:
        given(**values)
    return caught.value.problems


def test_every_name_of_the_contract_is_known():
    known = {name for field in Settings.model_fields for name in names(field)}
    assert set(CONTRACT) <= known


def test_the_defaults_are_the_contract_s():
    settings = load()
    assert (settings.port, settings.bind_host, settings.node_env) == (3000, "127.0.0.1", "development")
    assert (settings.update_interval_ms, settings.fetch_timeout_ms) == (5000, 5000)
    assert (settings.kalshi_poll_ms, settings.anthropic_poll_ms, settings.johns_poll_ms) == (5000, 60000, 15000)
    assert (settings.circuit_breaker_failure_threshold, settings.circuit_breaker_reset_timeout) == (5, 60000)
    assert (settings.cache_ttl, settings.rate_limit_per_minute) == (300_000, 100)
    assert (settings.max_connections, settings.max_connections_per_ip) == (20000, 500)
    assert settings.revenue_url == "http://localhost:5000/api/revenue"
    assert settings.origins == ["*"]
    assert settings.redis is None
    assert settings.demo_mode
    assert settings.database == Path("data/pnl-demo.db")


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("APP_ENV", "test", "node_env", "test"),
        ("KALSHI_API_KEY_ID", "id", "kalshi_api_key", "id"),
        ("AGGREGATION_INTERVAL_MS", "10000", "update_interval_ms", 10000),
        ("LOG_LEVEL", "INFO", "log_level", "info"),
        ("KALSHI_API_URL", "https://demo.example/trade-api/v2/", "kalshi_api_url", "https://demo.example/trade-api/v2"),
        (
            "CORS_ORIGIN",
            "https://a.example, https://B.example/",
            "cors_origin",
            ["https://a.example", "https://b.example"],
        ),
        ("TRUSTED_PROXIES", "127.0.0.1,10.0.0.0/8", "trusted_proxies", ["127.0.0.1/32", "10.0.0.0/8"]),
        ("PORT", "", "port", 3000),
    ],
)
def test_aliases_and_forms(given, monkeypatch, name, value, field, expected):
    if name == "KALSHI_API_KEY_ID":
        monkeypatch.setenv("KALSHI_PRIVATE_KEY", "pem")
    assert getattr(given(**{name: value}), field) == expected


def test_a_dotenv_file_is_read_and_the_environment_wins(given):
    Path(".env").write_text("PORT=4000\nLOG_LEVEL=debug\nSOMETHING_ELSE=1\n")
    settings = given(PORT="5000")
    assert (settings.port, settings.log_level) == (5000, "debug")


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("PORT", "abc", "PORT: given 'abc', allowed: 0 to 65535"),
        ("PORT", "70000", "PORT: given '70000', allowed: 0 to 65535"),
        ("NODE_ENV", "prod", "NODE_ENV: given 'prod', allowed: development, production or test"),
        ("UPDATE_INTERVAL_MS", "1", "UPDATE_INTERVAL_MS: given '1', allowed: whole milliseconds, 20 or more"),
        ("KALSHI_API_URL", "ftp://x", "KALSHI_API_URL: given 'ftp://x', allowed: an http or https URL"),
        ("KALSHI_SUBACCOUNTS", "0,64", "KALSHI_SUBACCOUNTS: given '0,64', allowed: numbers from 0 to 63 with commas"),
        ("KALSHI_SUBACCOUNTS", "every", "KALSHI_SUBACCOUNTS: given 'every', allowed: numbers from 0 to 63 with commas"),
        ("REDIS_URL", "localhost", "REDIS_URL: given 'localhost', allowed: a redis, rediss or unix URL"),
        ("BUS_URL", "localhost", "BUS_URL: given 'localhost', allowed: a redis, rediss or unix URL"),
        ("DATABASE_URL", "mysql://u:p@h/d", "DATABASE_URL: given ********, allowed: a postgresql URL with the name of"),
        (
            "DATABASE_URL",
            "postgresql://host",
            "DATABASE_URL: given ********, allowed: a postgresql URL with the name of",
        ),
        ("ROLE", "leader", "ROLE: given 'leader', allowed: all, poll or push"),
        ("LEASE_MS", "499", "LEASE_MS: given '499', allowed: whole milliseconds, 500 or more"),
        ("BUSINESS_TIMEZONE", "Mars/X", "BUSINESS_TIMEZONE: given 'Mars/X', allowed: an IANA name"),
        ("PNL_SINCE", "yesterday", "PNL_SINCE: given 'yesterday', allowed: YYYY-MM-DD"),
        ("CORS_ORIGIN", "https://a.example/path", "CORS_ORIGIN: given 'https://a.example/path', allowed: origins"),
        ("TRUSTED_PROXIES", "proxy", "TRUSTED_PROXIES: given 'proxy', allowed: addresses or networks"),
        ("AGENT_RULES", "{", "AGENT_RULES: given '{', allowed: JSON"),
        ("DEMO", "maybe", "DEMO: given 'maybe', allowed: true or false"),
        ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "0", "CIRCUIT_BREAKER_FAILURE_THRESHOLD: given '0', allowed: 1 or more"),
    ],
)
def test_a_bad_value_is_one_line_with_name_given_and_allowed(given, name, value, line):
    (problem,) = problems(given, **{name: value})
    assert problem.startswith(line)
    assert "\n" not in problem


CLUSTER = {"BUS_URL": "redis://bus:1", "DATABASE_URL": "postgresql://db/pnl"}


@pytest.mark.parametrize(
    ("values", "redis"),
    [
        ({"USE_REDIS": "true"}, "redis://localhost:6379"),
        ({"USE_REDIS": "false"}, None),
        ({"USE_REDIS": "true", "REDIS_URL": "redis://other:1"}, "redis://other:1"),
        ({"USE_REDIS": "false", "REDIS_URL": "redis://other:1"}, None),
        ({"REDIS_URL": "redis://other:1"}, "redis://other:1"),
        (CLUSTER, "redis://bus:1"),
        (CLUSTER | {"REDIS_URL": "redis://other:1"}, "redis://other:1"),
        (CLUSTER | {"USE_REDIS": "false"}, None),
    ],
)
def test_which_redis_is_used(given, values, redis):
    assert given(**values).redis == redis


@pytest.mark.parametrize(
    ("values", "url"),
    [
        ({"JOHN_API_BASE_URL": "https://api.john.example"}, "https://api.john.example/api/revenue"),
        ({"JOHN_API_BASE_URL": "https://api.john.example/v2/"}, "https://api.john.example/v2/api/revenue"),
        ({"JOHN_API_BASE_URL": "https://a.example", "JOHNS_REVENUE_URL": "https://b.example/r"}, "https://b.example/r"),
    ],
)
def test_where_john_is_asked(given, values, url):
    settings = given(**values)
    assert (settings.revenue_url, settings.any_source, settings.demo_mode) == (url, True, False)


def test_a_password_in_johns_base_is_a_secret(given):
    assert "p-1" in given(JOHN_API_BASE_URL="https://user:p-1@api.john.example").secrets


def test_names_without_effect_are_named(given, tmp_path):
    (tmp_path / ".env").write_text("VITE_WS_URL=ws://x\nLOG_COLOUR=1\nAGGREGATION_INTERVAL_MS=7000\nPORT=4000\n")
    settings = given(UPDATE_INTERVAL_MS="9000", JOHNS_REVENUE_URL="http://a", JOHN_API_BASE_URL="http://b", HOME_X="1")
    assert settings.update_interval_ms == 9000
    assert notices(settings) == [
        "AGGREGATION_INTERVAL_MS: has no effect, UPDATE_INTERVAL_MS goes before it",
        "LOG_COLOUR: no setting has this name (.env), it has no effect",
        "VITE_WS_URL: is read when a dashboard is built, not by the server",
        "JOHN_API_BASE_URL: has no effect, JOHNS_REVENUE_URL has precedence",
    ]


def test_any_name_in_the_environment_goes_before_those_in_the_file(given, tmp_path):
    (tmp_path / ".env").write_text("UPDATE_INTERVAL_MS=7000\nAGGREGATION_INTERVAL_MS=8000\n")
    settings = given(AGGREGATION_INTERVAL_MS="9000")
    assert settings.update_interval_ms == 9000
    assert notices(settings) == ["UPDATE_INTERVAL_MS: has no effect, AGGREGATION_INTERVAL_MS goes before it"]


def test_the_first_api_of_kalshi_is_named(given):
    (line,) = notices(given(KALSHI_API_URL="https://api.kalshi.com/v1"))
    assert line.startswith("KALSHI_API_URL: api.kalshi.com no longer answers")


def test_every_bad_value_gets_its_line(given):
    assert len(problems(given, PORT="x", LOG_LEVEL="loud", CACHE_TTL="0")) == 3


def test_settings_that_contradict_each_other(given, tmp_path):
    missing = str(tmp_path / "none.pem")
    (problem,) = problems(given, KALSHI_PRIVATE_KEY_PATH=missing)
    assert missing in problem


def test_an_open_address_needs_a_key(given):
    (problem,) = problems(given, HOST="0.0.0.0")
    assert problem.startswith("API_KEY: needed")
    assert given(API_KEY="k").bind_host == "0.0.0.0"


@pytest.mark.parametrize(
    ("key", "fragment"),
    [
        (None, "API_KEY: none given"),
        ("short", "API_KEY: given 5 characters"),
        ("your-secret-key-your-secret-key-00", "API_KEY: given a key from the documentation"),
    ],
)
def test_production_refuses_to_start_without_a_good_key(given, key, fragment):
    values = {"NODE_ENV": "production"} | ({"API_KEY": key} if key else {})
    (problem,) = problems(given, **values)
    assert problem.startswith(fragment)
    assert key is None or key not in problem


def test_production_defaults(given):
    settings = given(NODE_ENV="production", API_KEY=LONG_KEY)
    assert settings.bind_host == "0.0.0.0"
    assert settings.origins == []
    assert not settings.demo_mode
    assert settings.database == Path("data/pnl.db")


def test_demo_is_off_as_soon_as_any_name_of_a_source_is_set(given):
    assert not given(JOHNS_REVENUE_URL="http://127.0.0.1:5000/api/revenue").demo_mode
    assert given(DEMO="true").demo_mode


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KALSHI_API_KEY", "id"),
        ("KALSHI_API_KEY_ID", "id"),
        ("KALSHI_PRIVATE_KEY", "pem"),
        ("KALSHI_API_SECRET", "pem"),
        ("KALSHI_API_URL", "http://127.0.0.1:1"),
        ("ANTHROPIC_ADMIN_KEY", "key"),
        ("JOHNS_REVENUE_TOKEN", "token"),
    ],
)
def test_half_a_source_is_no_error_and_no_demo(given, name, value):
    assert not given(**{name: value}).demo_mode


def test_an_empty_name_of_a_source_is_none(given):
    Path(".env").write_text("KALSHI_API_KEY=\nANTHROPIC_API_KEY=\n")
    assert given(KALSHI_PRIVATE_KEY="").demo_mode


KNOWN = {name for field in Settings.model_fields for name in names(field)}


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("KALSHI_API_KY", "KALSHI_API_KEY"),
        ("KALSHI_APIKEY", "KALSHI_API_KEY"),
        ("KASLHI_API_KEY", "KALSHI_API_KEY"),
        ("ALLOWED_ORIGIN", "ALLOWED_ORIGINS"),
        ("JOHN_REVENUE_URL", "JOHNS_REVENUE_URL"),
        ("ANTHROPIC_APIKEYS", "ANTHROPIC_API_KEY"),
    ],
)
def test_a_near_name_is_found_in_file_and_environment(given, name, near):
    (line,) = problems(given, **{name: "x"})
    assert line == f"{name}: no setting has this name (environment); did you mean {near}?"
    (line,) = misspelt(KNOWN, in_file=[name], in_environment=[])
    assert line == f"{name}: no setting has this name (.env); did you mean {near}?"


@pytest.mark.parametrize(("name", "near"), [("PROT", "PORT"), ("API_KEYS", "API_KEY"), ("REDIS_ULR", "REDIS_URL")])
def test_a_short_name_is_near_in_the_file_alone(given, name, near):
    assert given(**{name: "x"}).port == 3000
    (line,) = misspelt(KNOWN, in_file=[name], in_environment=[])
    assert line.endswith(f"did you mean {near}?")


@pytest.mark.parametrize(
    "name",
    [
        "SOMETHING_ELSE", "VITE_API_URL", "VITE_WS_URL", "VITE_WS_SECURE", "KALSHI_API_KEY_2", "ANTHROPIC_BASE_URL",
        "REDIS_PORT", "LOG_FILE", "NODE_OPTIONS", "HOSTNAME", "DB_USER",
    ],
)  # fmt: skip
def test_a_distant_name_is_ignored(given, name):
    Path(".env").write_text(f"{name}=1\n")
    assert given(**{name: "1"}).port == 3000


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"ROLE": "poll"}, "BUS_URL: none given, ROLE=poll needs the Redis of its cluster"),
        ({"ROLE": "push"}, "BUS_URL: none given, ROLE=push needs the Redis of its cluster"),
        (
            {"BUS_URL": "redis://bus:1"},
            "DATABASE_URL: none given, the nodes of BUS_URL need a PostgreSQL ledger that all of them share",
        ),
        (
            CLUSTER | {"ROLE": "push", "ANTHROPIC_API_KEY": "k", "JOHNS_REVENUE_TOKEN": "t"},
            "ROLE: a push node has no credentials of a source, remove ANTHROPIC_API_KEY, JOHNS_REVENUE_TOKEN",
        ),
    ],
)
def test_settings_of_a_cluster_that_do_not_fit_stop_the_start(given, values, line):
    assert problems(given, **values) == [line]


def test_a_push_node_is_no_demo_by_itself(given):
    assert given(**CLUSTER, ROLE="all").demo_mode
    assert not given(**CLUSTER, ROLE="push").demo_mode
    assert given(**CLUSTER, ROLE="push", DEMO="true").demo_mode


def test_the_passwords_of_a_cluster_are_shown_nowhere(given):
    settings = given(
        BUS_URL="rediss://node:eta-secret@bus:1", DATABASE_URL="postgresql://u:theta%40secret@db/pnl?sslmode=require"
    )
    assert "secret" not in repr(describe(settings)) + repr(settings.database_url)
    assert {"eta-secret", "theta%40secret", "theta@secret"} <= set(settings.secrets)


def test_secrets_are_shown_nowhere(given, tmp_path):
    settings = given(
        API_KEY="alpha-secret,beta-secret",
        ADMIN_API_KEY="gamma-secret",
        KALSHI_API_KEY="key-id-0123456789",
        KALSHI_API_SECRET="-----BEGIN delta-secret\\nEND",
        ANTHROPIC_API_KEY="epsilon-secret",
        JOHNS_REVENUE_TOKEN="zeta-secret",
        REDIS_URL="redis://:eta-secret@127.0.0.1:6379/0",
    )
    shown = repr(describe(settings)) + repr(settings)
    assert "secret" not in repr(describe(settings)).replace("KALSHI_API_SECRET", "")
    assert "alpha-secret" not in shown
    assert dict(describe(settings))["KALSHI_API_KEY"] == "key-****"
    assert settings.kalshi_pem == "-----BEGIN delta-secret\nEND"
    assert {"alpha-secret", "beta-secret", "gamma-secret", "epsilon-secret", "zeta-secret", "eta-secret"} <= set(
        settings.secrets
    )


def test_a_bad_secret_is_not_echoed(given):
    (problem,) = problems(given, NODE_ENV="production", API_KEY="do-not-echo-me")
    assert "do-not-echo-me" not in problem


def test_the_example_file_is_the_model_s_own_text():
    file = Path(config.__file__).parents[2] / ".env.example"
    assert file.read_text() == example(further=False)
    assert set(re.findall(r"^# ([A-Z_]+)=", example(), re.MULTILINE)) == {
        names(f)[0] for f in settings_class().model_fields
    }


def test_the_example_file_is_the_same_whichever_source_types_there_are():
    before = example(further=False)
    with registry.registered(HOSTING):
        assert example(further=False) == before
        assert "# HOSTING_URL=" in example()


def test_the_example_file_with_its_defaults_starts_a_server():
    Path(".env").write_text(re.sub(r"^# (?=[A-Z_]+=)", "", example(), flags=re.MULTILINE))
    assert load().demo_mode is False  # it names John's endpoint, so it is no longer a demo


def test_every_setting_has_its_help_and_what_is_allowed():
    for field, info in Settings.model_fields.items():
        assert info.description, field
        assert info.json_schema_extra["allowed"], field

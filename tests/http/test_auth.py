"""Who may ask: keys in every place they may stand, scopes, rotation, and an open server."""

import pytest
from aiohttp import web

from pnl_backend.access.keys import AdminRequired, Keys
from pnl_backend.access.refusals import Forbidden, Unauthorized
from tests.http.support import ADMIN, ADMIN_KEY, READ, READ_KEY, House

DATA_ROUTES = [
    ("GET", "/api/pnl/current"),
    ("GET", "/api/pnl/history"),
    ("GET", "/api/pnl/breakdown"),
    ("GET", "/api/pnl/export"),
    ("GET", "/api/circuit-breaker/status"),
    ("POST", "/api/circuit-breaker/reset"),
    ("GET", "/api/cache/stats"),
    ("POST", "/api/cache/clear"),
    ("GET", "/metrics"),
]


@pytest.mark.parametrize(("method", "path"), DATA_ROUTES)
async def test_every_data_route_refuses_without_a_key_and_with_a_wrong_one(serve, method, path):
    http = await serve()
    async with http.request(method, path) as answer:
        assert answer.status == 401
        error = (await answer.json())["error"]
        assert (error["message"], error["code"]) == ("Missing API key", "missing_api_key")
    async with http.request(method, path, headers={"X-API-Key": READ_KEY + "x"}) as answer:
        assert answer.status == 403
        error = (await answer.json())["error"]
        assert (error["message"], error["code"]) == ("Invalid API key", "invalid_api_key")


@pytest.mark.parametrize(
    "given",
    [
        {"headers": {"X-API-Key": READ_KEY}},
        {"headers": {"x-api-key": READ_KEY}},
        {"headers": {"Authorization": f"Bearer {READ_KEY}"}},
        {"headers": {"Authorization": f"bearer  {READ_KEY} "}},
        {"params": {"apiKey": READ_KEY}},
        {"headers": {"X-API-Key": ADMIN_KEY}},
        {"headers": {"X-API-Key": ""}, "params": {"apiKey": READ_KEY}},
        {"headers": {"Authorization": "Basic dXNlcjpwYXNz"}, "params": {"apiKey": READ_KEY}},
    ],
)
async def test_a_key_is_taken_from_header_bearer_or_query(serve, given):
    http = await serve()
    async with http.get("/api/pnl/current", **given) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"headers": {"X-API-Key": "wrong"}, "params": {"apiKey": READ_KEY}}, 403),
        ({"headers": {"Authorization": READ_KEY}}, 401),
        ({"headers": {"Authorization": "Bearer"}}, 401),
        ({"headers": {"Authorization": "Bearer "}}, 401),
        ({"params": {"apiKey": ""}}, 401),
        ({"params": {"apikey": READ_KEY}}, 401),
        ({"headers": {"X-API-Key": f"{READ_KEY},{READ_KEY}"}}, 403),
        ({"headers": {"X-API-Key": "k\u00e9y"}}, 403),
        ({"headers": {"X-API-Key": "x" * 4000}}, 403),
    ],
)
async def test_the_first_key_given_decides(serve, given, status):
    http = await serve()
    async with http.get("/api/pnl/current", **given) as answer:
        assert answer.status == status
        assert ("WWW-Authenticate" in answer.headers) == (status == 401)


async def test_admin_routes_need_the_admin_key(serve):
    house = House()
    http = await serve(house)
    async with http.post("/api/cache/clear", headers=READ) as answer:
        assert answer.status == 403
        assert (await answer.json())["error"]["code"] == "admin_key_required"
    assert house.cache.entries == 3
    async with http.post("/api/cache/clear", headers=ADMIN) as answer:
        assert answer.status == 200


async def test_without_an_admin_key_the_admin_routes_are_closed_to_everyone(serve):
    house = House()
    http = await serve(house, keys=Keys(read=[READ_KEY]))
    async with http.post("/api/cache/clear", headers=READ) as answer:
        assert answer.status == 403
    http = await serve(house, keys=Keys(open_read=True))
    async with http.post("/api/cache/clear") as answer:
        assert answer.status == 403
    assert house.cache.entries == 3


async def test_an_open_server_reads_without_a_key_and_still_guards_admin_routes(serve):
    http = await serve(keys=Keys(admin=[ADMIN_KEY], open_read=True))
    async with http.get("/api/pnl/current") as answer:
        assert answer.status == 200
    async with http.get("/api/pnl/current", headers={"X-API-Key": "left over"}) as answer:
        assert answer.status == 200
    async with http.post("/api/cache/clear") as answer:
        assert answer.status == 401
    async with http.post("/api/cache/clear", headers={"X-API-Key": "left over"}) as answer:
        assert answer.status == 403
    async with http.post("/api/cache/clear", headers=ADMIN) as answer:
        assert answer.status == 200


async def test_a_server_without_keys_that_is_not_open_refuses_every_key(serve):
    http = await serve(keys=Keys())
    async with http.get("/api/pnl/current") as answer:
        assert answer.status == 401
    async with http.get("/api/pnl/current", headers=READ) as answer:
        assert answer.status == 403
    async with http.get("/health") as answer:
        assert answer.status == 200


async def test_a_route_mounted_later_is_guarded_by_itself_and_a_passed_through_one_is_left_alone(serve):
    async def answer_plainly(request):
        return web.Response(text="plain")

    def mount(app):
        app.router.add_get("/api/pnl/stream", answer_plainly)
        app.router.add_route("*", "/socket.io/", answer_plainly)

    http = await serve(mount=mount, rate_limit_per_minute=2, cors_origins=("*",))
    async with http.get("/api/pnl/stream") as answer:
        assert answer.status == 401
    async with http.get("/api/pnl/stream", headers=READ) as answer:
        assert (answer.status, await answer.text()) == (200, "plain")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for method in ("GET", "POST", "OPTIONS"):
        async with http.request(method, "/socket.io/", headers={"Origin": "https://a.example"}) as answer:
            assert (answer.status, await answer.text()) == (200, "plain")
            assert not {"Access-Control-Allow-Origin", "X-Request-ID", "Content-Security-Policy"} & set(answer.headers)
            assert "Server" not in answer.headers
    async with http.get("/socket.io/nothing/there") as answer:
        assert answer.status == 404
        assert (await answer.json())["error"]["code"] == "not_found"


def test_rotated_keys_overlap_and_a_revoked_key_is_reported():
    keys = Keys(read=["old"], admin=["boss"])
    old, boss = keys.check("old"), keys.check("boss", scope="admin")
    told = []
    keys.watch(told.append)

    assert keys.replace(read=["old", "new"], admin=["boss"]) == frozenset()
    assert keys.holds(old)
    assert keys.check("new").scopes == {"read"}

    assert keys.replace(read=["new", "boss"]) == {old.digest, boss.digest}
    assert not keys.holds(old)
    assert not keys.holds(boss)
    assert told == [frozenset(), {old.digest, boss.digest}]
    with pytest.raises(Forbidden):
        keys.check("old")
    with pytest.raises(AdminRequired):
        keys.check("boss", scope="admin")


def test_an_open_server_closes_with_its_first_key():
    keys = Keys(open_read=True)
    anyone = keys.check(None)
    assert keys.holds(anyone)
    keys.replace(read=["first"])
    assert not keys.holds(anyone)
    with pytest.raises(Unauthorized):
        keys.check(None)


def test_the_same_key_for_both_scopes_opens_nothing_to_others():
    keys = Keys(read=["both"], admin=["both"], open_read=True)
    assert keys.check("both").scopes == {"read", "admin"}
    assert not keys.is_open


@pytest.mark.parametrize("key", ["", "\ud800", "\x00", "é" * 100])
def test_no_presented_key_makes_a_check_fail_otherwise(key):
    with pytest.raises((Unauthorized, Forbidden)):
        Keys(read=["k"]).check(key)


def test_neither_grant_nor_keys_show_a_key():
    keys = Keys(read=["hush-hush"])
    assert "hush" not in repr(keys.check("hush-hush")) + repr(keys) + repr(vars(keys))

"""``/console/api``: logging in, staying logged in, logging out, the first password, and who is not let in."""

import asyncio
from http.cookies import SimpleCookie
from typing import Any

import httpx2
import pytest

from approval import approval
from console_world import PASSWORD, add_person, browser, claims_of, encoded, log_in, person
from surface_world import World, make_world
from surfaces.console_login import MAX_TRIES, TRIES_WINDOW_S
from surfaces.console_tokens import ACCESS_LIFETIME_S

UNAUTHORIZED = {"code": "unauthorized", "message": "Unauthorized."}
SETUP = {"email": "Ann@Example.org", "name": "Ann", "password": PASSWORD}


@pytest.fixture
async def world() -> World:
    """A Greenroom with the approval workflow."""
    return await make_world(approval())


def cookies_of(response: httpx2.Response) -> dict[str, Any]:
    """Return the cookies that a response sets, with their attributes."""
    jar: SimpleCookie = SimpleCookie()
    for header in response.headers.get_list("set-cookie"):
        jar.load(header)
    return dict(jar)


async def test_login_gives_three_cookies_and_no_token_in_its_body(world: World) -> None:
    """Access and refresh token are hidden from scripts, the CSRF token is not; other sites send none of them."""
    await add_person(world)
    async with browser(world) as client:
        response = await log_in(client)
    assert (response.status_code, response.json()) == (200, {"result": "success"})
    assert response.headers["cache-control"] == "no-store"
    cookies = cookies_of(response)
    assert set(cookies) == {"access_token", "refresh_token", "csrf_token"}
    assert {name: bool(each["httponly"]) for name, each in cookies.items()} == {
        "access_token": True, "refresh_token": True, "csrf_token": False,
    }  # fmt: skip
    assert {(each["samesite"], each["path"], each["domain"]) for each in cookies.values()} == {("lax", "/", "")}
    assert {name: each["max-age"] for name, each in cookies.items()} == {
        "access_token": "3600", "refresh_token": "2592000", "csrf_token": "3600",
    }  # fmt: skip
    claims = claims_of(cookies["csrf_token"].value)
    assert claims["exp"] - claims["iat"] == ACCESS_LIFETIME_S


async def test_cookies_are_bound_to_the_host_on_https() -> None:
    """On HTTPS the cookies are Secure and named so that a browser takes them from this host alone."""
    world = await make_world(approval(), public_url="https://greenroom.example")
    await add_person(world)
    async with browser(world) as client:
        cookies = cookies_of(await log_in(client))
    assert set(cookies) == {"__Host-access_token", "__Host-refresh_token", "__Host-csrf_token"}
    assert all(each["secure"] for each in cookies.values())


async def test_wrong_password_and_unknown_address_look_alike(world: World) -> None:
    """Neither says whether the address is known; nor does an account without a password."""
    await add_person(world)
    await world.ports.console.accounts.ensure_account("bob@example.org", "Bob", world.workspace_id, "normal")
    expected = {"code": "authentication_failed", "message": "Invalid email or password.", "status": 401}
    async with browser(world) as client:
        for email, password in (
            ("ann@example.org", "wrong"),
            ("nobody@example.org", PASSWORD),
            ("bob@example.org", ""),
            ("a\x00\ud800".encode("utf-8", "replace").decode(), PASSWORD),
        ):
            response = await log_in(client, email, password)
            assert (response.status_code, response.json()) == (401, expected), email
        raw = await client.post("/console/api/login", json={"email": "ann@example.org", "password": PASSWORD})
        assert (raw.status_code, raw.json()) == (401, expected)
        assert not client.cookies


async def test_password_is_tried_a_few_times_only(world: World) -> None:
    """After ten wrong ones all are refused for a quarter of an hour, also the right one; other accounts go on."""
    await add_person(world)
    await add_person(world, "bob@example.org")
    async with browser(world) as client:
        tries = [await log_in(client, password=f"wrong {number}") for number in range(MAX_TRIES + 1)]
        assert [each.status_code for each in tries] == [401] * MAX_TRIES + [429]
        refused = await log_in(client)
        assert (refused.status_code, refused.json()["code"]) == (429, "email_code_login_limit")
        assert refused.headers["retry-after"] == "900"
        assert (await log_in(client, "bob@example.org")).status_code == 200
        world.clock.at += TRIES_WINDOW_S
        assert (await log_in(client)).status_code == 200


async def test_tries_at_once_do_not_slip_past_the_limit(world: World) -> None:
    """A try is counted before it is checked."""
    await add_person(world)
    async with browser(world) as client:
        replies = await asyncio.gather(*(log_in(client, password=f"wrong {number}") for number in range(30)))
    assert sorted(each.status_code for each in replies) == [401] * MAX_TRIES + [429] * 20


async def test_right_password_ends_the_counting(world: World) -> None:
    """Whoever gets in has all tries again."""
    await add_person(world)
    async with browser(world) as client:
        for _ in range(3):
            for number in range(MAX_TRIES - 1):
                assert (await log_in(client, password=f"wrong {number}")).status_code == 401
            assert (await log_in(client)).status_code == 200


async def test_account_without_a_workspace_is_told_so(world: World) -> None:
    """The password is right, and there is nothing to see."""
    account = await add_person(world)
    del world.store.members[world.workspace_id, account.account_id]
    async with browser(world) as client:
        response = await log_in(client)
    assert (response.status_code, response.json()["result"], client.cookies.get("access_token")) == (200, "fail", None)


async def test_whoever_is_not_logged_in_gets_the_short_401(world: World) -> None:
    """The body has no status, as clients know it."""
    async with browser(world) as client:
        response = await client.get("/console/api/apps")
    assert (response.status_code, response.json()) == (401, UNAUTHORIZED)


async def test_access_token_may_come_as_bearer(world: World) -> None:
    """A program sends the access token in a header and needs no CSRF token; cookies beside it do not count."""
    async with await person(world) as ann:
        token = ann.client.cookies["access_token"]
    async with browser(world) as client:
        headers = {"Authorization": f"Bearer {token}"}
        assert (await client.get("/console/api/apps", headers=headers)).status_code == 200
        assert (await client.post("/console/api/logout", headers=headers)).status_code == 200
        assert (await client.get("/console/api/apps", headers=headers)).json() == UNAUTHORIZED


async def test_bad_bearer_beside_good_cookies_is_refused(world: World) -> None:
    """What a program says counts, not what its browser adds."""
    async with await person(world) as ann:
        for header in ("Bearer x", "Basic x", "", f"bearer  {ann.client.cookies['csrf_token']}"):
            assert (await ann.get("/apps", headers={"Authorization": header})).json() == UNAUTHORIZED


async def test_login_ends_with_its_time_and_goes_on_by_refresh(world: World) -> None:
    """An access token lasts an hour; the refresh token gives a new one, and is replaced itself."""
    async with await person(world) as ann:
        before = dict(ann.client.cookies)
        world.clock.at += ACCESS_LIFETIME_S
        assert (await ann.get("/apps")).status_code == 401
        response = await ann.client.post("/console/api/refresh-token")
        assert (response.status_code, response.json()) == (200, {"result": "success"})
        assert all(ann.client.cookies[name] != before[name] for name in before)
        assert (await ann.get("/apps")).status_code == 200


async def test_refresh_with_anything_else_is_refused(world: World) -> None:
    """No cookie, an unknown one, an access token: 401, and the cookies are taken away."""
    async with await person(world) as ann:
        for token in ("", "x", "ü", ann.client.cookies["access_token"]):
            async with browser(world) as client:
                headers = {b"Cookie": f"refresh_token={token}".encode()}
                response = await client.post("/console/api/refresh-token", headers=headers)
            assert (response.status_code, response.json()["result"]) == (401, "fail")
            assert len(response.headers.get_list("set-cookie")) == 3


async def test_copied_refresh_token_ends_the_login_for_both(world: World) -> None:
    """Once the owner has refreshed, a copy of the old token gives nothing, and its use ends the login."""
    async with await person(world) as ann:
        copy = ann.client.cookies["refresh_token"]
        await ann.client.post("/console/api/refresh-token")
        world.clock.at += 61
        async with browser(world) as thief:
            thief.cookies.set("refresh_token", copy)
            assert (await thief.post("/console/api/refresh-token")).status_code == 401
        assert (await ann.get("/apps")).json() == UNAUTHORIZED
        assert (await ann.client.post("/console/api/refresh-token")).status_code == 401


async def test_logout_ends_the_login_at_once(world: World) -> None:
    """Copies of its tokens are worth nothing any more; logging out twice is no error."""
    async with await person(world) as ann:
        copies = dict(ann.client.cookies)
        for _ in range(2):
            response = await ann.post("/logout")
            assert (response.status_code, response.json()) == (200, {"result": "success"})
        assert not ann.client.cookies
        for name, value in copies.items():
            ann.client.cookies.set(name, value)
        assert (await ann.get("/apps")).json() == UNAUTHORIZED
        assert (await ann.client.post("/console/api/refresh-token")).status_code == 401


async def test_logout_after_the_hour_ends_the_login_too(world: World) -> None:
    """When the access token has expired, the refresh token says which login ends."""
    async with await person(world) as ann:
        refresh_token = ann.client.cookies["refresh_token"]
        world.clock.at += ACCESS_LIFETIME_S
        assert (await ann.post("/logout")).json() == {"result": "success"}
        ann.client.cookies.set("refresh_token", refresh_token)
        assert (await ann.client.post("/console/api/refresh-token")).status_code == 401


async def test_login_never_takes_over_tokens_that_came_with_it(world: World) -> None:
    """Whoever plants cookies in a browser does not share the login that begins there."""
    await add_person(world, "victim@example.org")
    async with await person(world, "mallory@example.org") as mallory, browser(world) as victim:
        planted = dict(mallory.client.cookies)
        for name, value in planted.items():
            victim.cookies.set(name, value, domain="testserver.local")
        response = await log_in(victim, "victim@example.org")
        given = {name: each.value for name, each in cookies_of(response).items()}
        assert not set(given.values()) & set(planted.values())
        assert claims_of(given["access_token"])["sid"] != claims_of(planted["access_token"])["sid"]
        assert claims_of(given["access_token"])["sub"] != claims_of(planted["access_token"])["sub"]
        assert claims_of(planted["access_token"])["sub"] == mallory.account.account_id


async def test_new_password_ends_every_login(world: World) -> None:
    """Who has the old password is out."""
    async with await person(world) as ann:
        await add_person(world)
        assert (await ann.get("/apps")).json() == UNAUTHORIZED


async def test_member_who_leaves_is_out_at_once(world: World) -> None:
    """What an account may do is asked on each request."""
    async with await person(world) as ann:
        del world.store.members[world.workspace_id, ann.account.account_id]
        assert (await ann.get("/apps")).json() == UNAUTHORIZED


async def test_first_password_is_set_once(world: World) -> None:
    """Before it nobody can log in; after it nobody can set up again."""
    async with browser(world) as client:
        assert (await client.get("/console/api/setup")).json() == {"step": "not_started", "setup_at": None}
        early = await log_in(client)
        assert (early.status_code, early.json()["code"]) == (401, "not_setup")
        made = await client.post("/console/api/setup", json=SETUP)
        assert (made.status_code, made.json()) == (201, {"result": "success"})
        state = (await client.get("/console/api/setup")).json()
        assert state["step"] == "finished" and state["setup_at"]
        again = await client.post("/console/api/setup", json={**SETUP, "email": "eve@example.org"})
        assert (again.status_code, again.json()["code"]) == (403, "already_setup")
        assert (await log_in(client, "eve@example.org")).status_code == 401
        assert (await log_in(client)).status_code == 200
        assert (await client.get("/console/api/apps")).json()["total"] == 1


async def test_setups_at_once_have_one_winner(world: World) -> None:
    """The first password is set in one step."""
    async with browser(world) as client:
        bodies = [{**SETUP, "email": f"p{number}@example.org"} for number in range(5)]
        replies = await asyncio.gather(*(client.post("/console/api/setup", json=body) for body in bodies))
    assert sorted(each.status_code for each in replies) == [201, 403, 403, 403, 403]
    assert len(world.store.passwords) == 1


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"password": "short1"}, "password"),
        ({"password": "no digits here"}, "password"),
        ({"password": "1" * 2000 + "a"}, "password"),
        ({"email": "ann"}, "email"),
        ({"email": "a b@c"}, "email"),
        ({"name": " "}, "name"),
        ({"name": 7}, "name"),
    ],
)
async def test_bad_setup_is_refused_with_the_field(world: World, change: dict[str, Any], names: str) -> None:
    """What cannot be is named, the password is never quoted, and nothing is set up."""
    body = {**SETUP, **change}
    async with browser(world) as client:
        response = await client.post("/console/api/setup", json=body)
        assert (response.status_code, response.json()["code"]) == (400, "invalid_param")
        assert names in response.text and str(body["password"]) not in response.text
        assert (await client.get("/console/api/setup")).json()["step"] == "not_started"
    assert not world.store.accounts


async def test_login_body_must_be_json(world: World) -> None:
    """A form of another site cannot log anybody in: a browser sends JSON to others only after asking."""
    await add_person(world)
    async with browser(world) as client:
        body = {"email": "ann@example.org", "password": encoded(PASSWORD)}
        assert (await client.post("/console/api/login", data=body)).status_code == 415
        assert (await client.get("/console/api/ping")).json() == {"result": "pong"}
        preflight = await client.options(
            "/console/api/login",
            headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
        )
        assert "access-control-allow-origin" not in preflight.headers

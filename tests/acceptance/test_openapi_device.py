"""How a program without a browser gets a bearer token: it asks, a person lets it in, in the console or on a page."""

from typing import Any

import httpx2
import pytest

from approval import straight
from console_world import Person, person
from page_reader import elements_of
from store.bearer_record import SHOWN_LETTERS
from surface_world import World, make_world
from surfaces.form_limits import FormLimits

PREFIX = "/openapi/v1/oauth/device"
ASKED = {"client_id": "difyctl", "device_label": "laptop \u202e<b>"}


@pytest.fixture
async def world() -> World:
    """A Greenroom with an app."""
    return await make_world(straight())


async def codes(client: httpx2.AsyncClient) -> dict[str, Any]:
    """Ask to be let in and return the codes."""
    reply = await client.post(f"{PREFIX}/code", json=ASKED)
    assert reply.status_code == 200, reply.text
    return reply.json()


async def polled(client: httpx2.AsyncClient, code: dict[str, Any], client_id: str = "difyctl") -> httpx2.Response:
    """Ask for the token."""
    body = {"device_code": code["device_code"], "client_id": client_id}
    return await client.post(f"{PREFIX}/token", json=body)


async def resolved(ann: Person, what: str, user_code: str) -> httpx2.Response:
    """Let a device in or turn it away in the console."""
    return await ann.client.post(f"{PREFIX}/{what}", json={"user_code": user_code})


async def test_person_lets_a_program_in(world: World) -> None:
    """The program waits, a person who is logged in approves, and the program gets a token of that account, once."""
    async with world.client("") as client, await person(world) as ann:
        code = await codes(client)
        assert (code["expires_in"], code["interval"]) == (900, 5)
        assert code["device_code"].startswith("dc_") and code["verification_uri"].endswith("/inbox/device")
        assert (await polled(client, code)).json() == {"error": "authorization_pending"}
        assert (await polled(client, code)).json() == {"error": "slow_down"}
        looked = await client.get(f"{PREFIX}/lookup", params={"user_code": code["user_code"].lower()})
        assert looked.json() == {"valid": True, "expires_in_remaining": 900, "client_id": "difyctl"}
        assert (await resolved(ann, "approve", code["user_code"])).json() == {"status": "approved"}
        again = await resolved(ann, "deny", code["user_code"])
        assert (again.status_code, again.json()) == (409, {"error": "already_resolved"})
        given = await polled(client, code)
        assert (await polled(client, code)).json() == {"error": "expired_token"}
        told = given.json()
        account = await client.get("/openapi/v1/account", headers={"Authorization": f"Bearer {told['token']}"})
    assert told["token"].startswith("dfoa_") and given.headers["cache-control"] == "no-store"
    assert (told["subject_type"], told["account"]["email"]) == ("account", "ann@example.org")
    assert account.json()["account"] == told["account"]
    (kept,) = world.store.bearers.values()
    assert (kept.token_id, kept.client_id, kept.device_label) == (told["token_id"], "difyctl", "laptop <b>")
    assert told["token"][SHOWN_LETTERS:] not in repr(world.store) and code["user_code"] not in repr(world.store)


async def test_program_is_turned_away(world: World) -> None:
    """A program that was denied hears so, and its code is used up."""
    async with world.client("") as client, await person(world) as ann:
        code = await codes(client)
        assert (await resolved(ann, "deny", code["user_code"])).json() == {"status": "denied"}
        assert [(await polled(client, code)).json()["error"] for _ in range(2)] == ["access_denied", "expired_token"]
    assert not world.store.bearers


async def test_code_is_worth_nothing_in_time_or_elsewhere(world: World) -> None:
    """After its time, by another program, or made up, a code gives nothing."""
    async with world.client("") as client, await person(world) as ann:
        code = await codes(client)
        assert (await polled(client, code, "another")).json() == {"error": "expired_token"}
        made_up = await resolved(ann, "approve", "AAAA-AAAA")
        assert (made_up.status_code, made_up.json()) == (404, {"error": "expired_or_unknown"})
        world.clock.at += 901
        looked = await client.get(f"{PREFIX}/lookup", params={"user_code": code["user_code"]})
        assert looked.json() == {"valid": False, "expires_in_remaining": 0, "client_id": None}
        late = await polled(client, code)
        assert (late.status_code, late.json()) == (400, {"error": "expired_token"})


async def test_only_a_login_lets_a_program_in(world: World) -> None:
    """Without a login, without its CSRF token, or with a bearer token nobody lets a program in."""
    async with world.client("") as client, await person(world) as ann:
        code = await codes(client)
        body = {"user_code": code["user_code"]}
        nobody = await client.post(f"{PREFIX}/approve", json=body)
        del ann.client.headers["X-CSRF-Token"]
        forged = await ann.client.post(f"{PREFIX}/approve", json=body)
        bearer = await client.post(f"{PREFIX}/approve", json=body, headers={"Authorization": "Bearer dfoa_x"})
        assert (await polled(client, code)).json() == {"error": "authorization_pending"}
    assert [each.status_code for each in (nobody, forged, bearer)] == [401] * 3


async def test_unknown_program_is_refused(world: World) -> None:
    """Only programs that are known get codes; a body that is none is 422."""
    async with world.client("") as client:
        reply = await client.post(f"{PREFIX}/code", json={"client_id": "x", "device_label": ""})
        assert (reply.status_code, reply.json()) == (400, {"error": "unsupported_client"})
        assert (await client.post(f"{PREFIX}/code", json={})).status_code == 422
    assert not world.store.devices


async def test_codes_are_limited() -> None:
    """Whoever has shown nothing yet makes so many codes a minute and no more."""
    world = await make_world(straight(), form_limits=FormLimits(global_count=2))
    async with world.client("") as client:
        statuses = [(await client.post(f"{PREFIX}/code", json=ASKED)).status_code for _ in range(3)]
    assert statuses == [200, 200, 429] and len(world.store.devices) == 2


async def test_page_lets_a_program_in(world: World) -> None:
    """Without scripts: type the code, see what asks, let it in; what the program calls itself is text."""
    async with world.client("") as client, await person(world) as ann:
        code = await codes(client)
        assert "user_code" in (await ann.client.get("/inbox/device")).text
        page = await ann.client.get("/inbox/device", params={"user_code": code["user_code"]})
        assert "difyctl on laptop &lt;b&gt;" in page.text and "Ann" in page.text
        fields = {each["name"]: each["value"] for tag, each in elements_of(page.text) if tag == "input"}
        forged = await ann.client.post("/inbox/device", data={**fields, "guard": "x", "action": "approve"})
        assert forged.status_code == 403
        nothing = await ann.client.post("/inbox/device", data={**fields, "action": "x"})
        assert nothing.status_code == 400
        assert (await polled(client, code)).json() == {"error": "authorization_pending"}
        done = await ann.client.post("/inbox/device", data={**fields, "action": "approve"})
        assert done.status_code == 200 and "let in" in done.text
        again = await ann.client.post("/inbox/device", data={**fields, "action": "deny"})
        assert again.status_code == 409
        assert (await polled(client, code)).json()["account"]["email"] == "ann@example.org"
        gone = await ann.client.get("/inbox/device", params={"user_code": code["user_code"]})
        unknown = await ann.client.post("/inbox/device", data={**fields, "action": "approve"})
    assert [gone.status_code, unknown.status_code] == [404, 404]


async def test_page_needs_a_login(world: World) -> None:
    """Whoever is not logged in is sent to log in, and comes back."""
    async with world.client("") as client:
        sent = await client.get("/inbox/device")
    assert (sent.status_code, sent.headers["location"]) == (303, "/inbox/login?next=%2Finbox%2Fdevice")

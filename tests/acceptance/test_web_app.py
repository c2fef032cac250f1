"""``/api``: runs, files and the site of a web app, for a browser with a passport."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from approval import RUN, approval, straight, two_approvals
from surface_world import World, events_of, make_world, names_of
from surfaces.form_limits import FormLimits


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A Greenroom with the approval workflow."""
    made = await make_world(approval())
    yield made
    await made.runs.settle()


def code_of(world: World) -> str:
    """Return the site code of the world's app."""
    return world.store.sites[world.app_id].code


async def passport(world: World, user_id: str | None = None) -> str:
    """Return a passport of the world's app."""
    query = "" if user_id is None else f"?user_id={user_id}"
    async with world.client("") as client:
        reply = await client.get(f"/api/passport{query}", headers={"X-App-Code": code_of(world)})
    assert reply.status_code == 200, reply.text
    return reply.json()["access_token"]


async def browser(world: World, user_id: str | None = None) -> httpx2.AsyncClient:
    """Return a client with a passport."""
    client = world.client("")
    client.headers.update({"X-App-Code": code_of(world), "X-App-Passport": await passport(world, user_id)})
    return client


async def test_passport_names_app_code_and_user(world: World) -> None:
    """It is an HS256 JWT without an end; without a user id each is somebody new, with one always the same."""
    first, second = await passport(world), await passport(world)
    named, again = await passport(world, "ann"), await passport(world, "ann")
    head, body = (json.loads(urlsafe_b64decode(part + "==")) for part in first.split(".")[:2])
    assert head["alg"] == "HS256"
    assert list(body) == ["iss", "sub", "app_id", "app_code", "end_user_id"]
    assert (body["iss"], body["app_id"], body["app_code"]) == (world.app_id, world.app_id, code_of(world))
    assert body["sub"] == "Web API Passport"
    assert first != second and named == again
    assert {user.type for user in world.store.end_users.values()} == {"browser"}
    assert [user.is_anonymous for user in world.store.end_users.values()] == [True, True, False]


async def test_passport_needs_the_code_of_an_open_site(world: World) -> None:
    """Without a code it is 401, for an unknown or closed site 404."""
    async with world.client("") as client:
        none = await client.get("/api/passport")
        unknown = await client.get("/api/passport", headers={"X-App-Code": "x" * 16})
        long = await client.get("/api/passport?user_id=" + "x" * 256, headers={"X-App-Code": code_of(world)})
        await world.ports.sites.set_open(world.app_id, False)
        closed = await client.get("/api/passport", headers={"X-App-Code": code_of(world)})
    assert (none.status_code, none.json()["message"]) == (401, "X-App-Code header is missing.")
    assert [each.status_code for each in (unknown, closed, long)] == [404, 404, 400]
    assert unknown.text == closed.text


async def test_passports_are_limited() -> None:
    """Each passport makes an end user, so there are only so many in a while."""
    world = await make_world(approval(), form_limits=FormLimits(global_count=2))
    async with world.client("") as client:
        headers = {"X-App-Code": code_of(world)}
        replies = [await client.get("/api/passport", headers=headers) for _ in range(3)]
    assert [each.status_code for each in replies] == [200, 200, 429]
    assert replies[2].json()["code"] == "too_many_requests"
    assert 1 <= int(replies[2].headers["retry-after"]) <= 60
    assert len(world.store.end_users) == 2


async def test_user_id_never_leads_to_the_users_of_a_key(world: World) -> None:
    """Who knows a site code cannot become an end user of ``/v1``, nor see what is theirs."""
    async with world.client() as client:
        run = (await client.post("/v1/workflows/run", json=RUN)).json()
    async with await browser(world, RUN["user"]) as client:
        events = await client.get(f"/api/workflow/{run['workflow_run_id']}/events?include_state_snapshot=true")
    assert (events.status_code, events.json()["code"]) == (404, "not_found")


async def test_run_is_a_stream_of_simple_events_with_a_token_for_the_page(world: World) -> None:
    """A run streams whatever is asked, without bodies of nodes; its form token opens the page, and it is the user's."""
    async with await browser(world) as client:
        reply = await client.post("/api/workflows/run", json={**RUN, "response_mode": "blocking"})
        events = events_of(reply.text)
        token = next(each for each in events if each["event"] == "human_input_required")["data"]["form_token"]
        form = await client.get(f"/api/form/human_input/{token}")
    (run,) = world.store.runs.values()
    started = next(each for each in events if each["event"] == "node_finished")["data"]
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert names_of(events)[0] == "workflow_started" and names_of(events)[-1] == "workflow_paused"
    assert (started["inputs"], started["outputs"], "inputs_truncated" in started) == (None, None, False)
    assert form.status_code == 200
    assert (run.invoke_source, run.created_by_role) == ("web-app", "end_user")
    assert world.store.end_users[run.created_by_id].type == "browser"


async def test_run_is_followed_through_each_pause_by_its_user_alone() -> None:
    """A reader gets a snapshot and what follows up to the next pause; for anybody else the run does not exist."""
    world = await make_world(two_approvals())
    async with await browser(world) as client, await browser(world) as other:
        events = events_of((await client.post("/api/workflows/run", json=RUN)).text)
        run_id = events[1]["workflow_run_id"]
        required = next(each for each in events if each["event"] == "human_input_required")["data"]
        answer = {"inputs": {"comment": "x"}, "action": "approve"}
        await client.post(f"/api/form/human_input/{required['form_token']}", json=answer)
        await world.runs.settle()
        path = f"/api/workflow/{run_id}/events"
        # What /v1 would follow through the pause ends here.
        again = await client.get(f"{path}?include_state_snapshot=true&continue_on_pause=true")
        foreign = await other.get(path)
        gone = await client.get("/api/workflow/00000000-0000-7000-8000-000000000000/events")
        broken = await client.get("/api/workflow/x/events")
        await other.post(f"/api/workflows/tasks/{run_id}/stop")
        assert world.store.runs[run_id].status == "paused"
        stopped = await client.post(f"/api/workflows/tasks/{run_id}/stop")
        await world.runs.settle()
        last = await client.get(path)
    assert names_of(events_of(again.text))[-1] == "workflow_paused"
    assert {(each.status_code, each.text) for each in (foreign, gone, broken)} == {(404, foreign.text)}
    assert (stopped.json(), world.store.runs[run_id].status) == ({"result": "success"}, "stopped")
    assert '"event": "workflow_finished"' in last.text


async def test_site_and_parameters_describe_the_app() -> None:
    """The site tells title and user, the parameters the start form."""
    world = await make_world(straight())
    async with await browser(world, "ann") as client:
        site, parameters = (await client.get("/api/site")).json(), (await client.get("/api/parameters")).json()
    (user,) = world.store.end_users.values()
    assert (site["app_id"], site["end_user_id"], site["enable_site"]) == (world.app_id, user.end_user_id, True)
    assert site["site"]["title"] == "test"
    assert parameters["user_input_form"][0]["text-input"]["variable"] == "topic"


async def test_upload_belongs_to_the_user_of_the_passport() -> None:
    """A file can be used in runs of that user, not of another; blocked extensions have the code of this surface."""
    world = await make_world(approval(), blocked_extensions=frozenset({".exe"}))
    async with await browser(world) as client, await browser(world) as other:
        made = await client.post("/api/files/upload", files={"file": ("p.png", b"x", "image/png")})
        blocked = await client.post("/api/files/upload", files={"file": ("p.exe", b"x", "image/png")})
        file = {"type": "image", "transfer_method": "local_file", "upload_file_id": made.json()["id"]}
        body = {"inputs": {"topic": "tea", "picture": file}}
        mine = events_of((await client.post("/api/workflows/run", json=body)).text)
        foreign = events_of((await other.post("/api/workflows/run", json=body)).text)
    assert made.status_code == 201
    assert (blocked.status_code, blocked.json()["code"]) == (400, "file_extension_blocked")
    assert names_of(mine)[0] == "workflow_started"
    assert (foreign[-1]["event"], foreign[-1]["code"]) == ("error", "invalid_param")


PATHS = (
    ("GET", "/api/site"), ("GET", "/api/parameters"), ("POST", "/api/workflows/run"), ("POST", "/api/files/upload"),
    ("POST", "/api/workflows/tasks/x/stop"), ("GET", "/api/workflow/x/events"),
)  # fmt: skip


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_every_path_needs_a_good_passport(world: World, method: str, path: str) -> None:
    """No passport, one that was changed, of no algorithm or of another key is refused everywhere."""
    good, code = await passport(world), code_of(world)
    head, body, sign = good.split(".")
    none = urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    claims = json.loads(urlsafe_b64decode(body + "=="))
    forged = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(b"k" * 32))
    other_body = urlsafe_b64encode(json.dumps({**claims, "end_user_id": "x"}).encode()).rstrip(b"=").decode()
    bad = [
        "x", "a.b.c", f"{head}.{body}.", f"{none}.{body}.", f"{none}.{body}.{sign}", f"{head}.{other_body}.{sign}",
        forged, good + "x", "é", "x" * 5000,
    ]  # fmt: skip
    async with world.client("") as client:
        missing = [
            await client.request(method, path),
            await client.request(method, path, headers={"X-App-Code": code}),
            # A cookie alone is what a page of another origin could have sent.
            await client.request(method, path, headers={"Cookie": f"passport-{code}={good}"}),
            await client.request(method, path, headers={"Authorization": f"Bearer {good}"}),
        ]
        sent = [{b"X-App-Code": code.encode(), b"X-App-Passport": each.encode()} for each in bad]
        refused = [await client.request(method, path, headers=headers) for headers in sent]
    assert {(each.status_code, each.json()["message"]) for each in missing} == {(401, "App token is missing.")}
    assert {(each.status_code, each.json()["message"]) for each in refused} == {(401, "Invalid token.")}


async def test_passport_ends_with_its_site(world: World) -> None:
    """A changed code and a closed site are 400, an app or a user that is gone 404; the cookie works with its header."""
    good, code = await passport(world), code_of(world)
    site = world.store.sites[world.app_id]
    headers = {"X-App-Code": code, "Cookie": f"passport-{code}={good}"}
    async with world.client("") as client:
        by_cookie = await client.get("/api/site", headers=headers)
        client.headers["X-App-Passport"] = good
        await world.ports.sites.set_open(world.app_id, False)
        closed = await client.get("/api/site")
        world.store.sites[world.app_id] = type(site)(world.app_id, "another0code0000", True, 1.0)
        changed = await client.get("/api/site")
        world.store.end_users.clear()
        gone = await client.get("/api/site")
    assert by_cookie.status_code == 200
    assert (closed.status_code, closed.json()["message"]) == (400, "Site is disabled.")
    assert (changed.status_code, changed.json()["message"]) == (400, "Site URL is no longer valid.")
    assert gone.status_code == 404


async def test_cookie_has_the_strict_name_behind_https() -> None:
    """Where people come by HTTPS only a cookie that no other host can set counts."""
    world = await make_world(approval(), public_url="https://example.org")
    good, code = await passport(world), code_of(world)
    async with world.client("") as client:
        loose = await client.get("/api/site", headers={"X-App-Code": code, "Cookie": f"passport-{code}={good}"})
        cookie = f"__Host-passport-{code}={good}"
        strict = await client.get("/api/site", headers={"X-App-Code": code, "Cookie": cookie})
    assert (loose.status_code, strict.status_code) == (401, 200)


async def test_other_origins_may_call_without_cookies(world: World) -> None:
    """A page elsewhere may send a passport as a header; credentials of the browser are not offered to it."""
    headers = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    headers["Access-Control-Request-Headers"] = "X-App-Passport, X-App-Code, Content-Type"
    async with world.client("") as client:
        before = await client.options("/api/workflows/run", headers=headers)
        named = {"Origin": "https://elsewhere.example", "X-App-Code": code_of(world)}
        reply = await client.get("/api/passport", headers=named)
    assert before.status_code == 200
    assert "access-control-allow-credentials" not in before.headers
    assert reply.headers["access-control-allow-origin"] == "*"

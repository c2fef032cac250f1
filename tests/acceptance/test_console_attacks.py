"""``/console/api`` attacked: changes from other sites, credentials of other kinds, roles that may not."""

import re
from collections.abc import AsyncIterator

import pytest

from approval import ANSWER, RUN, approval
from console_world import CSRF_HEADER, Person, browser, person
from surface_world import World, make_world
from surfaces.console_tokens import Bearer, ConsoleTokens

OPEN = {"/console/api/login", "/console/api/refresh-token", "/console/api/setup"}
"""What needs no login. A login is JSON, which no form of another site sends; a refresh gives its tokens to the browser
that sent it; a setup works once."""
CSRF_FAULT = {"code": "unauthorized", "message": "CSRF token is missing or invalid.", "status": 401}
LOGGED_OUT = {"code": "unauthorized", "message": "Unauthorized."}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A Greenroom with the approval workflow."""
    made = await make_world(approval())
    yield made
    await made.runs.settle()


def paths(world: World, method: str, **parameters: str) -> list[str]:
    """Return every path of the console that takes ``method`` and needs a login, with its parameters filled in."""
    values = {"app_id": world.app_id, **parameters}
    found = []
    for route in world.app.routes:
        path = getattr(route, "path", "")
        if path.startswith("/console/api/") and method in (getattr(route, "methods", None) or ()) and path not in OPEN:
            found.append(re.sub(r"{(\w+)}", lambda match: values.get(match[1], "x"), path))
    assert len(found) > 5
    return found


def other_csrf_tokens(world: World, ann: Person, bob: Person) -> dict[str, str]:
    """Return name -> a CSRF token that is none of this login's."""
    tokens = ConsoleTokens(world.ports.token_key, world.clock)
    own = tokens.read_access(ann.client.cookies["access_token"])
    assert own is not None
    return {
        "missing": "",
        "nonsense": "x",
        "of another account": bob.client.cookies["csrf_token"],
        "of another login": tokens.csrf(Bearer("another login", own.account_id)),
        "the access token": ann.client.cookies["access_token"],
        "cut": ann.client.cookies["csrf_token"][:-1],
        "unsigned": "eyJhbGciOiJub25lIn0." + ann.client.cookies["csrf_token"].split(".")[1] + ".",
    }


async def test_changes_without_the_csrf_token_of_the_login_are_refused(world: World) -> None:
    """Whatever else is shown, in the header alone or in header and cookie, nothing is changed."""
    async with await person(world) as ann, await person(world, "bob@example.org") as bob:
        wrong = other_csrf_tokens(world, ann, bob)
        good = ann.client.cookies["csrf_token"]
        for path in paths(world, "POST"):
            for name, token in wrong.items():
                for cookie in {token, good}:
                    ann.client.cookies.set("csrf_token", cookie, domain="testserver.local")
                    response = await ann.client.post(path, json=ANSWER, headers={CSRF_HEADER: token})
                    assert response.json() == CSRF_FAULT, (path, name)
    assert not world.store.drafts and not world.store.runs


async def test_csrf_token_must_be_in_header_and_cookie(world: World) -> None:
    """A good token in one of the two only is none."""
    async with await person(world) as ann:
        good = ann.client.headers.pop(CSRF_HEADER)
        for path in paths(world, "POST"):
            assert (await ann.client.post(path, json=ANSWER)).json() == CSRF_FAULT, path
        del ann.client.cookies["csrf_token"]
        for path in paths(world, "POST"):
            response = await ann.client.post(path, json=ANSWER, headers={CSRF_HEADER: good})
            assert response.json() == CSRF_FAULT, path


async def test_csrf_token_expires(world: World) -> None:
    """One that is too old is none, beside an access token that is good."""
    async with await person(world) as ann:
        csrf = ann.client.headers[CSRF_HEADER]
        world.clock.at += 3600
        await ann.client.post("/console/api/refresh-token")
        ann.client.cookies.set("csrf_token", csrf, domain="testserver.local")
        for path in paths(world, "POST"):
            assert (await ann.client.post(path, json=ANSWER)).json() == CSRF_FAULT, path


async def test_every_path_needs_a_login(world: World) -> None:
    """Without a login, or with one that has ended, every path gives the same 401, whatever it names."""
    async with await person(world) as ann, browser(world) as nobody:
        await world.ports.console.logins.end(next(iter(world.store.logins)))
        for method in ("GET", "POST"):
            for path in paths(world, method):
                if path in ("/console/api/ping", "/console/api/logout"):
                    continue
                for client in (nobody, ann.client):
                    response = await client.request(method, path, json=ANSWER if method == "POST" else None)
                    assert (response.status_code, response.json()) == (401, LOGGED_OUT), path


async def test_credentials_of_other_kinds_are_none(world: World) -> None:
    """API key, form token, CSRF token and refresh token give no login, as cookie or as bearer."""
    async with world.client() as client:
        token = (await client.post("/v1/workflows/run", json=RUN)).json()["data"]["reasons"][0]["form_token"]
    async with await person(world) as ann:
        cookies = ann.client.cookies
        for wrong in (world.key, token, cookies["csrf_token"], cookies["refresh_token"]):
            async with browser(world) as client:
                bearer = await client.get("/console/api/apps", headers={"Authorization": f"Bearer {wrong}"})
                client.cookies.set("access_token", wrong)
                cookie = await client.get("/console/api/apps")
            assert bearer.json() == cookie.json() == LOGGED_OUT
        access = cookies["access_token"]
        async with world.client(access) as client:
            assert (await client.get("/v1/info")).status_code == 401
            assert (await client.get(f"/v1/form/human_input/{access}")).status_code == 401


async def test_token_signed_with_another_key_is_none(world: World) -> None:
    """Neither another key nor another algorithm counts."""
    async with await person(world) as ann:
        head, body, _ = ann.client.cookies["access_token"].split(".")
        for forged in (f"{head}.{body}.", f"eyJhbGciOiJub25lIn0.{body}.", f"{head}.{body}.{'A' * 43}"):
            response = await ann.get("/apps", headers={"Authorization": f"Bearer {forged}"})
            assert response.json() == LOGGED_OUT


async def test_last_save_of_the_editor_needs_its_own_origin(world: World) -> None:
    """A closing editor cannot send a header; its page's origin stands in for it, at this path alone."""
    async with await person(world) as ann:
        draft = f"/apps/{world.app_id}/workflows/draft"
        body = b'{"graph": {"nodes": [], "edges": []}, "features": {}}'
        del ann.client.headers[CSRF_HEADER]

        async def send(path: str, origin: str) -> int:
            headers = {"Content-Type": "text/plain;charset=UTF-8", "Origin": origin}
            return (await ann.post(path, content=body, headers=headers)).status_code

        own = "http://127.0.0.1:8000"
        assert await send(draft, own) == 200
        for other in ("http://evil.example", "null", "", f"{own}.evil.example"):
            assert await send(draft, other) == 401
        assert await send(f"{draft}/run", own) == 401


@pytest.mark.parametrize("role", ["normal", "dataset_operator", "odd"])
async def test_members_without_an_editing_role_change_no_app(world: World, role: str) -> None:
    """They may answer forms and run apps, and nothing else."""
    async with await person(world, role=role) as ann:
        app = f"/apps/{world.app_id}"
        replies = [
            await ann.get(f"{app}/workflows/draft"),
            await ann.post(f"{app}/workflows/draft", {"graph": {}, "features": {}}),
            await ann.post(f"{app}/workflows/draft/run", {"inputs": {"topic": "tea"}}),
            await ann.post(f"{app}/workflows/publish"),
            await ann.post("/apps/imports", {"mode": "yaml-content", "yaml_content": "x"}),
        ]
    assert {(each.status_code, each.json()["code"]) for each in replies} == {(403, "forbidden")}
    assert not world.store.drafts


async def test_no_secret_is_told(world: World) -> None:
    """No body of a reply holds a password, its hash or a token of the login."""
    async with await person(world) as ann:
        secrets = [*ann.client.cookies.values(), *world.store.passwords.values()]
        bodies = [(await ann.client.get(path)).text for path in paths(world, "GET") if "events" not in path]
        bodies.append(repr(world.store.logins) + repr(await world.ports.console.logins.credential("ann@example.org")))
    assert not [secret for secret in secrets for body in bodies if secret in body]

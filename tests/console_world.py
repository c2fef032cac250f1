"""People who are logged in to the console of a Greenroom in memory."""

import base64
import json
import random
from dataclasses import dataclass
from typing import Any

import httpx2

from store.account_record import Account
from surface_world import World, events_of

PASSWORD = "correct horse 1"
CSRF_HEADER = "X-CSRF-Token"


@dataclass
class Person:
    """An account with a logged-in client, which shows the CSRF token with each request."""

    account: Account
    client: httpx2.AsyncClient

    async def __aenter__(self) -> "Person":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.client.aclose()

    async def get(self, path: str, **options: Any) -> httpx2.Response:
        """GET a path of the console."""
        return await self.client.get(f"/console/api{path}", **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> httpx2.Response:
        """POST a JSON body to a path of the console."""
        if "content" not in options:
            options["json"] = {} if body is None else body
        return await self.client.post(f"/console/api{path}", **options)

    async def stream(self, path: str, body: Any = None) -> list[dict[str, Any]]:
        """Return the events of a stream that a POST opens."""
        response = await self.post(path, body)
        assert response.status_code == httpx2.codes.OK, response.text
        return events_of(response.text)


def encoded(password: str) -> str:
    """Return a password as a login sends it."""
    return base64.b64encode(password.encode()).decode()


def browser(world: World) -> httpx2.AsyncClient:
    """Return a client without any credential; it keeps cookies."""
    transport = httpx2.ASGITransport(app=world.app)
    return httpx2.AsyncClient(transport=transport, base_url="http://testserver")


async def add_person(
    world: World, email: str = "ann@example.org", role: str = "owner", workspace_id: str = ""
) -> Account:
    """Return an account with PASSWORD that is a member of the world's workspace, or of another."""
    account = await world.ports.console.accounts.ensure_account(
        email, email.partition("@")[0].title(), workspace_id or world.workspace_id, role
    )
    password_hash = await world.ports.console.passwords.hashed(PASSWORD)
    assert await world.ports.console.logins.set_password(account.account_id, password_hash)
    return account


async def log_in(
    client: httpx2.AsyncClient, email: str = "ann@example.org", password: str = PASSWORD
) -> httpx2.Response:
    """Log in and keep the CSRF token for the requests to come."""
    body = {"email": email, "password": encoded(password), "remember_me": True}
    response = await client.post("/console/api/login", json=body)
    if "csrf_token" in response.cookies:
        client.headers[CSRF_HEADER] = response.cookies["csrf_token"]
    return response


async def person(world: World, email: str = "ann@example.org", role: str = "owner", workspace_id: str = "") -> Person:
    """Return somebody who has an account and is logged in."""
    account = await add_person(world, email, role, workspace_id)
    client = browser(world)
    response = await log_in(client, email)
    assert response.json() == {"result": "success"}, response.text
    return Person(account, client)


def claims_of(token: str) -> dict[str, Any]:
    """Return what a JWT says, unchecked."""
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def random_body(random_: random.Random) -> bytes:
    """Return something that might be sent: JSON of all shapes, cut off, or no JSON at all."""
    values: list[Any] = [None, True, 0, -1, 1.5, 10**30, "", "approve", "ü\x00", "x" * 500, [], {}, [[]], {"a": None}]
    body: dict[str, Any] = {}
    for name in ("inputs", "action", "user", "form_id", "decisions", "until", "to"):
        if random_.random() < 0.7:
            body[name] = random_.choice(values)
    if random_.random() < 0.5:
        body["inputs"] = {random_.choice(["comment", "x", ""]): random_.choice(values) for _ in range(3)}
    text = repr(body) if random_.random() < 0.1 else json.dumps(body)
    raw = text.encode("utf-8", "surrogatepass")
    return raw[: random_.randrange(len(raw))] if random_.random() < 0.2 else raw


async def send_random_bodies(world: World, ann: Person, paths: list[str], count: int) -> set[int]:
    """Send ``count`` random bodies to each path and return the statuses that came back."""
    random_, statuses = random.Random(7), set()
    types = ["application/json"] * 8 + ["text/plain", "application/x-www-form-urlencoded", ""]
    for _ in range(count):
        for path in paths:
            headers = {"Content-Type": random_.choice(types)}
            response = await ann.post(path, content=random_body(random_), headers=headers)
            statuses.add(response.status_code)
            assert response.status_code < 500, (path, response.text)
    await world.runs.settle()
    return statuses

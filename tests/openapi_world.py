"""Programs that call ``/openapi/v1`` with a bearer token of an account, in a Greenroom in memory."""

from dataclasses import dataclass
from typing import Any

import httpx2
import uuid_utils

from console_world import add_person
from store.account_record import Account
from store.bearer_record import BearerToken, new_bearer
from surface_world import World, events_of

PREFIX = "/openapi/v1"


@dataclass
class Program:
    """A program of an account. ``secret``: its bearer token; ``token``: what is kept of it."""

    world: World
    account: Account
    secret: str
    token: BearerToken
    client: httpx2.AsyncClient

    async def __aenter__(self) -> "Program":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.client.aclose()

    async def get(self, path: str, **options: Any) -> httpx2.Response:
        """GET a path of the surface."""
        return await self.client.get(f"{PREFIX}{path}", **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> httpx2.Response:
        """POST to a path of the surface, JSON unless something else is given."""
        if not {"content", "files"} & options.keys():
            options["json"] = {} if body is None else body
        return await self.client.post(f"{PREFIX}{path}", **options)

    async def run(self, body: dict[str, Any] | None = None, app_id: str = "", **options: Any) -> list[dict[str, Any]]:
        """Start a run of the world's app and return the events of its stream."""
        body = {"inputs": {"topic": "tea"}} if body is None else body
        response = await self.post(f"/apps/{app_id or self.world.app_id}/run", body, **options)
        assert response.status_code == httpx2.codes.OK, response.text
        return [event for event in events_of(response.text) if event["event"] != "ping"]

    async def paused(self) -> tuple[str, dict[str, Any]]:
        """Start a run that waits for a person; return its id and what its form is told as."""
        asked = next(each for each in await self.run() if each["event"] == "human_input_required")
        return asked["workflow_run_id"], asked["data"]


async def program(
    world: World, email: str = "ann@example.org", role: str = "normal", workspace_id: str = "", lifetime_s: float = 1e6
) -> Program:
    """Return a program of an account of the world's workspace, or of another."""
    account = await add_person(world, email, role, workspace_id)
    secret, new = new_bearer(str(uuid_utils.uuid7()), world.clock.now(), lifetime_s)
    token = new.of(account.account_id, "difyctl", "laptop")
    await world.ports.bearers.add(token)
    return Program(world, account, secret, token, world.client(secret))

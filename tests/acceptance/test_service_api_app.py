"""``/v1`` and health: what says how things are."""

import asyncio
import os

import pytest

from actors.errors import ActorAwayError
from approval import approval
from factories import document, edge, end, node
from store.memory_accounts import MemoryAccounts
from surface_world import make_world
from surfaces import health


async def test_health_names_the_reference_version_without_a_key() -> None:
    """``/health`` is live, needs no key, and tells the version that clients look for."""
    world = await make_world(approval())
    async with world.client("") as client:
        response = await client.get("/health")
        welcome = await client.get("/v1/")
    assert response.json() == {"pid": os.getpid(), "status": "ok", "version": "1.14.2"}
    assert welcome.json() == {"welcome": "Dify OpenAPI", "api_version": "v1", "server_version": "1.14.2"}


async def test_readiness_follows_its_check() -> None:
    """``/health/ready`` is 200 when requests can be served and 503 with the reason when not."""

    async def away() -> None:
        raise ActorAwayError("hitl-actor")

    ready, not_ready = await make_world(approval()), await make_world(approval(), check_ready=away)
    async with ready.client("") as client:
        assert (await client.get("/health/ready")).status_code == 200
    async with not_ready.client("") as client:
        response = await client.get("/health/ready")
    assert (response.status_code, response.json()["code"]) == (503, "actor_away")


async def test_readiness_does_not_hang_with_what_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an actor or the database hangs, the probe gets its 503 in time."""

    async def hang() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(health, "READY_WITHIN_S", 0.01)
    world = await make_world(approval(), check_ready=hang)
    async with world.client("") as client:
        response = await client.get("/health/ready")
    assert (response.status_code, response.json()["code"]) == (503, "not_ready")
    assert response.headers["retry-after"] == "1"


async def test_info_describes_the_app() -> None:
    """``/v1/info`` gives name, description, tags, mode and author."""
    world = await make_world(approval())
    account = await MemoryAccounts(world.store).ensure_account("a@b.c", "Ada", world.workspace_id, "owner")
    async with world.client() as client:
        assert (await client.get("/v1/info")).json() == {
            "name": "test", "description": "", "tags": [], "mode": "workflow", "author_name": "",
        }  # fmt: skip
    assert account.name == "Ada"


async def test_parameters_describe_the_start_form() -> None:
    """``/v1/parameters`` lists the start variables by type and says which features are off."""
    variables = [
        {"variable": "topic", "label": "Topic", "type": "text-input", "required": True, "max_length": 48},
        {"variable": "tone", "label": "Tone", "type": "select", "required": False, "options": ["dry", "warm"]},
    ]
    world = await make_world(document([node("s", "start", variables=variables), end("e")], [edge("s", "e")]))
    async with world.client() as client:
        body = (await client.get("/v1/parameters")).json()
    assert [list(row) for row in body["user_input_form"]] == [["text-input"], ["select"]]
    assert body["user_input_form"][0]["text-input"] == {
        "variable": "topic", "label": "Topic", "required": True, "max_length": 48,
    }  # fmt: skip
    assert body["speech_to_text"] == {"enabled": False}
    assert body["system_parameters"]["file_size_limit"] == 15
    assert body["file_upload"]["image"]["transfer_methods"] == ["remote_url", "local_file"]

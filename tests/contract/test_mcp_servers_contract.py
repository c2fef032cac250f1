"""The rules of the store of MCP servers, on every kind of store."""

import asyncio
from dataclasses import replace

import pytest

from store.errors import AppNotFoundError, McpServerExistsError, McpServerNotFoundError
from store.mcp_tables import mcp_servers
from store_world import StoreWorld
from test_people_contract import WORKSPACE, simple


async def app_of(world: StoreWorld) -> str:
    """Import an app and return its id."""
    app_id, _ = await world.apps.import_app(WORKSPACE, simple(), None)
    return app_id


async def test_server_is_found_by_app_by_id_and_by_its_code(world: StoreWorld) -> None:
    """A new server is active, and its code opens it; nothing else does."""
    app_id, servers = await app_of(world), world.mcp_servers
    made, code = await servers.create(app_id, "Tea \x00", {"topic": "of what"})
    assert (made.app_id, made.parameters, made.is_active) == (app_id, {"topic": "of what"}, True)
    assert made.created_at == made.updated_at > 0
    assert made == await servers.of_app(app_id) == await servers.get(made.server_id) == await servers.by_code(code)
    for unknown in ("", code[:-1], code.swapcase(), "\x00", "\ud800", made.server_id):
        assert await servers.by_code(unknown) is None
    assert [await servers.of_app("x"), await servers.get("x")] == [None, None]


async def test_app_has_one_server(world: StoreWorld) -> None:
    """Of two who make it at once one does; an app that does not exist gets none."""
    app_id = await app_of(world)
    found = await asyncio.gather(*(world.mcp_servers.create(app_id, "", {}) for _ in range(2)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in found) == ["McpServerExistsError", "tuple"]
    with pytest.raises(McpServerExistsError):
        await world.mcp_servers.create(app_id, "", {})
    with pytest.raises(AppNotFoundError):
        await world.mcp_servers.create("x", "", {})


async def test_server_is_changed_switched_off_and_on(world: StoreWorld) -> None:
    """Its code opens it only while it is active; the code stays."""
    servers = world.mcp_servers
    made, code = await servers.create(await app_of(world), "Tea", {"a": "b"})
    off = await servers.change(made.server_id, "Coffee", {}, is_active=False)
    assert replace(off, updated_at=made.updated_at) == replace(
        made, description="Coffee", parameters={}, is_active=False
    )
    assert off.updated_at >= made.updated_at
    assert await servers.by_code(code) is None and await servers.get(made.server_id) == off
    assert await servers.change(made.server_id, "Coffee", {}, is_active=True) == await servers.by_code(code)
    with pytest.raises(McpServerNotFoundError):
        await servers.change("x", "", {}, is_active=True)


async def test_new_code_ends_the_one_before(world: StoreWorld) -> None:
    """A refreshed server is the same one under another code."""
    servers = world.mcp_servers
    made, code = await servers.create(await app_of(world), "Tea", {})
    renewed, other = await servers.refresh(made.server_id)
    assert (renewed.server_id, code == other) == (made.server_id, False)
    assert (await servers.by_code(code), await servers.by_code(other)) == (None, renewed)
    with pytest.raises(McpServerNotFoundError):
        await servers.refresh("x")


async def test_code_is_at_rest_as_its_hash(world: StoreWorld) -> None:
    """Nothing in the row gives the code away."""
    _, code = await world.mcp_servers.create(await app_of(world), "Tea", {})
    if world.database is None:
        assert world.rows is not None
        assert code not in repr(world.rows.mcp_servers)
        return
    rows = await world.database.read(lambda connection: connection.execute(mcp_servers.select()).all())
    assert len(rows) == 1 and code not in repr(rows)

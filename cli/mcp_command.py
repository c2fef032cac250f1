"""``greenroom mcp``: which apps agents may call through the Model Context Protocol, and under which address."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from rich.console import Console

from actors.settings import Settings
from cli.installation import database_sentences, harmless, read_settings
from store.app_record import AppRecord
from store.apps import SqlApps
from store.database import open_database
from store.errors import McpServerNotFoundError
from store.mcp_record import McpServer
from store.mcp_servers import SqlMcpServers

T = TypeVar("T")

mcp = typer.Typer(name="mcp", help="Apps as tools of agents (Model Context Protocol).", no_args_is_help=True)

App = Annotated[str, typer.Argument(metavar="APP", help="The name or id of an app.")]


@mcp.command("enable")
def enable(
    app: App,
    description: Annotated[str, typer.Option(help="What agents are told that the app is for.")] = "",
) -> None:
    """Let agents call an app. The address is printed when it is made, and never again."""

    async def work(apps: SqlApps, servers: SqlMcpServers) -> tuple[AppRecord, str]:
        record = await apps.find_app(app)
        held = await servers.of_app(record.app_id)
        if held is None:
            _, code = await servers.create(record.app_id, description or record.description, {})
            return record, code
        await servers.change(held.server_id, description or held.description, held.parameters, is_active=True)
        return record, ""

    settings = read_settings()
    record, code = _run(settings, work)
    _say(f"agents may call {record.name} ({record.app_id})")
    _say(_address(settings, code) if code else "its address is as before; `greenroom mcp rotate` makes a new one")


@mcp.command("disable")
def disable(app: App) -> None:
    """Take no more calls of agents to an app; its address is kept for later."""

    async def work(apps: SqlApps, servers: SqlMcpServers) -> AppRecord:
        record, held = await _held(app, apps, servers)
        await servers.change(held.server_id, held.description, held.parameters, is_active=False)
        return record

    record = _run(read_settings(), work)
    _say(f"agents may not call {record.name} ({record.app_id})")


@mcp.command("rotate")
def rotate(app: App) -> None:
    """Give an app another address, which is printed this once; the one before ends at once."""

    async def work(apps: SqlApps, servers: SqlMcpServers) -> str:
        _, held = await _held(app, apps, servers)
        _, code = await servers.refresh(held.server_id)
        return code

    settings = read_settings()
    _say(_address(settings, _run(settings, work)))


async def _held(name: str, apps: SqlApps, servers: SqlMcpServers) -> tuple[AppRecord, McpServer]:
    record = await apps.find_app(name)
    held = await servers.of_app(record.app_id)
    if held is None:
        raise McpServerNotFoundError()
    return record, held


def _address(settings: Settings, code: str) -> str:
    return f"MCP address, shown only now: {settings.public_url.rstrip('/')}/mcp/server/{code}/mcp"


def _run(settings: Settings, work: Callable[[SqlApps, SqlMcpServers], Awaitable[T]]) -> T:
    async def with_database() -> T:
        database = open_database(settings.database_url_to_open())
        try:
            return await work(SqlApps(database), SqlMcpServers(database))
        finally:
            await database.close()

    with database_sentences(settings):
        return asyncio.run(with_database())


def _say(text: str) -> None:
    Console(soft_wrap=True, highlight=False).print(harmless(text), markup=False)

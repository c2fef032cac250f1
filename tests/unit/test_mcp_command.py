"""``greenroom mcp`` from outside."""

import asyncio
import re
from pathlib import Path

import pytest

from store.app_record import AppRecord
from store.apps import SqlApps
from store.database import open_database
from store.mcp_record import McpServer
from store.mcp_servers import SqlMcpServers
from test_cli_commands import EXAMPLE, greenroom


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data folder with the example app."""
    folder = tmp_path / "data"
    assert greenroom(folder, "migrate").exit_code == 0
    assert greenroom(folder, "import", EXAMPLE).exit_code == 0
    return folder


def kept(folder: Path, code: str) -> tuple[AppRecord, McpServer | None, McpServer | None]:
    """Return the app, its server, and what ``code`` opens."""

    async def read() -> tuple[AppRecord, McpServer | None, McpServer | None]:
        database = open_database(f"sqlite:///{folder}/greenroom.db")
        app, servers = await SqlApps(database).find_app("Approval"), SqlMcpServers(database)
        found = app, await servers.of_app(app.app_id), await servers.by_code(code)
        await database.close()
        return found

    return asyncio.run(read())


def code_in(text: str) -> str:
    """Return the code in a printed address."""
    found = re.search(r"http://127\.0\.0\.1:8000/mcp/server/(\w{32})/mcp", text)
    assert found is not None, text
    return found[1]


def test_app_is_enabled_disabled_and_given_a_new_address(data_dir: Path) -> None:
    """The address is printed when it is made; enabling again keeps it and says so."""
    code = code_in(greenroom(data_dir, "mcp", "enable", "Approval", "--description", "Approves").text)
    app, server, opened = kept(data_dir, code)
    assert server is not None and opened == server
    assert (server.app_id, server.description) == (app.app_id, "Approves")
    assert greenroom(data_dir, "mcp", "disable", app.app_id).exit_code == 0
    assert kept(data_dir, code)[2] is None
    again = greenroom(data_dir, "mcp", "enable", "Approval")
    assert "its address is as before" in again.text and code not in again.text
    opened = kept(data_dir, code)[2]
    assert opened is not None and opened.description == "Approves"
    renewed = code_in(greenroom(data_dir, "mcp", "rotate", "Approval").text)
    assert (kept(data_dir, code)[2], kept(data_dir, renewed)[2] is None) == (None, False)


def test_what_is_not_there_is_named(data_dir: Path) -> None:
    """An unknown app, and one that no agent may call, is refused with a sentence."""
    for command in ("enable", "disable", "rotate"):
        refused = greenroom(data_dir, "mcp", command, "Nothing")
        assert refused.exit_code == 2 and "no app is known as 'Nothing'" in refused.text
    refused = greenroom(data_dir, "mcp", "rotate", "Approval")
    assert refused.exit_code == 2 and "no such MCP server" in refused.text

"""The store of MCP servers: which apps agents may call, and under which code.

``McpServerStore`` says the rules; ``SqlMcpServers`` keeps them in SQL, the memory twin is ``store.memory_mcp``. A code
is a credential: it is given out once, when it is made, and kept as its hash.
"""

import time
from collections.abc import Mapping
from typing import Any, Protocol

import orjson
import uuid_utils
from sqlalchemy import Connection, bindparam, select, update

from store.database import AnyRow, AnySelect, Database
from store.errors import AppNotFoundError, McpServerExistsError, McpServerNotFoundError
from store.insert_once import insert_once
from store.mcp_record import McpServer, hash_server_code, new_server_code
from store.mcp_tables import mcp_servers
from store.tables import apps


class McpServerStore(Protocol):
    """Stores MCP servers. Every operation is one transaction, durable when it returns."""

    async def create(self, app_id: str, description: str, parameters: Mapping[str, str]) -> tuple[McpServer, str]:
        """Let agents call an app.

        Returns:
            The server and its code, which is shown this once and cannot be read again.

        Raises:
            AppNotFoundError: there is no such app.
            McpServerExistsError: it has a server already.
        """
        ...

    async def of_app(self, app_id: str) -> McpServer | None:
        """Return the server of an app, or None."""
        ...

    async def get(self, server_id: str) -> McpServer | None:
        """Return a server, or None."""
        ...

    async def by_code(self, code: str) -> McpServer | None:
        """Return the active server with this code; None for an unknown, replaced or switched-off one."""
        ...

    async def change(
        self, server_id: str, description: str, parameters: Mapping[str, str], is_active: bool
    ) -> McpServer:
        """Replace what agents are told, and switch the server on or off; may be repeated.

        Raises:
            McpServerNotFoundError: there is no such server.
        """
        ...

    async def refresh(self, server_id: str) -> tuple[McpServer, str]:
        """Give a server another code, which ends the one before; returns the server and the code.

        Raises:
            McpServerNotFoundError: there is no such server.
        """
        ...


_SHOWN = tuple(column for column in mcp_servers.c if column.name != "code_hash")
_OF_APP = select(*_SHOWN).where(mcp_servers.c.app_id == bindparam("key_app_id"))
_BY_ID = select(*_SHOWN).where(mcp_servers.c.server_id == bindparam("key_server_id"))
_BY_CODE = select(*_SHOWN).where(mcp_servers.c.code_hash == bindparam("key_code_hash"), mcp_servers.c.is_active)
_UPDATE = update(mcp_servers).where(mcp_servers.c.server_id == bindparam("key_server_id"))
_APP = select(apps.c.app_id).where(apps.c.app_id == bindparam("key_app_id"))


class SqlMcpServers:
    """Implements McpServerStore over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, app_id: str, description: str, parameters: Mapping[str, str]) -> tuple[McpServer, str]:
        """Let agents call an app; see McpServerStore."""
        code, now, server_id = new_server_code(), time.time(), str(uuid_utils.uuid7())
        row = {
            "server_id": server_id,
            "app_id": app_id,
            "code_hash": hash_server_code(code),
            "description": description,
            "parameters": orjson.dumps(dict(parameters)),
            "is_active": True,
            "created_at": now,
            "updated_at": now,
        }

        def work(connection: Connection) -> AnyRow:
            if connection.execute(_APP, {"key_app_id": app_id}).one_or_none() is None:
                raise AppNotFoundError(app_id)
            insert_once(connection, mcp_servers, row)
            kept = connection.execute(_OF_APP, {"key_app_id": app_id}).one()
            if kept.server_id != server_id:
                raise McpServerExistsError(app_id)
            return kept

        return _server_of(await self._database.write(work)), code

    async def of_app(self, app_id: str) -> McpServer | None:
        """Return the server of an app; see McpServerStore."""
        return await self._one(_OF_APP, {"key_app_id": app_id})

    async def get(self, server_id: str) -> McpServer | None:
        """Return a server; see McpServerStore."""
        return await self._one(_BY_ID, {"key_server_id": server_id})

    async def by_code(self, code: str) -> McpServer | None:
        """Return the active server with this code; see McpServerStore."""
        return await self._one(_BY_CODE, {"key_code_hash": hash_server_code(code)})

    async def change(
        self, server_id: str, description: str, parameters: Mapping[str, str], is_active: bool
    ) -> McpServer:
        """Replace what agents are told; see McpServerStore."""
        values = {"description": description, "parameters": orjson.dumps(dict(parameters)), "is_active": is_active}
        return await self._changed(server_id, values)

    async def refresh(self, server_id: str) -> tuple[McpServer, str]:
        """Give a server another code; see McpServerStore."""
        code = new_server_code()
        return await self._changed(server_id, {"code_hash": hash_server_code(code)}), code

    async def _changed(self, server_id: str, values: dict[str, Any]) -> McpServer:
        key = {"key_server_id": server_id}
        change = _UPDATE.values(values | {"updated_at": time.time()})

        def work(connection: Connection) -> AnyRow:
            if connection.execute(change, key).rowcount == 0:
                raise McpServerNotFoundError()
            return connection.execute(_BY_ID, key).one()

        return _server_of(await self._database.write(work))

    async def _one(self, statement: AnySelect, values: dict[str, Any]) -> McpServer | None:
        row = await self._database.read(lambda connection: connection.execute(statement, values).one_or_none())
        return None if row is None else _server_of(row)


def _server_of(row: AnyRow) -> McpServer:
    return McpServer(**row._asdict() | {"parameters": orjson.loads(row.parameters)})

"""The memory twin of the store of MCP servers: the rules of ``store.mcp_servers.McpServerStore`` over dictionaries."""

import time
from collections.abc import Mapping
from dataclasses import replace

import uuid_utils

from store.errors import AppNotFoundError, McpServerExistsError, McpServerNotFoundError
from store.mcp_record import McpServer, hash_server_code, new_server_code
from store.memory_store import MemoryStore


class MemoryMcpServers:
    """Implements McpServerStore in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def create(self, app_id: str, description: str, parameters: Mapping[str, str]) -> tuple[McpServer, str]:
        """Let agents call an app; see McpServerStore."""
        if app_id not in self._store.apps:
            raise AppNotFoundError(app_id)
        if await self.of_app(app_id) is not None:
            raise McpServerExistsError(app_id)
        now = time.time()
        made = McpServer(str(uuid_utils.uuid7()), app_id, description, dict(parameters), True, now, now)
        return made, self._put(made)

    async def of_app(self, app_id: str) -> McpServer | None:
        """Return the server of an app; see McpServerStore."""
        return next((each for each in self._store.mcp_servers.values() if each.app_id == app_id), None)

    async def get(self, server_id: str) -> McpServer | None:
        """Return a server; see McpServerStore."""
        return next((each for each in self._store.mcp_servers.values() if each.server_id == server_id), None)

    async def by_code(self, code: str) -> McpServer | None:
        """Return the active server with this code; see McpServerStore."""
        found = self._store.mcp_servers.get(hash_server_code(code))
        return found if found is not None and found.is_active else None

    async def change(
        self, server_id: str, description: str, parameters: Mapping[str, str], is_active: bool
    ) -> McpServer:
        """Replace what agents are told; see McpServerStore."""
        code_hash, found = self._held(server_id)
        changed = replace(
            found, description=description, parameters=dict(parameters), is_active=is_active, updated_at=time.time()
        )
        self._store.mcp_servers[code_hash] = changed
        return changed

    async def refresh(self, server_id: str) -> tuple[McpServer, str]:
        """Give a server another code; see McpServerStore."""
        code_hash, found = self._held(server_id)
        del self._store.mcp_servers[code_hash]
        changed = replace(found, updated_at=time.time())
        return changed, self._put(changed)

    def _put(self, server: McpServer) -> str:
        code = new_server_code()
        self._store.mcp_servers[hash_server_code(code)] = server
        return code

    def _held(self, server_id: str) -> tuple[bytes, McpServer]:
        for code_hash, server in self._store.mcp_servers.items():
            if server.server_id == server_id:
                return code_hash, server
        raise McpServerNotFoundError()

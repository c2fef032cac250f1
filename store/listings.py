"""What the console lists: the apps of a workspace, the runs of an app. Reads only.

``Listings`` says the rules; ``SqlListings`` reads SQL, ``MemoryListings`` memory.
"""

from dataclasses import replace
from typing import Any, Final, Protocol

from sqlalchemy import bindparam, func, select

from hitl.recipient import DEBUGGER
from store.app_record import AppRecord
from store.apps import app_of
from store.database import Database
from store.memory_store import MemoryStore
from store.run_record import RunRecord, record_of
from store.tables import OutsideText, apps, runs

ANY: Final = ""
"""Of a filter: whatever it is."""


class Listings(Protocol):
    """Lists what belongs to a workspace."""

    async def apps_of(
        self, workspace_id: str, name: str, mode: str, offset: int, limit: int
    ) -> tuple[list[AppRecord], int]:
        """Return some of the apps of a workspace, the newest first, and how many there are.

        Args:
            workspace_id: whose.
            name: a part of their names, in any letter case; ANY.
            mode: their mode; ANY.
            offset: how many to leave out.
            limit: how many at most.
        """
        ...

    async def runs_of(
        self, app_id: str, is_debugging: bool, status: str, before_run_id: str, limit: int
    ) -> list[RunRecord]:
        """Return some of the runs of an app, the newest first, without their inputs and outputs.

        Args:
            app_id: whose.
            is_debugging: the runs of the editor, or all others.
            status: their status; ANY.
            before_run_id: only those older than this one; ANY.
            limit: how many at most.
        """
        ...


_NAME, _MODE = bindparam("key_name", type_=OutsideText), bindparam("key_mode", type_=OutsideText)
_OF_WORKSPACE = (
    apps.c.workspace_id == bindparam("key_workspace_id"),
    func.lower(apps.c.name).like(_NAME, escape="\\"),
    (_MODE == ANY) | (apps.c.mode == _MODE),
)
_APPS = (
    select(apps)
    .where(*_OF_WORKSPACE)
    .order_by(apps.c.created_at.desc(), apps.c.app_id.desc())
    .offset(bindparam("key_offset"))
    .limit(bindparam("key_limit"))
)
_APP_COUNT = select(func.count()).select_from(apps).where(*_OF_WORKSPACE)
_RUN_COLUMNS = [column for column in runs.c if column.name not in ("inputs", "outputs")]


class SqlListings:
    """Implements Listings over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def apps_of(
        self, workspace_id: str, name: str, mode: str, offset: int, limit: int
    ) -> tuple[list[AppRecord], int]:
        """Return some of the apps of a workspace; see Listings."""
        values = {"key_workspace_id": workspace_id, "key_name": _pattern(name), "key_mode": mode}
        page = {**values, "key_offset": offset, "key_limit": limit}
        rows, total = await self._database.read(
            lambda connection: (connection.execute(_APPS, page).all(), connection.execute(_APP_COUNT, values).scalar())
        )
        return [app_of(row) for row in rows], total or 0

    async def runs_of(
        self, app_id: str, is_debugging: bool, status: str, before_run_id: str, limit: int
    ) -> list[RunRecord]:
        """Return some of the runs of an app; see Listings."""
        is_debugger = runs.c.invoke_source == DEBUGGER
        wanted = [runs.c.app_id == app_id, is_debugger if is_debugging else ~is_debugger]
        wanted += [runs.c.status == status] if status else []
        wanted += [runs.c.run_id < before_run_id] if before_run_id else []
        query = select(*_RUN_COLUMNS).where(*wanted).order_by(runs.c.run_id.desc()).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [record_of(row._asdict(), {}, {}) for row in rows]


def _pattern(name: str) -> str:
    for special in ("\\", "%", "_"):
        name = name.replace(special, f"\\{special}")
    return f"%{name.lower()}%"


class MemoryListings:
    """Implements Listings in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def apps_of(
        self, workspace_id: str, name: str, mode: str, offset: int, limit: int
    ) -> tuple[list[AppRecord], int]:
        """Return some of the apps of a workspace; see Listings."""
        found = [
            app
            for app in self._store.apps.values()
            if app.workspace_id == workspace_id and name.lower() in app.name.lower() and mode in (ANY, app.mode)
        ]
        found.sort(key=lambda app: (app.created_at, app.app_id), reverse=True)
        return found[offset : offset + limit], len(found)

    async def runs_of(
        self, app_id: str, is_debugging: bool, status: str, before_run_id: str, limit: int
    ) -> list[RunRecord]:
        """Return some of the runs of an app; see Listings."""
        found: list[Any] = [
            replace(run, inputs={}, outputs={})
            for run in self._store.runs.values()
            if run.app_id == app_id
            and (run.invoke_source == DEBUGGER) == is_debugging
            and status in (ANY, run.status)
            and (before_run_id == ANY or run.run_id < before_run_id)
        ]
        found.sort(key=lambda run: run.run_id, reverse=True)
        return found[:limit]

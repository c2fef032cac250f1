"""The memory twin of the store of apps: the rules of ``store.apps.AppStore`` over dictionaries."""

import time
from dataclasses import replace

import uuid_utils

from graph.workflow import Workflow
from store.app_record import ApiKey, AppRecord, WorkflowVersion, hash_key, new_key, version_id_of
from store.apps import pick_app
from store.errors import AppNotFoundError
from store.memory_store import MemoryStore
from store.site_record import Site, new_code


class MemoryApps:
    """Implements AppStore in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def import_app(
        self,
        workspace_id: str,
        workflow: Workflow,
        created_by: str | None,
        *,
        app_id: str | None = None,
        is_published: bool = True,
    ) -> tuple[str, str]:
        """Store a workflow file; see AppStore."""
        now = time.time()
        existing = self._store.apps.get(app_id) if app_id is not None else None
        if app_id is not None and (existing is None or existing.workspace_id != workspace_id):
            raise AppNotFoundError(app_id)
        app_id = app_id or str(uuid_utils.uuid7())
        version_id = version_id_of(app_id, workflow.content_hash)
        published_before = existing.published_version_id if existing else None
        app = AppRecord(
            app_id=app_id,
            workspace_id=workspace_id,
            name=workflow.name,
            description=workflow.description,
            mode=workflow.mode,
            icon=workflow.icon,
            published_version_id=version_id if is_published else published_before,
            created_by=existing.created_by if existing else created_by,
            created_at=existing.created_at if existing else now,
        )
        self._store.apps[app_id] = app
        self._store.sites.setdefault(app_id, Site(app_id, new_code(), True, now))
        version = WorkflowVersion(version_id, app_id, workflow.content_hash, workflow.document, now)
        self._store.versions.setdefault(version_id, version)
        return app_id, version_id

    async def app(self, app_id: str) -> AppRecord | None:
        """Return an app, or None; see AppStore."""
        return self._store.apps.get(app_id)

    async def find_app(self, name_or_id: str) -> AppRecord:
        """Return an app by id or name; see AppStore."""
        found = [app for app in self._store.apps.values() if name_or_id in (app.app_id, app.name)]
        return pick_app(name_or_id, found)

    async def published(self, app_id: str) -> WorkflowVersion | None:
        """Return the published version of an app, or None; see AppStore."""
        app = self._store.apps.get(app_id)
        return self._store.versions[app.published_version_id] if app and app.published_version_id else None

    async def version(self, version_id: str) -> WorkflowVersion | None:
        """Return a version, or None; see AppStore."""
        return self._store.versions.get(version_id)

    async def create_key(self, app_id: str) -> tuple[str, str]:
        """Make an API key; see AppStore."""
        if app_id not in self._store.apps:
            raise AppNotFoundError(app_id)
        key = new_key()
        row = ApiKey(str(uuid_utils.uuid7()), app_id, hash_key(key), time.time())
        self._store.keys[row.key_hash] = row
        return row.key_id, key

    async def revoke_key(self, key_id: str) -> None:
        """End an API key; see AppStore."""
        for row in self._store.keys.values():
            if row.key_id == key_id and row.revoked_at is None:
                self._store.keys[row.key_hash] = replace(row, revoked_at=time.time())
                return

    async def app_by_key(self, key: str) -> AppRecord | None:
        """Return the app that a key calls, or None; see AppStore."""
        row = self._store.keys.get(hash_key(key))
        return self._store.apps.get(row.app_id) if row and row.revoked_at is None else None

    async def key_id(self, key: str) -> str | None:
        """Return the id of a key, or None; see AppStore."""
        row = self._store.keys.get(hash_key(key))
        return row.key_id if row else None

"""The store of apps: what can run, in which version, and who may call it.

``AppStore`` says the rules; ``SqlApps`` keeps them in SQL, the memory twin is ``store.memory_apps``. Versions are
named by their content and never change: a run that began with one finishes with it. Of a key only its hash is kept.
"""

import time
from typing import Any, Protocol

import orjson
import uuid_utils
from sqlalchemy import Connection, bindparam, or_, select, update

from graph.workflow import Workflow
from store.app_record import AppRecord, WorkflowVersion, hash_key, new_key, version_id_of
from store.database import AnyRow, Database
from store.errors import AmbiguousAppError, AppNotFoundError
from store.insert_once import insert_once
from store.sites import insert_site
from store.tables import api_keys, apps, workflow_versions

__all__ = ["AppRecord", "AppStore", "SqlApps", "WorkflowVersion"]


class AppStore(Protocol):
    """Stores apps. Every operation is one transaction, durable when it returns."""

    async def import_app(
        self,
        workspace_id: str,
        workflow: Workflow,
        created_by: str | None,
        *,
        app_id: str | None = None,
        is_published: bool = True,
    ) -> tuple[str, str]:
        """Store a workflow file as a new app with a site, or as a version of one.

        Args:
            workspace_id: whose app it is.
            workflow: the parsed file.
            created_by: an account, None for the installation itself.
            app_id: the app that gets this as a version, together with its name and icon; None makes a new one.
            is_published: whether the version can run from now on; False where a fault blocks publishing.

        Returns:
            (app id, version id); content that the app has already gives the version it has.

        Raises:
            AppNotFoundError: the workspace has no app ``app_id``.
        """
        ...

    async def app(self, app_id: str) -> AppRecord | None:
        """Return an app, or None."""
        ...

    async def find_app(self, name_or_id: str) -> AppRecord:
        """Return the app with this id, else the one with this name.

        Raises:
            AppNotFoundError: there is none.
            AmbiguousAppError: several bear the name.
        """
        ...

    async def published(self, app_id: str) -> WorkflowVersion | None:
        """Return the version of an app that runs start with, or None."""
        ...

    async def version(self, version_id: str) -> WorkflowVersion | None:
        """Return a version, or None."""
        ...

    async def create_key(self, app_id: str) -> tuple[str, str]:
        """Make an API key for an app.

        Returns:
            (key id, key); the key is shown this once and cannot be read again.

        Raises:
            AppNotFoundError: there is no such app.
        """
        ...

    async def revoke_key(self, key_id: str) -> None:
        """End an API key; may be repeated, and an unknown id is none."""
        ...

    async def app_by_key(self, key: str) -> AppRecord | None:
        """Return the app that a key calls, or None for a key that is unknown or revoked."""
        ...

    async def key_id(self, key: str) -> str | None:
        """Return the id of a key, revoked or not, or None for one that is unknown."""
        ...


_APP = select(apps).where(apps.c.app_id == bindparam("key_app_id"))
_APPS_NAMED = (
    select(apps)
    .where(or_(apps.c.app_id == bindparam("key_name"), apps.c.name == bindparam("key_name")))
    .order_by(apps.c.created_at, apps.c.app_id)
)
_UPDATE_APP = update(apps).where(apps.c.app_id == bindparam("key_app_id"))
_VERSION = select(workflow_versions).where(workflow_versions.c.version_id == bindparam("key_version_id"))
_PUBLISHED = (
    select(workflow_versions)
    .join(apps, apps.c.published_version_id == workflow_versions.c.version_id)
    .where(apps.c.app_id == bindparam("key_app_id"))
)
_APP_BY_KEY = (
    select(apps)
    .join(api_keys, api_keys.c.app_id == apps.c.app_id)
    .where(api_keys.c.key_hash == bindparam("key_hash"), api_keys.c.revoked_at.is_(None))
)
_KEY_ID = select(api_keys.c.key_id).where(api_keys.c.key_hash == bindparam("key_hash"))
_REVOKE_KEY = (
    update(api_keys)
    .where(api_keys.c.key_id == bindparam("key_key_id"), api_keys.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("new_revoked_at"))
)


class SqlApps:
    """Implements AppStore over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

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
        new_id, now = str(uuid_utils.uuid7()), time.time()
        version_id = version_id_of(app_id or new_id, workflow.content_hash)
        shown: dict[str, Any] = {
            "name": workflow.name,
            "description": workflow.description,
            "mode": workflow.mode,
            "icon": orjson.dumps(workflow.icon),
        }
        if is_published:
            shown["published_version_id"] = version_id
        made = {"workspace_id": workspace_id, "created_by": created_by, "created_at": now}
        version = {
            "version_id": version_id,
            "app_id": app_id or new_id,
            "content_hash": workflow.content_hash,
            "document": orjson.dumps(workflow.document, option=orjson.OPT_NON_STR_KEYS),
            "created_by": created_by,
            "created_at": now,
        }

        def work(connection: Connection) -> None:
            if app_id is None:
                insert_once(connection, apps, {"app_id": new_id, "published_version_id": None} | made | shown)
                insert_site(connection, new_id)
            else:
                of_workspace = _UPDATE_APP.where(apps.c.workspace_id == workspace_id)
                if connection.execute(of_workspace.values(shown), {"key_app_id": app_id}).rowcount == 0:
                    raise AppNotFoundError(app_id)
            insert_once(connection, workflow_versions, version)

        await self._database.write(work)
        return app_id or new_id, version_id

    async def app(self, app_id: str) -> AppRecord | None:
        """Return an app, or None; see AppStore."""
        key = {"key_app_id": app_id}
        row = await self._database.read(lambda connection: connection.execute(_APP, key).one_or_none())
        return app_of(row) if row is not None else None

    async def find_app(self, name_or_id: str) -> AppRecord:
        """Return an app by id or name; see AppStore."""
        key = {"key_name": name_or_id}
        rows = await self._database.read(lambda connection: connection.execute(_APPS_NAMED, key).all())
        return pick_app(name_or_id, [app_of(row) for row in rows])

    async def published(self, app_id: str) -> WorkflowVersion | None:
        """Return the published version of an app, or None; see AppStore."""
        key = {"key_app_id": app_id}
        row = await self._database.read(lambda connection: connection.execute(_PUBLISHED, key).one_or_none())
        return _version_of(row) if row is not None else None

    async def version(self, version_id: str) -> WorkflowVersion | None:
        """Return a version, or None; see AppStore."""
        key = {"key_version_id": version_id}
        row = await self._database.read(lambda connection: connection.execute(_VERSION, key).one_or_none())
        return _version_of(row) if row is not None else None

    async def create_key(self, app_id: str) -> tuple[str, str]:
        """Make an API key; see AppStore."""
        key_id, key = str(uuid_utils.uuid7()), new_key()
        row = {"key_id": key_id, "app_id": app_id, "key_hash": hash_key(key), "created_at": time.time()}

        def work(connection: Connection) -> None:
            if connection.execute(_APP, {"key_app_id": app_id}).one_or_none() is None:
                raise AppNotFoundError(app_id)
            insert_once(connection, api_keys, row)

        await self._database.write(work)
        return key_id, key

    async def revoke_key(self, key_id: str) -> None:
        """End an API key; see AppStore."""
        values = {"key_key_id": key_id, "new_revoked_at": time.time()}
        await self._database.write(lambda connection: connection.execute(_REVOKE_KEY, values).rowcount)

    async def app_by_key(self, key: str) -> AppRecord | None:
        """Return the app that a key calls, or None; see AppStore."""
        values = {"key_hash": hash_key(key)}
        row = await self._database.read(lambda connection: connection.execute(_APP_BY_KEY, values).one_or_none())
        return app_of(row) if row is not None else None

    async def key_id(self, key: str) -> str | None:
        """Return the id of a key, or None; see AppStore."""
        values = {"key_hash": hash_key(key)}
        return await self._database.read(lambda connection: connection.execute(_KEY_ID, values).scalar())


def pick_app(name_or_id: str, found: list[AppRecord]) -> AppRecord:
    """Return the one app that ``name_or_id`` means among those that bear it as id or name; an id wins.

    Raises:
        AppNotFoundError: there is none.
        AmbiguousAppError: several bear the name.
    """
    with_id = [app for app in found if app.app_id == name_or_id]
    if not found:
        raise AppNotFoundError(name_or_id)
    if len(found) > 1 and not with_id:
        raise AmbiguousAppError(name_or_id, tuple(app.app_id for app in found))
    return (with_id or found)[0]


def app_of(row: AnyRow) -> AppRecord:
    """Return the app in a row of its table."""
    return AppRecord(**row._asdict() | {"icon": orjson.loads(row.icon)})


def _version_of(row: AnyRow) -> WorkflowVersion:
    return WorkflowVersion(row.version_id, row.app_id, row.content_hash, orjson.loads(row.document), row.created_at)

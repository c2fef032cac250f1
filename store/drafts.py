"""The store of drafts: an app's workflow as it is being edited. Runs never read it; they get a version made of it.

``DraftStore`` says the rules; ``SqlDrafts`` keeps them in SQL, ``MemoryDrafts`` in memory.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
from sqlalchemy import Connection, bindparam, select, update

from store.console_tables import drafts
from store.database import Database
from store.errors import DraftOutOfStepError
from store.insert_once import insert_once
from store.memory_store import MemoryStore


@dataclass(frozen=True, slots=True)
class Draft:
    """An app's workflow as it is being edited.

    ``document``: the whole file; ``content_hash``: of it, by which an editor says what it has changed.
    ``created_by`` and ``updated_by``: accounts. Times are Unix seconds.
    """

    app_id: str
    document: dict[str, Any] = field(repr=False)
    content_hash: str
    created_by: str
    created_at: float
    updated_by: str
    updated_at: float


class DraftStore(Protocol):
    """Stores drafts. Every operation is one transaction, durable when it returns."""

    async def draft(self, app_id: str) -> Draft | None:
        """Return the draft of an app, None while it has none."""
        ...

    async def save(self, draft: Draft, expected_hash: str | None) -> Draft:
        """Keep ``draft``, of which only who and when it was created stays as it was.

        Args:
            draft: the draft of now.
            expected_hash: what the editor believes the stored one to have; None: whatever it has. Not asked of an
                app without a draft, nor where the stored one is this draft already.

        Raises:
            DraftOutOfStepError: the stored draft has another hash.
        """
        ...


_DRAFT = select(drafts).where(drafts.c.app_id == bindparam("key_app_id"))
_DRAFT_TO_CHANGE = _DRAFT.with_for_update()
_CHANGE = (
    update(drafts)
    .where(drafts.c.app_id == bindparam("key_app_id"))
    .values(
        document=bindparam("new_document"),
        content_hash=bindparam("new_content_hash"),
        updated_by=bindparam("new_updated_by"),
        updated_at=bindparam("new_updated_at"),
    )
)


class SqlDrafts:
    """Implements DraftStore over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def draft(self, app_id: str) -> Draft | None:
        """Return the draft of an app; see DraftStore."""
        key = {"key_app_id": app_id}
        row = await self._database.read(lambda connection: connection.execute(_DRAFT, key).one_or_none())
        return None if row is None else Draft(**row._asdict() | {"document": orjson.loads(row.document)})

    async def save(self, draft: Draft, expected_hash: str | None) -> Draft:
        """Keep a draft; see DraftStore."""
        row = {column.name: getattr(draft, column.name) for column in drafts.c}
        row["document"] = orjson.dumps(draft.document, option=orjson.OPT_NON_STR_KEYS)
        changed = ("document", "content_hash", "updated_by", "updated_at")
        values = {"key_app_id": draft.app_id} | {f"new_{name}": row[name] for name in changed}

        def work(connection: Connection) -> Draft:
            if insert_once(connection, drafts, row):
                return draft
            stored = connection.execute(_DRAFT_TO_CHANGE, {"key_app_id": draft.app_id}).one()
            _check(stored.content_hash, draft, expected_hash)
            connection.execute(_CHANGE, values)
            return _with_origin(draft, stored.created_by, stored.created_at)

        return await self._database.write(work)


class MemoryDrafts:
    """Implements DraftStore in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def draft(self, app_id: str) -> Draft | None:
        """Return the draft of an app; see DraftStore."""
        return self._store.drafts.get(app_id)

    async def save(self, draft: Draft, expected_hash: str | None) -> Draft:
        """Keep a draft; see DraftStore."""
        stored = self._store.drafts.get(draft.app_id)
        if stored is not None:
            _check(stored.content_hash, draft, expected_hash)
            draft = _with_origin(draft, stored.created_by, stored.created_at)
        self._store.drafts[draft.app_id] = draft
        return draft


def _check(stored_hash: str, draft: Draft, expected_hash: str | None) -> None:
    if expected_hash is not None and stored_hash not in (expected_hash, draft.content_hash):
        raise DraftOutOfStepError()


def _with_origin(draft: Draft, created_by: str, created_at: float) -> Draft:
    return Draft(
        draft.app_id, draft.document, draft.content_hash, created_by, created_at, draft.updated_by, draft.updated_at
    )

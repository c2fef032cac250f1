"""The store of sites: under which code people reach an app without an account.

``SiteStore`` says the rules; ``SqlSites`` keeps them in SQL, the memory twin is ``store.memory_sites``. An app gets its
site when it is imported.
"""

import time
from typing import Protocol

from sqlalchemy import Connection, bindparam, select, update

from store.database import AnyRow, AnySelect, Database
from store.insert_once import insert_once
from store.site_record import Site, new_code
from store.web_tables import sites


class SiteStore(Protocol):
    """Stores sites. Every operation is one transaction, durable when it returns, and may be repeated."""

    async def site(self, app_id: str) -> Site | None:
        """Return the site of an app, or None."""
        ...

    async def site_by_code(self, code: str) -> Site | None:
        """Return the site with this code, or None."""
        ...

    async def set_open(self, app_id: str, is_open: bool) -> None:
        """Open or close the site of an app; does nothing for an app without one."""
        ...


_BY_APP = select(sites).where(sites.c.app_id == bindparam("key_app_id"))
_BY_CODE = select(sites).where(sites.c.code == bindparam("key_code"))
_SET_OPEN = update(sites).where(sites.c.app_id == bindparam("key_app_id")).values(is_open=bindparam("new_is_open"))


class SqlSites:
    """Implements SiteStore over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def site(self, app_id: str) -> Site | None:
        """Return the site of an app; see SiteStore."""
        return await self._one(_BY_APP, {"key_app_id": app_id})

    async def site_by_code(self, code: str) -> Site | None:
        """Return the site with this code; see SiteStore."""
        # Codes are letters and digits; other text could not be looked up everywhere.
        return await self._one(_BY_CODE, {"key_code": code}) if code.isascii() and code.isalnum() else None

    async def set_open(self, app_id: str, is_open: bool) -> None:
        """Open or close a site; see SiteStore."""
        values = {"key_app_id": app_id, "new_is_open": is_open}
        await self._database.write(lambda connection: connection.execute(_SET_OPEN, values).rowcount)

    async def _one(self, statement: AnySelect, values: dict[str, str]) -> Site | None:
        row: AnyRow | None = await self._database.read(
            lambda connection: connection.execute(statement, values).one_or_none()
        )
        return None if row is None else Site(**row._asdict())


def insert_site(connection: Connection, app_id: str) -> None:
    """Give an app a site of its own, open; the caller holds the transaction. An app that has one keeps it."""
    row = {"app_id": app_id, "code": new_code(), "is_open": True, "created_at": time.time()}
    insert_once(connection, sites, row)

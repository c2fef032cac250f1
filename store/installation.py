"""What is true of the whole installation, name -> value: such as the id of the form token key that all share."""

from typing import Protocol

from sqlalchemy import Connection, bindparam, select, update

from store.database import Database
from store.insert_once import insert_once
from store.memory_store import MemoryStore
from store.tables import meta

TOKEN_KEY_ID = "form_token_key_id"

_VALUE = select(meta.c.value).where(meta.c.name == bindparam("key_name"))


class Installation(Protocol):
    """Keeps values of the installation; a value is set once."""

    async def claim(self, name: str, value: str) -> str:
        """Set ``name`` to ``value`` unless it has a value, and return the one it has.

        A process whose value differs from what it gets does not belong to this installation.
        """
        ...

    async def take_turn(self, name: str, now: float, interval_s: float) -> bool:
        """Whether it is the caller's turn to do what is done once in ``interval_s`` seconds: nobody else has it."""
        ...


class SqlInstallation:
    """Implements Installation over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, name: str, value: str) -> str:
        """Set and return a value; see Installation."""

        def work(connection: Connection) -> str:
            insert_once(connection, meta, {"name": name, "value": value})
            return connection.execute(_VALUE, {"key_name": name}).scalar_one()

        return await self._database.write(work)

    async def take_turn(self, name: str, now: float, interval_s: float) -> bool:
        """Whether it is the caller's turn; see Installation."""

        def work(connection: Connection) -> bool:
            if insert_once(connection, meta, {"name": name, "value": repr(now)}):
                return True
            before = connection.execute(_VALUE, {"key_name": name}).scalar_one()
            if now - float(before) < interval_s:
                return False
            taken = update(meta).where(meta.c.name == name, meta.c.value == before).values(value=repr(now))
            return connection.execute(taken).rowcount == 1

        return await self._database.write(work)


class MemoryInstallation:
    """Implements Installation in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def claim(self, name: str, value: str) -> str:
        """Set and return a value; see Installation."""
        return self._store.meta.setdefault(name, value)

    async def take_turn(self, name: str, now: float, interval_s: float) -> bool:
        """Whether it is the caller's turn; see Installation."""
        before = self._store.meta.get(name)
        if before is not None and now - float(before) < interval_s:
            return False
        self._store.meta[name] = repr(now)
        return True

"""The store of people: workspaces, accounts and who is a member where, and the end users of apps.

``AccountStore`` says the rules; ``SqlAccounts`` keeps them in SQL, the memory twin is ``store.memory_accounts``.
Whoever asks first for somebody who is not known yet creates them; the others get the same row.
"""

import time
from typing import Any, Protocol

import uuid_utils
from sqlalchemy import Connection, bindparam, select

from hitl.recipient import Member
from store.account_record import Account, EndUser, Membership, Workspace, plain_email
from store.database import AnyRow, AnySelect, Database
from store.insert_once import insert_once
from store.tables import accounts, end_users, members, workspaces

__all__ = ["Account", "AccountStore", "EndUser", "SqlAccounts", "Workspace"]


class AccountStore(Protocol):
    """Stores people. Every operation is one transaction, durable when it returns, and may be repeated."""

    async def ensure_workspace(self, name: str) -> Workspace:
        """Return the workspace with this name, made now if need be."""
        ...

    async def ensure_account(self, email: str, name: str, workspace_id: str, role: str) -> Account:
        """Return the account with this address, made now if need be and a member of the workspace.

        ``name`` and ``role`` count only for what is new.
        """
        ...

    async def account(self, account_id: str) -> Account | None:
        """Return an account, or None."""
        ...

    async def account_by_email(self, email: str) -> Account | None:
        """Return the account with this address, in any letter case, or None."""
        ...

    async def members(self, workspace_id: str) -> list[Member]:
        """Return every account of a workspace with its address, the longest known first."""
        ...

    async def memberships(self, account_id: str) -> list[Membership]:
        """Return the workspaces that an account belongs to, the oldest first."""
        ...

    async def end_user(
        self, workspace_id: str, app_id: str, session_id: str, type: str, is_anonymous: bool = False
    ) -> EndUser:
        """Return the end user of an app whom callers of this ``type`` name ``session_id``, made now if need be."""
        ...

    async def end_user_by_id(self, end_user_id: str) -> EndUser | None:
        """Return an end user, or None."""
        ...


_WORKSPACE = select(workspaces).where(workspaces.c.name == bindparam("key_name"))
_SHOWN = (accounts.c.account_id, accounts.c.email, accounts.c.name, accounts.c.created_at)
_ACCOUNT = select(*_SHOWN).where(accounts.c.account_id == bindparam("key_account_id"))
_ACCOUNT_BY_EMAIL = select(*_SHOWN).where(accounts.c.email == bindparam("key_email"))
_MEMBERS = (
    select(accounts.c.account_id, accounts.c.email)
    .join(members, members.c.account_id == accounts.c.account_id)
    .where(members.c.workspace_id == bindparam("key_workspace_id"))
    .order_by(accounts.c.created_at, accounts.c.account_id)
)
_MEMBERSHIPS = (
    select(workspaces, members.c.role)
    .join(members, members.c.workspace_id == workspaces.c.workspace_id)
    .where(members.c.account_id == bindparam("key_account_id"))
    .order_by(workspaces.c.workspace_id)
)
_END_USER = select(end_users).where(
    end_users.c.workspace_id == bindparam("key_workspace_id"),
    end_users.c.app_id == bindparam("key_app_id"),
    end_users.c.type == bindparam("key_type"),
    end_users.c.session_id == bindparam("key_session_id"),
)
_END_USER_BY_ID = select(end_users).where(end_users.c.end_user_id == bindparam("key_end_user_id"))


class SqlAccounts:
    """Implements AccountStore over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ensure_workspace(self, name: str) -> Workspace:
        """Return the workspace with this name; see AccountStore."""
        row = {"workspace_id": str(uuid_utils.uuid7()), "name": name, "created_at": time.time()}

        def work(connection: Connection) -> AnyRow:
            insert_once(connection, workspaces, row)
            return connection.execute(_WORKSPACE, {"key_name": name}).one()

        return Workspace(**(await self._database.write(work))._asdict())

    async def ensure_account(self, email: str, name: str, workspace_id: str, role: str) -> Account:
        """Return the account with this address; see AccountStore."""
        address = plain_email(email)
        row = {"account_id": str(uuid_utils.uuid7()), "email": address, "name": name, "created_at": time.time()}

        def work(connection: Connection) -> AnyRow:
            insert_once(connection, accounts, row)
            account = connection.execute(_ACCOUNT_BY_EMAIL, {"key_email": address}).one()
            member = {"workspace_id": workspace_id, "account_id": account.account_id, "role": role}
            insert_once(connection, members, member)
            return account

        return Account(**(await self._database.write(work))._asdict())

    async def account(self, account_id: str) -> Account | None:
        """Return an account, or None; see AccountStore."""
        row = await self._one(_ACCOUNT, {"key_account_id": account_id})
        return Account(**row._asdict()) if row is not None else None

    async def account_by_email(self, email: str) -> Account | None:
        """Return the account with this address, or None; see AccountStore."""
        row = await self._one(_ACCOUNT_BY_EMAIL, {"key_email": plain_email(email)})
        return Account(**row._asdict()) if row is not None else None

    async def members(self, workspace_id: str) -> list[Member]:
        """Return every account of a workspace; see AccountStore."""
        key = {"key_workspace_id": workspace_id}
        rows = await self._database.read(lambda connection: connection.execute(_MEMBERS, key).all())
        return [Member(row.account_id, row.email) for row in rows]

    async def memberships(self, account_id: str) -> list[Membership]:
        """Return the workspaces that an account belongs to; see AccountStore."""
        key = {"key_account_id": account_id}
        rows = await self._database.read(lambda connection: connection.execute(_MEMBERSHIPS, key).all())
        return [Membership(Workspace(row.workspace_id, row.name, row.created_at), row.role) for row in rows]

    async def end_user(
        self, workspace_id: str, app_id: str, session_id: str, type: str, is_anonymous: bool = False
    ) -> EndUser:
        """Return the end user whom callers name ``session_id``; see AccountStore."""
        named = {"workspace_id": workspace_id, "app_id": app_id, "type": type, "session_id": session_id}
        key = {f"key_{name}": value for name, value in named.items()}
        row = await self._one(_END_USER, key)
        if row is None:
            made = {"end_user_id": str(uuid_utils.uuid7()), "is_anonymous": is_anonymous, "created_at": time.time()}

            def work(connection: Connection) -> AnyRow:
                insert_once(connection, end_users, named | made)
                return connection.execute(_END_USER, key).one()

            row = await self._database.write(work)
        return EndUser(**row._asdict())

    async def end_user_by_id(self, end_user_id: str) -> EndUser | None:
        """Return an end user, or None; see AccountStore."""
        row = await self._one(_END_USER_BY_ID, {"key_end_user_id": end_user_id})
        return EndUser(**row._asdict()) if row is not None else None

    async def _one(self, statement: AnySelect, values: dict[str, Any]) -> AnyRow | None:
        return await self._database.read(lambda connection: connection.execute(statement, values).one_or_none())

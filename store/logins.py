"""The store of logins: passwords, who is logged in, and how often a password was tried.

``LoginStore`` says the rules; ``SqlLogins`` keeps them in SQL, the memory twin is ``store.memory_logins``. Passwords
and refresh tokens come as hashes only.
"""

import time
from typing import Any, Protocol

from sqlalchemy import Connection, and_, bindparam, delete, or_, select, update

from store.account_record import Account, plain_email
from store.console_tables import login_attempts, logins
from store.database import AnyRow, Database
from store.insert_once import insert_once
from store.login_record import REFRESH_GRACE_S, SETUP_AT, Credential, LoggedIn, Login, name_hash
from store.tables import accounts, members, meta

__all__ = ["Credential", "LoggedIn", "Login", "LoginStore", "SqlLogins"]


class LoginStore(Protocol):
    """Stores logins. Every operation is one transaction, durable when it returns."""

    async def credential(self, email: str) -> Credential | None:
        """Return the account with this address, in any letter case, with the hash of its password; or None."""
        ...

    async def set_password(self, account_id: str, password_hash: str, *, only_first: bool = False) -> bool:
        """Give an account a password and end all its logins.

        Args:
            account_id: whose.
            password_hash: what is kept of it.
            only_first: do nothing if any account was ever given one.

        Returns:
            Whether it was set: False for an unknown account, and where it would not be the first.
        """
        ...

    async def setup_at(self) -> float | None:
        """Return when the first password was set, in Unix seconds, None while no account has one."""
        ...

    async def workspace_of(self, account_id: str) -> str | None:
        """Return the workspace in which an account acts: the oldest of those it is a member of; or None."""
        ...

    async def begin(self, login: Login) -> None:
        """Keep a new login; those that have expired go."""
        ...

    async def logged_in(self, login_id: str, now: float) -> LoggedIn | None:
        """Return who acts by a login; None if it has ended, or the account is no member of the workspace any more."""
        ...

    async def of_refresh(self, refresh_hash: bytes, now: float) -> str | None:
        """Return the id of the login whose refresh token, or the one before it, has this hash; None without one."""
        ...

    async def refresh(self, refresh_hash: bytes, new_hash: bytes, now: float, expires_at: float) -> str | None:
        """Replace a refresh token.

        Args:
            refresh_hash: of the token that was shown: the present one, or for a short time the one before. An older
                one ends the login, since somebody else holds the newer.
            new_hash: of the token that takes its place.
            now: Unix seconds.
            expires_at: when the new one ends.

        Returns:
            The id of the login; None for a token that is unknown, has expired, or comes too late.
        """
        ...

    async def end(self, login_id: str) -> None:
        """End a login; may be repeated, and an unknown id is none."""
        ...

    async def count_attempt(self, email: str, now: float, window_s: float, limit: int) -> int:
        """Count a try to log in as ``email`` and return how many there were.

        They are forgotten ``window_s`` seconds after the first, and not counted further than one above ``limit``.
        """
        ...

    async def forget_attempts(self, email: str) -> None:
        """Count the tries for ``email`` from zero again."""
        ...


_ACCOUNT = (accounts.c.account_id, accounts.c.email, accounts.c.name, accounts.c.created_at)
_CREDENTIAL = select(*_ACCOUNT, accounts.c.password_hash).where(accounts.c.email == bindparam("key_email"))
_SET_PASSWORD = (
    update(accounts)
    .where(accounts.c.account_id == bindparam("key_account_id"))
    .values(password_hash=bindparam("new_password_hash"))
)
_END_ALL = delete(logins).where(logins.c.account_id == bindparam("key_account_id"))
_SETUP_AT = select(meta.c.value).where(meta.c.name == SETUP_AT)
_WORKSPACE = (
    select(members.c.workspace_id)
    .where(members.c.account_id == bindparam("key_account_id"))
    .order_by(members.c.workspace_id)
    .limit(1)
)
_LOGIN_NAMES = [column.name for column in logins.c]
_EXPIRED = delete(logins).where(logins.c.expires_at <= bindparam("key_now"))
_LOGGED_IN = (
    select(logins.c.login_id, logins.c.workspace_id, members.c.role, *_ACCOUNT)
    .join(accounts, accounts.c.account_id == logins.c.account_id)
    .join(
        members,
        and_(members.c.account_id == logins.c.account_id, members.c.workspace_id == logins.c.workspace_id),
    )
    .where(logins.c.login_id == bindparam("key_login_id"), logins.c.expires_at > bindparam("key_now"))
)
_BY_REFRESH = select(logins).where(
    or_(
        logins.c.refresh_hash == bindparam("key_refresh_hash"),
        logins.c.previous_hash == bindparam("key_refresh_hash"),
    ),
    logins.c.expires_at > bindparam("key_now"),
)
_BY_REFRESH_TO_CHANGE = _BY_REFRESH.with_for_update()
_REFRESH = (
    update(logins)
    .where(logins.c.login_id == bindparam("key_login_id"))
    .values(
        refresh_hash=bindparam("new_refresh_hash"),
        previous_hash=bindparam("new_previous_hash"),
        refreshed_at=bindparam("new_refreshed_at"),
        expires_at=bindparam("new_expires_at"),
    )
)
_END = delete(logins).where(logins.c.login_id == bindparam("key_login_id"))
_OLD_ATTEMPTS = delete(login_attempts).where(login_attempts.c.first_at <= bindparam("key_until"))
_ATTEMPT = (
    update(login_attempts)
    .where(login_attempts.c.name_hash == bindparam("key_name_hash"))
    .values(attempt_count=login_attempts.c.attempt_count + 1)
)
_ATTEMPTS = select(login_attempts).where(login_attempts.c.name_hash == bindparam("key_name_hash"))
_FORGET = delete(login_attempts).where(login_attempts.c.name_hash == bindparam("key_name_hash"))


class SqlLogins:
    """Implements LoginStore over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def credential(self, email: str) -> Credential | None:
        """Return an account with the hash of its password; see LoginStore."""
        row = await self._one(_CREDENTIAL, {"key_email": plain_email(email)})
        return None if row is None else Credential(_account_of(row), row.password_hash)

    async def set_password(self, account_id: str, password_hash: str, *, only_first: bool = False) -> bool:
        """Give an account a password; see LoginStore."""
        key = {"key_account_id": account_id}

        def work(connection: Connection) -> bool:
            is_first = insert_once(connection, meta, {"name": SETUP_AT, "value": str(time.time())})
            if only_first and not is_first:
                return False
            changed = connection.execute(_SET_PASSWORD, key | {"new_password_hash": password_hash}).rowcount == 1
            if not changed and is_first:
                connection.execute(delete(meta).where(meta.c.name == SETUP_AT))
            connection.execute(_END_ALL, key)
            return changed

        return await self._database.write(work)

    async def setup_at(self) -> float | None:
        """Return when the first password was set; see LoginStore."""
        row = await self._one(_SETUP_AT, {})
        return None if row is None else float(row.value)

    async def workspace_of(self, account_id: str) -> str | None:
        """Return the workspace in which an account acts; see LoginStore."""
        row = await self._one(_WORKSPACE, {"key_account_id": account_id})
        return None if row is None else row.workspace_id

    async def begin(self, login: Login) -> None:
        """Keep a new login; see LoginStore."""
        row = {name: getattr(login, name) for name in _LOGIN_NAMES}

        def work(connection: Connection) -> None:
            connection.execute(_EXPIRED, {"key_now": login.refreshed_at})
            insert_once(connection, logins, row)

        await self._database.write(work)

    async def logged_in(self, login_id: str, now: float) -> LoggedIn | None:
        """Return who acts by a login; see LoginStore."""
        row = await self._one(_LOGGED_IN, {"key_login_id": login_id, "key_now": now})
        return None if row is None else LoggedIn(row.login_id, _account_of(row), row.workspace_id, row.role)

    async def of_refresh(self, refresh_hash: bytes, now: float) -> str | None:
        """Return the login of a refresh token; see LoginStore."""
        row = await self._one(_BY_REFRESH, {"key_refresh_hash": refresh_hash, "key_now": now})
        return None if row is None else row.login_id

    async def refresh(self, refresh_hash: bytes, new_hash: bytes, now: float, expires_at: float) -> str | None:
        """Replace a refresh token; see LoginStore."""
        shown = {"key_refresh_hash": refresh_hash, "key_now": now}
        if await self.of_refresh(refresh_hash, now) is None:
            # Whoever shows made-up tokens costs no write.
            return None

        def work(connection: Connection) -> str | None:
            found = connection.execute(_BY_REFRESH_TO_CHANGE, shown).one_or_none()
            if found is None:
                return None
            key = {"key_login_id": found.login_id}
            if found.refresh_hash != refresh_hash and now - found.refreshed_at > REFRESH_GRACE_S:
                connection.execute(_END, key)
                return None
            values = {
                "new_refresh_hash": new_hash,
                "new_previous_hash": found.refresh_hash,
                "new_refreshed_at": now,
                "new_expires_at": expires_at,
            }
            # The same call again, after a commit whose outcome was not known, finds its own work.
            if found.refresh_hash != new_hash:
                connection.execute(_REFRESH, key | values)
            return found.login_id

        return await self._database.write(work)

    async def end(self, login_id: str) -> None:
        """End a login; see LoginStore."""
        await self._write(_END, {"key_login_id": login_id})

    async def count_attempt(self, email: str, now: float, window_s: float, limit: int) -> int:
        """Count a try to log in; see LoginStore."""
        key = {"key_name_hash": name_hash(email)}
        found = await self._one(_ATTEMPTS, key)
        if found is not None and found.attempt_count > limit and found.first_at > now - window_s:
            # Whoever goes on trying costs no write.
            return found.attempt_count
        row = {"name_hash": name_hash(email), "first_at": now, "attempt_count": 1}

        def work(connection: Connection) -> int:
            connection.execute(_OLD_ATTEMPTS, {"key_until": now - window_s})
            if insert_once(connection, login_attempts, row):
                return 1
            connection.execute(_ATTEMPT, key)
            return connection.execute(_ATTEMPTS, key).one().attempt_count

        return await self._database.write(work)

    async def forget_attempts(self, email: str) -> None:
        """Count the tries from zero again; see LoginStore."""
        await self._write(_FORGET, {"key_name_hash": name_hash(email)})

    async def _one(self, statement: Any, values: dict[str, Any]) -> AnyRow | None:
        return await self._database.read(lambda connection: connection.execute(statement, values).one_or_none())

    async def _write(self, statement: Any, values: dict[str, Any]) -> None:
        await self._database.write(lambda connection: connection.execute(statement, values).rowcount)


def _account_of(row: AnyRow) -> Account:
    return Account(row.account_id, row.email, row.name, row.created_at)

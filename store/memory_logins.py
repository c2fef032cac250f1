"""The memory twin of the store of logins: the rules of ``store.logins.LoginStore`` over dictionaries."""

import time
from dataclasses import replace

from store.account_record import plain_email
from store.login_record import REFRESH_GRACE_S, SETUP_AT, Credential, LoggedIn, Login, name_hash
from store.memory_store import MemoryStore


class MemoryLogins:
    """Implements LoginStore in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def credential(self, email: str) -> Credential | None:
        """Return an account with the hash of its password; see LoginStore."""
        address = plain_email(email)
        account = next((each for each in self._store.accounts.values() if each.email == address), None)
        return None if account is None else Credential(account, self._store.passwords.get(account.account_id))

    async def set_password(self, account_id: str, password_hash: str, *, only_first: bool = False) -> bool:
        """Give an account a password; see LoginStore."""
        if account_id not in self._store.accounts or (only_first and SETUP_AT in self._store.meta):
            return False
        self._store.meta.setdefault(SETUP_AT, str(time.time()))
        self._store.passwords[account_id] = password_hash
        of_account = [each.login_id for each in self._store.logins.values() if each.account_id == account_id]
        for login_id in of_account:
            del self._store.logins[login_id]
        return True

    async def setup_at(self) -> float | None:
        """Return when the first password was set; see LoginStore."""
        value = self._store.meta.get(SETUP_AT)
        return None if value is None else float(value)

    async def workspace_of(self, account_id: str) -> str | None:
        """Return the workspace in which an account acts; see LoginStore."""
        return min((workspace for workspace, member in self._store.members if member == account_id), default=None)

    async def begin(self, login: Login) -> None:
        """Keep a new login; see LoginStore."""
        self._store.logins = {
            key: each for key, each in self._store.logins.items() if each.expires_at > login.refreshed_at
        }
        self._store.logins.setdefault(login.login_id, login)

    async def logged_in(self, login_id: str, now: float) -> LoggedIn | None:
        """Return who acts by a login; see LoginStore."""
        login = self._store.logins.get(login_id)
        if login is None or login.expires_at <= now:
            return None
        role = self._store.members.get((login.workspace_id, login.account_id))
        account = self._store.accounts[login.account_id]
        return None if role is None else LoggedIn(login_id, account, login.workspace_id, role)

    async def of_refresh(self, refresh_hash: bytes, now: float) -> str | None:
        """Return the login of a refresh token; see LoginStore."""
        login = self._of_refresh(refresh_hash, now)
        return None if login is None else login.login_id

    async def refresh(self, refresh_hash: bytes, new_hash: bytes, now: float, expires_at: float) -> str | None:
        """Replace a refresh token; see LoginStore."""
        login = self._of_refresh(refresh_hash, now)
        if login is None:
            return None
        if login.refresh_hash != refresh_hash and now - login.refreshed_at > REFRESH_GRACE_S:
            del self._store.logins[login.login_id]
            return None
        self._store.logins[login.login_id] = replace(
            login, refresh_hash=new_hash, previous_hash=login.refresh_hash, refreshed_at=now, expires_at=expires_at
        )
        return login.login_id

    async def end(self, login_id: str) -> None:
        """End a login; see LoginStore."""
        self._store.logins.pop(login_id, None)

    async def count_attempt(self, email: str, now: float, window_s: float, limit: int) -> int:
        """Count a try to log in; see LoginStore."""
        first_at, count = self._store.login_attempts.get(name_hash(email), (now, 0))
        if first_at <= now - window_s:
            first_at, count = now, 0
        count = min(count, limit)
        self._store.login_attempts[name_hash(email)] = (first_at, count + 1)
        return count + 1

    async def forget_attempts(self, email: str) -> None:
        """Count the tries from zero again; see LoginStore."""
        self._store.login_attempts.pop(name_hash(email), None)

    def _of_refresh(self, refresh_hash: bytes, now: float) -> Login | None:
        for login in self._store.logins.values():
            if refresh_hash in (login.refresh_hash, login.previous_hash) and login.expires_at > now:
                return login
        return None

"""The memory twin of the store of people: the rules of ``store.accounts.AccountStore`` over dictionaries."""

import time

import uuid_utils

from hitl.recipient import Member
from store.account_record import Account, EndUser, Membership, Workspace, plain_email
from store.memory_store import MemoryStore


class MemoryAccounts:
    """Implements AccountStore in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def ensure_workspace(self, name: str) -> Workspace:
        """Return the workspace with this name; see AccountStore."""
        for workspace in self._store.workspaces.values():
            if workspace.name == name:
                return workspace
        made = Workspace(str(uuid_utils.uuid7()), name, time.time())
        self._store.workspaces[made.workspace_id] = made
        return made

    async def ensure_account(self, email: str, name: str, workspace_id: str, role: str) -> Account:
        """Return the account with this address; see AccountStore."""
        account = await self.account_by_email(email)
        if account is None:
            account = Account(str(uuid_utils.uuid7()), plain_email(email), name, time.time())
            self._store.accounts[account.account_id] = account
        self._store.members.setdefault((workspace_id, account.account_id), role)
        return account

    async def account(self, account_id: str) -> Account | None:
        """Return an account, or None; see AccountStore."""
        return self._store.accounts.get(account_id)

    async def account_by_email(self, email: str) -> Account | None:
        """Return the account with this address, or None; see AccountStore."""
        address = plain_email(email)
        return next((account for account in self._store.accounts.values() if account.email == address), None)

    async def members(self, workspace_id: str) -> list[Member]:
        """Return every account of a workspace; see AccountStore."""
        ids = [account_id for of_workspace, account_id in self._store.members if of_workspace == workspace_id]
        found = sorted(
            (self._store.accounts[each] for each in ids), key=lambda each: (each.created_at, each.account_id)
        )
        return [Member(account.account_id, account.email) for account in found]

    async def memberships(self, account_id: str) -> list[Membership]:
        """Return the workspaces that an account belongs to; see AccountStore."""
        roles = {of: role for (of, member), role in self._store.members.items() if member == account_id}
        return [Membership(self._store.workspaces[each], roles[each]) for each in sorted(roles)]

    async def end_user(
        self, workspace_id: str, app_id: str, session_id: str, type: str, is_anonymous: bool = False
    ) -> EndUser:
        """Return the end user whom callers name ``session_id``; see AccountStore."""
        wanted = (workspace_id, app_id, type, session_id)
        for user in self._store.end_users.values():
            if (user.workspace_id, user.app_id, user.type, user.session_id) == wanted:
                return user
        made = EndUser(str(uuid_utils.uuid7()), *wanted, is_anonymous, time.time())
        self._store.end_users[made.end_user_id] = made
        return made

    async def end_user_by_id(self, end_user_id: str) -> EndUser | None:
        """Return an end user, or None; see AccountStore."""
        return self._store.end_users.get(end_user_id)

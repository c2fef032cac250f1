"""The store of bearer tokens: with which an account's programs call, and how a device comes to one.

``BearerStore`` says the rules; ``SqlBearers`` keeps them in SQL, the memory twin is ``store.memory_bearers``. Tokens
and codes come as hashes only.
"""

from typing import Any, Protocol

from sqlalchemy import Connection, bindparam, delete, or_, select, update

from store.account_record import Account
from store.bearer_record import (
    USED_EVERY_S,
    BearerToken,
    DeviceCode,
    DeviceStatus,
    NewBearer,
    PollRefusal,
    Resolution,
)
from store.bearer_tables import bearer_tokens, device_codes
from store.database import AnyRow, Database
from store.insert_once import insert_once
from store.tables import accounts


class BearerStore(Protocol):
    """Stores bearer tokens. Every operation is one transaction, durable when it returns."""

    async def add(self, token: BearerToken) -> None:
        """Keep a new token; those that have expired go."""
        ...

    async def bearer(self, token_hash: bytes, now: float) -> tuple[BearerToken, Account] | None:
        """Return a token that counts, and whose it is; None for one that is unknown, revoked or has expired."""
        ...

    async def used(self, token_id: str, now: float) -> None:
        """Note that a token was used, unless that was noted within USED_EVERY_S."""
        ...

    async def of_account(self, account_id: str, now: float) -> list[BearerToken]:
        """Return the tokens of an account that count, the newest first."""
        ...

    async def revoke(self, account_id: str, token_id: str) -> bool:
        """End a token of an account; return whether there was one."""
        ...

    async def begin_device(self, code: DeviceCode, now: float) -> None:
        """Keep the codes of a device that asks to be let in; those that have expired go."""
        ...

    async def device(self, user_hash: bytes, now: float) -> DeviceCode | None:
        """Return the device whose code a person has typed; None for one that is unknown or has expired."""
        ...

    async def resolve_device(self, user_hash: bytes, account_id: str, status: DeviceStatus, now: float) -> Resolution:
        """Approve or deny a device in the name of an account; the first who does it counts."""
        ...

    async def poll_device(
        self, device_hash: bytes, client_id: str, new: NewBearer, now: float, interval_s: float
    ) -> BearerToken | PollRefusal:
        """Answer a device that asks for its token.

        Args:
            device_hash: of its device code.
            client_id: who it says it is; another one than at the beginning finds nothing.
            new: the token that it gets if it was approved; the code is used up then.
            now: Unix seconds.
            interval_s: how long it must wait before it asks again.

        Returns:
            The token as it was kept, or why there is none.
        """
        ...


_ACCOUNT = (accounts.c.account_id, accounts.c.email, accounts.c.name, accounts.c.created_at)
_TOKEN_NAMES = [column.name for column in bearer_tokens.c]
_CODE_NAMES = [column.name for column in device_codes.c]
_BEARER = (
    select(bearer_tokens, accounts.c.email, accounts.c.name, accounts.c.created_at.label("joined_at"))
    .join(accounts, accounts.c.account_id == bearer_tokens.c.account_id)
    .where(bearer_tokens.c.token_hash == bindparam("key_hash"), bearer_tokens.c.expires_at > bindparam("key_now"))
)
_BY_ID = select(bearer_tokens).where(bearer_tokens.c.token_id == bindparam("key_token_id"))
_OF_ACCOUNT = (
    select(bearer_tokens)
    .where(bearer_tokens.c.account_id == bindparam("key_account_id"), bearer_tokens.c.expires_at > bindparam("key_now"))
    .order_by(bearer_tokens.c.created_at.desc(), bearer_tokens.c.token_id.desc())
)
_USED = (
    update(bearer_tokens)
    .where(
        bearer_tokens.c.token_id == bindparam("key_token_id"),
        or_(bearer_tokens.c.last_used_at.is_(None), bearer_tokens.c.last_used_at < bindparam("key_before")),
    )
    .values(last_used_at=bindparam("new_last_used_at"))
)
_REVOKE = delete(bearer_tokens).where(
    bearer_tokens.c.account_id == bindparam("key_account_id"), bearer_tokens.c.token_id == bindparam("key_token_id")
)
_EXPIRED_TOKENS = delete(bearer_tokens).where(bearer_tokens.c.expires_at <= bindparam("key_now"))
_EXPIRED_CODES = delete(device_codes).where(device_codes.c.expires_at <= bindparam("key_now"))
_BY_USER = select(device_codes).where(
    device_codes.c.user_hash == bindparam("key_hash"), device_codes.c.expires_at > bindparam("key_now")
)
_RESOLVE = (
    update(device_codes)
    .where(
        device_codes.c.user_hash == bindparam("key_hash"),
        device_codes.c.expires_at > bindparam("key_now"),
        device_codes.c.status == "pending",
    )
    .values(status=bindparam("new_status"), account_id=bindparam("new_account_id"))
)
_BY_DEVICE = select(device_codes).where(
    device_codes.c.device_hash == bindparam("key_hash"),
    device_codes.c.client_id == bindparam("key_client_id"),
    device_codes.c.expires_at > bindparam("key_now"),
)
_BY_DEVICE_TO_CHANGE = _BY_DEVICE.with_for_update()
_POLLED = (
    update(device_codes)
    .where(device_codes.c.device_hash == bindparam("key_hash"))
    .values(polled_at=bindparam("new_polled_at"))
)
_USE_UP = delete(device_codes).where(device_codes.c.device_hash == bindparam("key_hash"))


class SqlBearers:
    """Implements BearerStore over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, token: BearerToken) -> None:
        """Keep a new token; see BearerStore."""

        def work(connection: Connection) -> None:
            connection.execute(_EXPIRED_TOKENS, {"key_now": token.created_at})
            insert_once(connection, bearer_tokens, _row_of(token))

        await self._database.write(work)

    async def bearer(self, token_hash: bytes, now: float) -> tuple[BearerToken, Account] | None:
        """Return a token that counts; see BearerStore."""
        row = await self._one(_BEARER, {"key_hash": token_hash, "key_now": now})
        return None if row is None else (_token_of(row), Account(row.account_id, row.email, row.name, row.joined_at))

    async def used(self, token_id: str, now: float) -> None:
        """Note that a token was used; see BearerStore."""
        values = {"key_token_id": token_id, "key_before": now - USED_EVERY_S, "new_last_used_at": now}
        await self._changed(_USED, values)

    async def of_account(self, account_id: str, now: float) -> list[BearerToken]:
        """Return the tokens of an account; see BearerStore."""
        values = {"key_account_id": account_id, "key_now": now}
        rows = await self._database.read(lambda connection: connection.execute(_OF_ACCOUNT, values).all())
        return [_token_of(row) for row in rows]

    async def revoke(self, account_id: str, token_id: str) -> bool:
        """End a token; see BearerStore."""
        return await self._changed(_REVOKE, {"key_account_id": account_id, "key_token_id": token_id})

    async def begin_device(self, code: DeviceCode, now: float) -> None:
        """Keep the codes of a device; see BearerStore."""
        row = {name: getattr(code, name) for name in _CODE_NAMES}

        def work(connection: Connection) -> None:
            connection.execute(_EXPIRED_CODES, {"key_now": now})
            insert_once(connection, device_codes, row)

        await self._database.write(work)

    async def device(self, user_hash: bytes, now: float) -> DeviceCode | None:
        """Return the device of a user code; see BearerStore."""
        row = await self._one(_BY_USER, {"key_hash": user_hash, "key_now": now})
        return None if row is None else DeviceCode(**row._asdict())

    async def resolve_device(self, user_hash: bytes, account_id: str, status: DeviceStatus, now: float) -> Resolution:
        """Approve or deny a device; see BearerStore."""
        key = {"key_hash": user_hash, "key_now": now}
        if await self._changed(_RESOLVE, {**key, "new_status": status, "new_account_id": account_id}):
            return "resolved"
        return "already_resolved" if await self._one(_BY_USER, key) is not None else "expired_or_unknown"

    async def poll_device(
        self, device_hash: bytes, client_id: str, new: NewBearer, now: float, interval_s: float
    ) -> BearerToken | PollRefusal:
        """Answer a device; see BearerStore."""
        key = {"key_hash": device_hash, "key_client_id": client_id, "key_now": now}
        if await self._one(_BY_DEVICE, key) is None:
            # Whoever shows made-up codes costs no write.
            return "expired_token"

        def work(connection: Connection) -> BearerToken | PollRefusal:
            # The same call again, after a commit whose outcome was not known, finds its own work.
            kept = connection.execute(_BY_ID, {"key_token_id": new.token_id}).one_or_none()
            if kept is not None:
                return _token_of(kept)
            row = connection.execute(_BY_DEVICE_TO_CHANGE, key).one_or_none()
            if row is None:
                return "expired_token"
            outcome = poll_outcome(DeviceCode(**row._asdict()), new, now, interval_s)
            if outcome in ("authorization_pending", "slow_down"):
                connection.execute(_POLLED, {"key_hash": device_hash, "new_polled_at": now})
                return outcome
            connection.execute(_USE_UP, {"key_hash": device_hash})
            if isinstance(outcome, BearerToken):
                insert_once(connection, bearer_tokens, _row_of(outcome))
            return outcome

        return await self._database.write(work)

    async def _one(self, statement: Any, values: dict[str, Any]) -> AnyRow | None:
        return await self._database.read(lambda connection: connection.execute(statement, values).one_or_none())

    async def _changed(self, statement: Any, values: dict[str, Any]) -> bool:
        return await self._database.write(lambda connection: connection.execute(statement, values).rowcount) == 1


def poll_outcome(code: DeviceCode, new: NewBearer, now: float, interval_s: float) -> BearerToken | PollRefusal:
    """Return what a device that asks is told; a token or a denial uses its code up."""
    if code.status == "approved" and code.account_id is not None:
        return new.of(code.account_id, code.client_id, code.device_label)
    if code.status == "denied":
        return "access_denied"
    if code.polled_at is not None and now - code.polled_at < interval_s:
        return "slow_down"
    return "authorization_pending"


def _row_of(token: BearerToken) -> dict[str, Any]:
    return {name: getattr(token, name) for name in _TOKEN_NAMES}


def _token_of(row: AnyRow) -> BearerToken:
    return BearerToken(**{name: getattr(row, name) for name in _TOKEN_NAMES})

"""The memory twin of the store of bearer tokens: the rules of ``store.bearers.BearerStore`` over dictionaries."""

from dataclasses import replace

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
from store.bearers import poll_outcome
from store.memory_store import MemoryStore


class MemoryBearers:
    """Implements BearerStore in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def add(self, token: BearerToken) -> None:
        """Keep a new token; see BearerStore."""
        kept = {key: each for key, each in self._store.bearers.items() if each.expires_at > token.created_at}
        self._store.bearers = {**kept, token.token_id: kept.get(token.token_id, token)}

    async def bearer(self, token_hash: bytes, now: float) -> tuple[BearerToken, Account] | None:
        """Return a token that counts; see BearerStore."""
        for token in self._store.bearers.values():
            account = self._store.accounts.get(token.account_id)
            if token.token_hash == token_hash and token.expires_at > now and account is not None:
                return token, account
        return None

    async def used(self, token_id: str, now: float) -> None:
        """Note that a token was used; see BearerStore."""
        token = self._store.bearers.get(token_id)
        if token is not None and (token.last_used_at is None or token.last_used_at < now - USED_EVERY_S):
            self._store.bearers[token_id] = replace(token, last_used_at=now)

    async def of_account(self, account_id: str, now: float) -> list[BearerToken]:
        """Return the tokens of an account; see BearerStore."""
        of = [each for each in self._store.bearers.values() if each.account_id == account_id and each.expires_at > now]
        return sorted(of, key=lambda each: (each.created_at, each.token_id), reverse=True)

    async def revoke(self, account_id: str, token_id: str) -> bool:
        """End a token; see BearerStore."""
        token = self._store.bearers.get(token_id)
        if token is None or token.account_id != account_id:
            return False
        del self._store.bearers[token_id]
        return True

    async def begin_device(self, code: DeviceCode, now: float) -> None:
        """Keep the codes of a device; see BearerStore."""
        kept = {key: each for key, each in self._store.devices.items() if each.expires_at > now}
        is_taken = any(each.user_hash == code.user_hash for each in kept.values())
        self._store.devices = kept if is_taken else {code.device_hash: code, **kept}

    async def device(self, user_hash: bytes, now: float) -> DeviceCode | None:
        """Return the device of a user code; see BearerStore."""
        found = (each for each in self._store.devices.values() if each.user_hash == user_hash and each.expires_at > now)
        return next(found, None)

    async def resolve_device(self, user_hash: bytes, account_id: str, status: DeviceStatus, now: float) -> Resolution:
        """Approve or deny a device; see BearerStore."""
        code = await self.device(user_hash, now)
        if code is None:
            return "expired_or_unknown"
        if code.status != "pending":
            return "already_resolved"
        self._store.devices[code.device_hash] = replace(code, status=status, account_id=account_id)
        return "resolved"

    async def poll_device(
        self, device_hash: bytes, client_id: str, new: NewBearer, now: float, interval_s: float
    ) -> BearerToken | PollRefusal:
        """Answer a device; see BearerStore."""
        code = self._store.devices.get(device_hash)
        if code is None or code.client_id != client_id or code.expires_at <= now:
            return "expired_token"
        outcome = poll_outcome(code, new, now, interval_s)
        if outcome in ("authorization_pending", "slow_down"):
            self._store.devices[device_hash] = replace(code, polled_at=now)
            return outcome
        del self._store.devices[device_hash]
        if isinstance(outcome, BearerToken):
            self._store.bearers[outcome.token_id] = outcome
        return outcome

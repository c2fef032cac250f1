"""The rules of the store of bearer tokens, on every kind of store."""

import asyncio
from typing import Any

from store.account_record import Account, Membership
from store.bearer_record import (
    ACCOUNT_PREFIX,
    SHOWN_LETTERS,
    USED_EVERY_S,
    BearerToken,
    DeviceCode,
    NewBearer,
    hash_secret,
    hash_user_code,
    new_bearer,
    new_device_code,
    new_user_code,
)
from store_world import NOW, StoreWorld, make_id

LATER = NOW + 1000.0
INTERVAL_S = 5.0


async def account_of(world: StoreWorld, email: str = "ann@example.org") -> Account:
    """Return an account that is a member of a workspace."""
    workspace = await world.accounts.ensure_workspace("Team")
    return await world.accounts.ensure_account(email, "Ann", workspace.workspace_id, "editor")


def made(name: str, lifetime_s: float = 1000.0, at: float = NOW) -> tuple[str, NewBearer]:
    """Return a new token under the id that stands for ``name``."""
    return new_bearer(make_id(name), at, lifetime_s)


async def added(world: StoreWorld, account: Account, name: str = "t", **options: Any) -> tuple[str, BearerToken]:
    """Return a token of an account that is kept."""
    secret, new = made(name, **options)
    token = new.of(account.account_id, "difyctl", "laptop")
    await world.bearers.add(token)
    return secret, token


async def asked(world: StoreWorld, lifetime_s: float = 900.0) -> tuple[bytes, bytes]:
    """Return the hashes of the device code and the user code of a device that asks to be let in."""
    device, user = hash_secret(new_device_code()), hash_user_code(new_user_code())
    await world.bearers.begin_device(DeviceCode(device, user, "difyctl", "laptop", NOW + lifetime_s), NOW)
    return device, user


async def polled(world: StoreWorld, device: bytes, at: float = NOW, client_id: str = "difyctl") -> Any:
    """Ask for the token of a device."""
    return await world.bearers.poll_device(device, client_id, made("polled")[1], at, INTERVAL_S)


async def test_token_names_its_account_while_it_counts(world: StoreWorld) -> None:
    """A token is found by its hash until it expires or is revoked, which only its account can do."""
    account = await account_of(world)
    secret, token = await added(world, account)
    assert secret.startswith(token.prefix) and len(token.prefix) == SHOWN_LETTERS > len(ACCOUNT_PREFIX)
    assert await world.bearers.bearer(hash_secret(secret), NOW) == (token, account)
    assert await world.bearers.bearer(hash_secret(secret), LATER) is None
    assert await world.bearers.bearer(hash_secret(secret + "\ud800"), NOW) is None
    assert not await world.bearers.revoke("another", token.token_id)
    assert await world.bearers.revoke(account.account_id, token.token_id)
    assert not await world.bearers.revoke(account.account_id, token.token_id)
    assert await world.bearers.bearer(hash_secret(secret), NOW) is None


async def test_token_is_kept_as_its_hash(world: StoreWorld) -> None:
    """What is kept, and what shows it, has the first letters of the token and no more."""
    secret, token = await added(world, await account_of(world))
    kept = await world.bearers.of_account(token.account_id, NOW)
    assert secret[SHOWN_LETTERS:] not in repr(kept) and str(token.token_hash) not in repr(kept)


async def test_tokens_of_an_account_are_listed(world: StoreWorld) -> None:
    """The newest first, without those of others and those that have expired, which the next one sweeps."""
    ann, bob = await account_of(world), await account_of(world, "bob@example.org")
    _, old = await added(world, ann, "old", lifetime_s=1.0)
    _, second = await added(world, ann, "second", at=NOW + 2)
    _, third = await added(world, ann, "third", at=NOW + 3)
    await added(world, bob, "bobs")
    assert await world.bearers.of_account(ann.account_id, NOW + 4) == [third, second]
    assert old not in await world.bearers.of_account(ann.account_id, NOW)


async def test_use_is_noted_now_and_then(world: StoreWorld) -> None:
    """The last use is kept no finer than a minute."""
    _, token = await added(world, await account_of(world))
    noted = []
    for at in (NOW, NOW + 1, NOW + USED_EVERY_S + 1):
        await world.bearers.used(token.token_id, at)
        noted.append((await world.bearers.of_account(token.account_id, NOW))[0].last_used_at)
    assert noted == [NOW, NOW, NOW + USED_EVERY_S + 1]
    await world.bearers.used("unknown", NOW)


async def test_device_gets_its_token_once(world: StoreWorld) -> None:
    """Until it is approved it hears to wait; then it gets a token of whoever approved, and the code is used up."""
    account = await account_of(world)
    device, user = await asked(world)
    assert await polled(world, device) == "authorization_pending"
    assert await polled(world, device, NOW + 1) == "slow_down"
    for client_id in ("another", "\x00\ud800"):
        assert await polled(world, device, NOW + 2 * INTERVAL_S, client_id) == "expired_token"
    assert await world.bearers.resolve_device(user, account.account_id, "approved", NOW) == "resolved"
    assert await world.bearers.resolve_device(user, account.account_id, "denied", NOW) == "already_resolved"
    secret, new = made("polled")
    token = await world.bearers.poll_device(device, "difyctl", new, NOW + 1, INTERVAL_S)
    assert token == new.of(account.account_id, "difyctl", "laptop")
    assert await world.bearers.bearer(hash_secret(secret), NOW) == (token, account)
    assert await world.bearers.poll_device(device, "difyctl", made("again")[1], NOW + 9, INTERVAL_S) == "expired_token"
    assert await world.bearers.device(user, NOW) is None


async def test_denied_device_hears_so_once(world: StoreWorld) -> None:
    """A device that was denied gets no token, and its code is used up."""
    account = await account_of(world)
    device, user = await asked(world)
    assert await world.bearers.resolve_device(user, account.account_id, "denied", NOW) == "resolved"
    assert [await polled(world, device), await polled(world, device)] == ["access_denied", "expired_token"]
    assert await world.bearers.of_account(account.account_id, NOW) == []


async def test_code_ends(world: StoreWorld) -> None:
    """A code that has expired is unknown to everybody, and the next one sweeps it."""
    device, user = await asked(world, 10.0)
    assert await world.bearers.device(user, NOW) is not None
    assert await polled(world, device, NOW + 10) == "expired_token"
    assert await world.bearers.device(user, NOW + 10) is None
    assert await world.bearers.resolve_device(user, "a", "approved", NOW + 10) == "expired_or_unknown"
    await world.bearers.begin_device(DeviceCode(b"d" * 32, b"u" * 32, "difyctl", "", NOW + 99), NOW + 10)
    assert await world.bearers.device(user, NOW) is None


async def test_devices_that_ask_at_once_get_one_token(world: StoreWorld) -> None:
    """Of two that hold the same code one gets the token."""
    account = await account_of(world)
    device, user = await asked(world)
    await world.bearers.resolve_device(user, account.account_id, "approved", NOW)
    polls = [
        world.bearers.poll_device(device, "difyctl", made(name)[1], NOW, INTERVAL_S) for name in ("one", "two", "three")
    ]
    outcomes = await asyncio.gather(*polls)
    assert sorted(isinstance(each, BearerToken) for each in outcomes) == [False, False, True]
    assert len(await world.bearers.of_account(account.account_id, NOW)) == 1


async def test_people_who_resolve_at_once_have_one_winner(world: StoreWorld) -> None:
    """A device is approved or denied, not both."""
    _, user = await asked(world)
    outcomes = await asyncio.gather(
        world.bearers.resolve_device(user, "ann", "approved", NOW),
        world.bearers.resolve_device(user, "bob", "denied", NOW),
    )
    assert sorted(outcomes) == ["already_resolved", "resolved"]


async def test_memberships_name_workspaces_and_roles(world: StoreWorld) -> None:
    """An account belongs to the workspaces that it was added to, each with its role there."""
    account = await account_of(world)
    first, second = await world.accounts.ensure_workspace("Team"), await world.accounts.ensure_workspace("Other")
    assert await world.accounts.memberships(account.account_id) == [Membership(first, "editor")]
    await world.accounts.ensure_account(account.email, "Ann", second.workspace_id, "normal")
    assert await world.accounts.memberships(account.account_id) == [
        Membership(first, "editor"),
        Membership(second, "normal"),
    ]
    assert await world.accounts.memberships("unknown") == []


def test_user_code_is_read_as_people_type_it() -> None:
    """Letter case, hyphen and spaces do not matter; the codes have no vowels."""
    code = new_user_code()
    assert hash_user_code(code) == hash_user_code(f" {code.lower().replace('-', ' ')} ")
    assert len(code) == 9 and not set(code) & set("AEIOUY")

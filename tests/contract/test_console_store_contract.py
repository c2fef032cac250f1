"""The rules of the stores of logins, drafts and listings, on every kind of store."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from factories import edge, end, start, workflow
from graph.workflow import Workflow
from store.account_record import Account
from store.drafts import Draft
from store.errors import DraftOutOfStepError
from store.login_record import REFRESH_GRACE_S, Credential, LoggedIn, Login, hash_refresh
from store_world import NOW, StoreWorld, first_write, make_id, new_run

LATER = NOW + 1000.0


async def member(world: StoreWorld, email: str = "ann@example.org", workspace: str = "Team") -> tuple[Account, str]:
    """Return an account and the workspace that it is an editor of."""
    found = await world.accounts.ensure_workspace(workspace)
    account = await world.accounts.ensure_account(email, "Ann", found.workspace_id, "editor")
    return account, found.workspace_id


async def begun(world: StoreWorld, name: str = "first") -> tuple[Login, Account]:
    """Return a login of a member that has begun."""
    account, workspace_id = await member(world)
    login = Login(make_id(name), account.account_id, workspace_id, hash_refresh(name), None, NOW, LATER)
    await world.logins.begin(login)
    return login, account


async def test_password_belongs_to_an_account(world: StoreWorld) -> None:
    """An account has no password until it is given one, and is found in any letter case; an unknown one gets none."""
    account, _ = await member(world)
    assert await world.logins.credential("ANN@example.org ") == Credential(account, None)
    assert await world.logins.credential("nobody\x00\ud800") is None
    assert not await world.logins.set_password("unknown", "hash")
    assert await world.logins.setup_at() is None
    assert await world.logins.set_password(account.account_id, "hash")
    assert await world.logins.credential("ann@example.org") == Credential(account, "hash")
    assert await world.logins.setup_at() is not None
    assert "hash'" not in repr(await world.logins.credential("ann@example.org"))


async def test_first_password_is_set_once(world: StoreWorld) -> None:
    """As a first password none is taken after any account was given one."""
    account, _ = await member(world)
    other, _ = await member(world, "bob@example.org")
    assert await world.logins.set_password(account.account_id, "one", only_first=True)
    assert not await world.logins.set_password(other.account_id, "two", only_first=True)
    assert not await world.logins.set_password(account.account_id, "three", only_first=True)
    assert await world.logins.credential("ann@example.org") == Credential(account, "one")
    assert await world.logins.credential("bob@example.org") == Credential(other, None)


async def test_login_names_who_acts(world: StoreWorld) -> None:
    """A login stands until it ends or expires, with the role that the account has now."""
    login, account = await begun(world)
    acting = LoggedIn(login.login_id, account, login.workspace_id, "editor")
    assert await world.logins.logged_in(login.login_id, NOW) == acting
    assert await world.logins.logged_in(login.login_id, LATER) is None
    assert await world.logins.logged_in("unknown", NOW) is None
    for _ in range(2):
        await world.logins.end(login.login_id)
    assert await world.logins.logged_in(login.login_id, NOW) is None


async def test_login_of_a_workspace_that_one_does_not_belong_to_is_none(world: StoreWorld) -> None:
    """Whoever is no member acts for nobody."""
    account, workspace_id = await member(world)
    assert await world.logins.workspace_of(account.account_id) == workspace_id
    assert await world.logins.workspace_of("unknown") is None
    login = Login(make_id("l"), account.account_id, "another workspace", hash_refresh("l"), None, NOW, LATER)
    await world.logins.begin(login)
    assert await world.logins.logged_in(login.login_id, NOW) is None


async def test_new_password_ends_every_login(world: StoreWorld) -> None:
    """Whoever was logged in with the old password is not any more."""
    login, account = await begun(world)
    await world.logins.set_password(account.account_id, "new")
    assert await world.logins.logged_in(login.login_id, NOW) is None
    assert await world.logins.refresh(login.refresh_hash, hash_refresh("x"), NOW, LATER) is None


async def test_refresh_token_is_replaced(world: StoreWorld) -> None:
    """Each refresh gives the login a new token and a later end."""
    login, _ = await begun(world)
    assert await world.logins.refresh(login.refresh_hash, hash_refresh("second"), NOW, LATER + 9) == login.login_id
    assert await world.logins.logged_in(login.login_id, LATER + 8) is not None
    assert await world.logins.refresh(hash_refresh("second"), hash_refresh("third"), NOW, LATER) == login.login_id
    assert await world.logins.refresh(hash_refresh("unknown"), hash_refresh("x"), NOW, LATER) is None
    assert await world.logins.refresh(hash_refresh("third"), hash_refresh("x"), LATER, LATER + 1) is None


async def test_login_is_found_by_its_refresh_token(world: StoreWorld) -> None:
    """The present token and the one before name the login while it lasts."""
    login, _ = await begun(world)
    await world.logins.refresh(login.refresh_hash, hash_refresh("a"), NOW, LATER)
    for shown in (login.refresh_hash, hash_refresh("a")):
        assert await world.logins.of_refresh(shown, NOW) == login.login_id
        assert await world.logins.of_refresh(shown, LATER) is None
    assert await world.logins.of_refresh(hash_refresh("unknown"), NOW) is None


async def test_two_tabs_may_refresh_at_once(world: StoreWorld) -> None:
    """For a short time the token before the present one works too, and leads to a token that works."""
    login, _ = await begun(world)
    await world.logins.refresh(login.refresh_hash, hash_refresh("a"), NOW, LATER)
    assert await world.logins.refresh(login.refresh_hash, hash_refresh("b"), NOW + 1, LATER) == login.login_id
    assert await world.logins.refresh(hash_refresh("b"), hash_refresh("c"), NOW + 2, LATER) == login.login_id


async def test_copied_refresh_token_ends_the_login(world: StoreWorld) -> None:
    """A token that was replaced a while ago shows that two hold it: the login ends for both."""
    login, _ = await begun(world)
    await world.logins.refresh(login.refresh_hash, hash_refresh("a"), NOW, LATER)
    late = NOW + REFRESH_GRACE_S + 1
    assert await world.logins.refresh(login.refresh_hash, hash_refresh("b"), late, LATER) is None
    assert await world.logins.refresh(hash_refresh("a"), hash_refresh("c"), late, LATER) is None
    assert await world.logins.logged_in(login.login_id, late) is None


async def test_tries_are_counted_for_a_while(world: StoreWorld) -> None:
    """Tries count by address from the first on, until the time is over or they are forgotten."""
    count = world.logins.count_attempt
    assert [await count("a@x", NOW + second, 60, 9) for second in range(3)] == [1, 2, 3]
    assert await count("A@x ", NOW + 59, 60, 9) == 4
    assert await count("b@x", NOW, 60, 9) == 1
    assert await count("a@x", NOW + 60, 60, 9) == 1
    await world.logins.forget_attempts("a@x")
    assert await count("a@x", NOW + 61, 60, 9) == 1


async def test_tries_are_not_counted_beyond_the_limit(world: StoreWorld) -> None:
    """One above the limit is the most; when the window is over they count from one again."""
    tries = [await world.logins.count_attempt("a@x", NOW + second, 60, 2) for second in range(5)]
    assert tries == [1, 2, 3, 3, 3]
    assert await world.logins.count_attempt("a@x", NOW + 60, 60, 2) == 1


async def test_tries_at_once_are_all_counted(world: StoreWorld) -> None:
    """No two tries get the same number below the limit."""
    tries = await asyncio.gather(*(world.logins.count_attempt("a@x", NOW, 60, 20) for _ in range(20)))
    assert sorted(tries) == list(range(1, 21))


async def test_refreshes_at_once_leave_one_token_that_works(world: StoreWorld) -> None:
    """Of several refreshes with one token the last to be stored holds, and the login goes on."""
    login, _ = await begun(world)
    new = [hash_refresh(f"new {number}") for number in range(5)]
    done = await asyncio.gather(*(world.logins.refresh(login.refresh_hash, each, NOW, LATER) for each in new))
    assert login.login_id in done
    late = NOW + REFRESH_GRACE_S + 1
    ended = [await world.logins.refresh(each, hash_refresh("last"), late, LATER) for each in reversed(new)]
    assert [each for each in ended if each is not None] in ([login.login_id], [])


def draft(content_hash: str, at: float = NOW, by: str = "ann") -> Draft:
    """Return a draft with this content."""
    return Draft("app", {"workflow": {"of": content_hash}}, content_hash, by, at, by, at)


async def test_draft_is_changed_by_those_who_know_it(world: StoreWorld) -> None:
    """A draft takes the place of the one that its editor has seen; who and when it was made stays."""
    assert await world.drafts.draft("app") is None
    assert await world.drafts.save(draft("1"), "whatever") == draft("1") == await world.drafts.draft("app")
    changed = await world.drafts.save(draft("2", NOW + 1, "bob"), "1")
    assert (changed.created_by, changed.created_at, changed.updated_by) == ("ann", NOW, "bob")
    assert await world.drafts.draft("app") == changed
    with pytest.raises(DraftOutOfStepError):
        await world.drafts.save(draft("3"), "1")
    assert await world.drafts.draft("app") == changed
    await world.drafts.save(draft("2"), "1")
    await world.drafts.save(draft("4"), None)
    stored = await world.drafts.draft("app")
    assert stored is not None and stored.content_hash == "4"


def named(name: str) -> Workflow:
    """Return a workflow with this name."""
    parsed = workflow([start("topic"), end(topic=["start", "topic"])], [edge("start", "end")])
    return replace(parsed, name=name, content_hash=name.ljust(64, "0"))


async def test_apps_of_a_workspace_are_listed(world: StoreWorld) -> None:
    """The newest app comes first; a part of the name and the mode select; other workspaces have their own."""
    for name in ("Tea", "Green tea", "100%_x"):
        await world.apps.import_app("workspace", named(name), None)
    await world.apps.import_app("other", named("Tea"), None)

    async def names(name: str = "", mode: str = "", offset: int = 0, limit: int = 10) -> tuple[Any, ...]:
        found, total = await world.listings.apps_of("workspace", name, mode, offset, limit)
        return [app.name for app in found], total

    assert await names() == (["100%_x", "Green tea", "Tea"], 3)
    assert await names("TEA") == (["Green tea", "Tea"], 2)
    assert await names("0%_") == (["100%_x"], 1)
    assert await names("_") == (["100%_x"], 1)
    assert await names(mode="advanced-chat") == await names("\x00\ud800") == await names(mode="\x00") == ([], 0)
    assert await names(offset=1, limit=1) == (["Green tea"], 3)


async def test_runs_of_an_app_are_listed(world: StoreWorld) -> None:
    """The newest run comes first; those of the editor are apart; a list goes on after a run."""
    ids = {}
    for number, source in enumerate(("debugger", "debugger", "explore", "service-api")):
        run = replace(new_run(f"run {number}"), run_id=f"0000-{number}", app_id="app", invoke_source=source)
        await world.journal.append(first_write(run))
        ids[number] = run.run_id
    runs = await world.listings.runs_of("app", True, "", "", 10)
    assert [run.run_id for run in runs] == [ids[1], ids[0]]
    assert (runs[0].inputs, runs[0].outputs, runs[0].status) == ({}, {}, "running")
    assert [run.run_id for run in await world.listings.runs_of("app", False, "", "", 1)] == [ids[3]]
    assert [run.run_id for run in await world.listings.runs_of("app", False, "running", ids[3], 10)] == [ids[2]]
    assert await world.listings.runs_of("app", True, "failed", "", 10) == []
    assert await world.listings.runs_of("other", True, "", "", 10) == []

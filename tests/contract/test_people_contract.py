"""The rules of the stores of apps, people and the installation, on every kind of store."""

import asyncio
from dataclasses import replace

import pytest

from factories import edge, end, start, workflow
from graph.workflow import Variable, Workflow
from hitl.recipient import Member
from store.errors import AmbiguousAppError, AppNotFoundError
from store_world import StoreWorld, make_id

WORKSPACE = make_id("workspace")


def simple(name: str = "Tea", content_hash: str = "1" * 64) -> Workflow:
    """Return a workflow of two nodes."""
    parsed = workflow([start("topic"), end(topic=["start", "topic"])], [edge("start", "end")])
    return replace(parsed, name=name, content_hash=content_hash, icon={"icon": "🍵"})


async def test_import_makes_an_app_with_a_published_version(world: StoreWorld) -> None:
    """An imported file is an app whose published version gives the file back."""
    app_id, version_id = await world.apps.import_app(WORKSPACE, simple(), make_id("account"))
    app = await world.apps.app(app_id)
    assert app is not None
    assert (app.name, app.mode, app.icon, app.workspace_id) == ("Tea", "workflow", {"icon": "🍵"}, WORKSPACE)
    assert (app.published_version_id, app.created_by) == (version_id, make_id("account"))
    version = await world.apps.published(app_id)
    assert version is not None and version == await world.apps.version(version_id)
    assert (version.document, version.content_hash, version.app_id) == (simple().document, "1" * 64, app_id)
    assert [await world.apps.app("x"), await world.apps.published("x"), await world.apps.version("x")] == [None] * 3


async def test_version_is_named_by_its_content(world: StoreWorld) -> None:
    """The same content is the same version of an app; other content is another, and takes its place when published."""
    app_id, first = await world.apps.import_app(WORKSPACE, simple(), None)
    assert await world.apps.import_app(WORKSPACE, simple("Coffee"), None, app_id=app_id) == (app_id, first)
    _, second = await world.apps.import_app(WORKSPACE, simple(content_hash="2" * 64), None, app_id=app_id)
    published = await world.apps.published(app_id)
    assert second != first and published is not None and published.version_id == second
    other_app, other = await world.apps.import_app(WORKSPACE, simple(), None)
    assert other_app != app_id and other != first
    with pytest.raises(AppNotFoundError):
        await world.apps.import_app("another workspace", simple(), None, app_id=app_id)


async def test_draft_is_kept_unpublished(world: StoreWorld) -> None:
    """A version that cannot be published is there, and runs go on with the one before."""
    app_id, draft = await world.apps.import_app(WORKSPACE, simple(), None, is_published=False)
    assert await world.apps.published(app_id) is None
    assert await world.apps.version(draft) is not None
    _, good = await world.apps.import_app(WORKSPACE, simple(content_hash="2" * 64), None, app_id=app_id)
    await world.apps.import_app(WORKSPACE, simple(content_hash="3" * 64), None, app_id=app_id, is_published=False)
    published = await world.apps.published(app_id)
    assert published is not None and published.version_id == good


async def test_app_is_found_by_id_or_by_a_name_of_its_own(world: StoreWorld) -> None:
    """An id or a name that one app bears finds it; a name of several is refused with their ids."""
    app_id, _ = await world.apps.import_app(WORKSPACE, simple(), None)
    assert await world.apps.find_app("Tea") == await world.apps.find_app(app_id) == await world.apps.app(app_id)
    other, _ = await world.apps.import_app(WORKSPACE, simple(), None)
    with pytest.raises(AmbiguousAppError) as refused:
        await world.apps.find_app("Tea")
    assert set(refused.value.app_ids) == {app_id, other}
    with pytest.raises(AppNotFoundError):
        await world.apps.find_app("Cocoa\x00")


async def test_key_calls_its_app_until_it_is_revoked(world: StoreWorld) -> None:
    """A key finds its app; no other text does, and neither does a revoked key."""
    app_id, _ = await world.apps.import_app(WORKSPACE, simple(), None)
    key_id, key = await world.apps.create_key(app_id)
    _, other = await world.apps.create_key(app_id)
    assert key.startswith("app-") and len(key) == 28 and key.isascii() and key != other
    assert await world.apps.app_by_key(key) == await world.apps.app(app_id)
    for wrong in ("", key.upper(), key + " ", "app-", "\udc80\x00"):
        assert await world.apps.app_by_key(wrong) is None
    for _ in range(2):
        await world.apps.revoke_key(key_id)
    await world.apps.revoke_key("unknown")
    assert await world.apps.app_by_key(key) is None
    assert await world.apps.app_by_key(other) is not None
    with pytest.raises(AppNotFoundError):
        await world.apps.create_key("unknown")


async def test_site_is_made_with_its_app(world: StoreWorld) -> None:
    """An app gets a site with a code of its own, which stays with new versions, and can be closed."""
    app_id, _ = await world.apps.import_app(WORKSPACE, simple(), None)
    other_app, _ = await world.apps.import_app(WORKSPACE, simple(), None)
    site, other = await world.sites.site(app_id), await world.sites.site(other_app)
    assert site is not None and other is not None
    assert (len(site.code), site.code.isalnum(), site.is_open) == (16, True, True)
    assert site.code != other.code
    await world.apps.import_app(WORKSPACE, simple(content_hash="2" * 64), None, app_id=app_id)
    assert await world.sites.site(app_id) == await world.sites.site_by_code(site.code) == site
    for unknown in ("", "x", site.code.swapcase(), "\x00", "ä\ud800"):
        assert await world.sites.site_by_code(unknown) is None
    for is_open in (False, False, True):
        await world.sites.set_open(app_id, is_open)
        assert await world.sites.site(app_id) == replace(site, is_open=is_open)
    await world.sites.set_open("unknown", True)
    assert await world.sites.site("unknown") is None


async def test_values_of_secrets_stay_out_of_repr(world: StoreWorld) -> None:
    """Neither an app nor a version shows what its author entered as a secret."""
    secret = Variable("password", "secret", "hunter2")
    document = {"workflow": {"environment_variables": [{"name": "password", "value": "hunter2"}]}}
    app_id, _ = await world.apps.import_app(
        WORKSPACE, replace(simple(), environment=(secret,), document=document), None
    )
    assert "hunter2" not in repr([await world.apps.app(app_id), await world.apps.published(app_id)])


async def test_people_are_made_once(world: StoreWorld) -> None:
    """Workspaces go by name, accounts by address in any letter case; members come in a stable order."""
    workspace = await world.accounts.ensure_workspace("Team")
    assert await world.accounts.ensure_workspace("Team") == workspace
    first = await world.accounts.ensure_account("Ann@Example.org ", "Ann", workspace.workspace_id, "owner")
    again = await world.accounts.ensure_account("ann@example.org", "Other", workspace.workspace_id, "normal")
    second = await world.accounts.ensure_account("bob@example.org", "Bob", workspace.workspace_id, "normal")
    assert again == first and (first.email, first.name) == ("ann@example.org", "Ann")
    assert await world.accounts.account(first.account_id) == first
    assert await world.accounts.account_by_email("ANN@example.org") == first
    assert await world.accounts.members(workspace.workspace_id) == [
        Member(first.account_id, "ann@example.org"),
        Member(second.account_id, "bob@example.org"),
    ]
    assert await world.accounts.members("unknown") == []
    assert [await world.accounts.account("x"), await world.accounts.account_by_email("x")] == [None, None]


async def test_end_user_is_the_same_for_the_same_name(world: StoreWorld) -> None:
    """An end user is known by app, type and the caller's name for them; at once or one after the other."""
    app_id = make_id("app")
    users = await asyncio.gather(*(world.accounts.end_user(WORKSPACE, app_id, "abc", "service-api") for _ in range(8)))
    assert len({user.end_user_id for user in users}) == 1
    assert (users[0].session_id, users[0].is_anonymous) == ("abc", False)
    assert await world.accounts.end_user_by_id(users[0].end_user_id) == users[0]
    assert await world.accounts.end_user_by_id("unknown") is None
    others = [
        await world.accounts.end_user(WORKSPACE, app_id, "ABC", "service-api"),
        await world.accounts.end_user(WORKSPACE, app_id, "abc", "browser", is_anonymous=True),
        await world.accounts.end_user(WORKSPACE, make_id("other app"), "abc", "service-api"),
        await world.accounts.end_user(WORKSPACE, app_id, "a\x00ü😀\ud800", "service-api"),
    ]
    assert len({user.end_user_id for user in (users[0], *others)}) == 5
    assert others[1].is_anonymous
    odd = await world.accounts.end_user(WORKSPACE, app_id, "a\x00ü😀\ud800", "service-api")
    assert odd.end_user_id == others[3].end_user_id


async def test_installation_keeps_its_first_value(world: StoreWorld) -> None:
    """The first claim of a name wins; a process with another value sees that it does not belong here."""
    assert await world.installation.claim("form_token_key_id", "aa") == "aa"
    assert await world.installation.claim("form_token_key_id", "bb") == "aa"
    assert await world.installation.claim("other", "bb") == "bb"


async def test_turn_is_taken_once_in_an_interval(world: StoreWorld) -> None:
    """What is done daily is done by whoever asks first, and again when the interval is over."""
    take = world.installation.take_turn
    assert [await take("daily", 1000.0, 60.0), await take("daily", 1059.0, 60.0)] == [True, False]
    assert [await take("daily", 1060.0, 60.0), await take("daily", 1061.0, 60.0)] == [True, False]
    assert await take("other", 1061.0, 60.0)
    both = await asyncio.gather(take("daily", 1200.0, 60.0), take("daily", 1200.0, 60.0))
    assert sorted(both) == [False, True]

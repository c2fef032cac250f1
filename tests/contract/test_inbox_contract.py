"""The inboxes of accounts, on every kind of store."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import ClauseElement, Connection, Executable, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

import factories
from factories import edge, workflow
from hitl.form import Form, FormStatus
from hitl.recipient import Recipient, RecipientType
from store.human_time_record import Act
from store.human_time_rows import DUE_MOMENTS
from store.inbox_record import InboxPage, InboxQuery
from store.inbox_rows import inbox_statement
from store_world import ANSWER, NOW, PERSON, StoreWorld, given, make_id, new_form, new_run, sql_world, start

WORKSPACE = make_id("workspace")


async def member(world: StoreWorld, name: str, role: str = "normal", workspace_id: str = WORKSPACE) -> str:
    """The id of an account of the workspace."""
    return (await world.accounts.ensure_account(f"{name}@x.org", name.title(), workspace_id, role)).account_id


async def an_app(world: StoreWorld, name: str) -> str:
    """The id of an app of the workspace."""
    parsed = workflow([factories.start("topic"), factories.end(topic=["start", "topic"])], [edge("start", "end")])
    return (await world.apps.import_app(WORKSPACE, replace(parsed, name=name), None))[0]


async def asked(world: StoreWorld, name: str, *account_ids: str, **changes: Any) -> Form:
    """Open a form that asks accounts in person."""
    run = await start(world, new_run(name))
    title = changes.pop("node_title", "Approve")
    form = new_form(run, name, **changes)
    form = replace(form, definition=replace(form.definition, node_title=title))
    recipients = [
        Recipient(make_id(name, each), form.form_id, RecipientType.EMAIL_MEMBER, payload={"user_id": each})
        for each in account_ids
    ]
    return await world.forms.open(form, recipients, [])


async def page(world: StoreWorld, account_id: str, **parts: Any) -> InboxPage:
    """A page of an account's inbox."""
    return await world.human_time.inbox(InboxQuery(WORKSPACE, account_id, parts.pop("now", NOW + 100), **parts))


async def shown(world: StoreWorld, account_id: str, **parts: Any) -> list[Form]:
    """The forms of a page."""
    return [row.form for row in (await page(world, account_id, **parts)).rows]


def act(form: Form, account_id: str) -> Act:
    """Something that an account does."""
    return Act(make_id("act", form.form_id, account_id), form.form_id, account_id, NOW + 1, "console")


async def test_inbox_shows_what_is_asked_of_the_account(world: StoreWorld) -> None:
    """A member's own are the forms that ask it, an owner's all of the workspace; others are found by asking for all."""
    ann, bob, olga = [await member(world, name) for name in ("ann", "bob")] + [await member(world, "olga", "owner")]
    first = await asked(world, "first", ann, created_at=NOW)
    second = await asked(world, "second", ann, bob, created_at=NOW + 1)
    third = await asked(world, "third", created_at=NOW + 2)
    assert await shown(world, ann) == [second, first]
    assert await shown(world, bob) == [second]
    assert await shown(world, olga) == [third, second, first]
    assert await shown(world, bob, filter="all") == [third, second, first]


async def test_inbox_is_empty_for_strangers(world: StoreWorld) -> None:
    """An account sees no form of a workspace that it does not belong to, whatever it asks for."""
    ann = await member(world, "ann")
    zoe = await member(world, "zoe", "owner", make_id("elsewhere"))
    await asked(world, "form", ann, zoe)
    for filter in ("mine", "unclaimed", "all"):
        assert await page(world, zoe, filter=filter, status=None) == InboxPage((), False)
    other = InboxQuery(make_id("elsewhere"), zoe, NOW, "all")
    assert await world.human_time.inbox(other) == InboxPage((), False)


async def test_inbox_row_says_what_a_person_must_know(world: StoreWorld) -> None:
    """A row has the app, the deadline, and who has claimed the form until when."""
    ann, bob = await member(world, "ann"), await member(world, "bob")
    app_id = await an_app(world, "Invoices")
    form = await asked(world, "form", ann, app_id=app_id)
    claim = await world.human_time.claim(act(form, bob), 600.0)
    row = (await page(world, ann)).rows[0]
    assert (row.form, row.app_name, row.due_at) == (form, "Invoices", form.expires_at)
    assert (row.claim, row.claimant, row.snoozed_until) == (claim, "Bob", None)
    late = (await page(world, ann, now=NOW + 601)).rows[0]
    assert (late.claim, late.claimant) == (None, "")


async def test_inbox_leaves_out_what_is_claimed_or_put_away(world: StoreWorld) -> None:
    """Unclaimed forms are those without a living claim; a snoozed one is shown to others, and again later."""
    ann, bob = await member(world, "ann"), await member(world, "bob")
    claimed, snoozed = await asked(world, "claimed", ann), await asked(world, "snoozed", ann, bob, created_at=NOW + 1)
    await world.human_time.claim(act(claimed, bob), 600.0)
    await world.human_time.snooze(act(snoozed, ann), NOW + 500)
    assert await shown(world, ann, filter="unclaimed") == []
    assert await shown(world, bob, filter="unclaimed") == [snoozed]
    assert await shown(world, ann) == [claimed]
    assert await shown(world, bob) == [snoozed]
    rows = (await page(world, ann, with_snoozed=True)).rows
    assert [(row.form, row.snoozed_until) for row in rows] == [(snoozed, NOW + 500), (claimed, None)]
    assert await shown(world, ann, now=NOW + 601, filter="unclaimed") == [snoozed, claimed]


async def test_inbox_is_filtered_by_status_app_and_text(world: StoreWorld) -> None:
    """Closed forms are shown when asked for, with their claims and snoozes gone; text is no pattern."""
    ann = await member(world, "ann")
    app_id = await an_app(world, "Invoices 100%")
    waiting = await asked(world, "waiting", ann, node_title="Check amount")
    done = await asked(world, "done", ann, app_id=app_id, created_at=NOW + 1, node_title="Sign_off")
    await world.human_time.claim(act(done, ann), 600.0)
    await world.human_time.snooze(act(done, ann), NOW + 900)
    await world.forms.submit(done.form_id, None, 0, given(ANSWER), PERSON, NOW + 5)
    done = await world.forms.get(done.form_id)
    assert done is not None
    assert await shown(world, ann) == [waiting]
    assert await shown(world, ann, status=FormStatus.SUBMITTED) == [done]
    assert await shown(world, ann, status=None) == [done, waiting]
    assert (await page(world, ann, status=None)).rows[0].claim is None
    assert await shown(world, ann, status=None, filter="all", app_id=app_id) == [done]
    for wanted, found in {
        "check": [waiting], "INVOICES": [done], "100%": [done], "sign_": [done], "%": [done], "_": [done], "x\\": [],
    }.items():  # fmt: skip
        assert await shown(world, ann, status=None, text=wanted) == found, wanted


@pytest.mark.parametrize("role", ["normal", "owner"])
@pytest.mark.parametrize("status", [FormStatus.WAITING, None])
async def test_pages_follow_each_other_without_gap(world: StoreWorld, role: str, status: FormStatus | None) -> None:
    """Every form comes once, the newest first, also where several were opened at the same moment."""
    ann = await member(world, "ann", role)
    forms = [await asked(world, f"form {number}", ann, created_at=NOW + number // 3) for number in range(10)]
    expected = sorted(forms, key=lambda form: (form.created_at, form.form_id), reverse=True)
    found, before = [], None
    while True:
        got = await page(world, ann, status=status, limit=4, before=before)
        found += [row.form for row in got.rows]
        if not got.has_more:
            break
        before = got.rows[-1].form.form_id
    assert found == expected
    assert await shown(world, ann, status=status, before="no form") == []


async def test_delivery_tests_are_in_no_inbox(world: StoreWorld) -> None:
    """A form without a run asks nobody to decide anything."""
    olga = await member(world, "olga", "owner")
    await world.forms.open(new_form(None), [], [])
    assert await shown(world, olga, filter="all", status=None) == []


QUERIES = {
    "mine, waiting": (InboxQuery(WORKSPACE, "ann", NOW), False, "ix_forms_inbox_waiting"),
    "mine, all": (InboxQuery(WORKSPACE, "ann", NOW, status=None), False, "ix_asked_accounts_inbox"),
    "owner, waiting": (InboxQuery(WORKSPACE, "olga", NOW), True, "ix_forms_inbox_waiting"),
    "unclaimed": (InboxQuery(WORKSPACE, "ann", NOW, "unclaimed"), False, "ix_forms_inbox_waiting"),
    "all, all": (InboxQuery(WORKSPACE, "ann", NOW, "all", status=None), False, "ix_forms_inbox"),
    "next page": (InboxQuery(WORKSPACE, "ann", NOW, before="form"), False, "ix_forms_inbox_waiting"),
}


@pytest.mark.parametrize("name", QUERIES)
async def test_inbox_is_read_from_an_index_in_its_order(database_url: str, name: str) -> None:
    """A page costs what it shows, not what has ever been asked: an index has the rows in order, nothing is sorted."""
    query, sees_all, index = QUERIES[name]
    statement, values = inbox_statement(query, sees_all)
    values |= {"key_before_at": NOW, "key_before_id": "form"} if query.before else {}
    plan = await explained(database_url, statement, values)
    assert f"{index} " in plan
    assert "TEMP B-TREE" not in plan and "Sort" not in plan
    assert "SCAN forms" not in plan and "Seq Scan on forms" not in plan


async def test_due_moments_are_found_by_index(database_url: str) -> None:
    """The timer reads the forms with a moment to come in the order of these, and no others."""
    plan = await explained(database_url, DUE_MOMENTS, {"key_until": NOW, "key_limit": 9})
    assert "ix_schedules_next" in plan
    assert "TEMP B-TREE" not in plan and "Sort" not in plan


class Explain(Executable, ClauseElement):
    """Asks the database how it would carry out a statement."""

    inherit_cache = False

    def __init__(self, statement: Any) -> None:
        self.statement = statement


@compiles(Explain)
def _explain(element: Explain, compiler: SQLCompiler, **options: Any) -> str:
    prefix = "EXPLAIN QUERY PLAN" if compiler.dialect.name == "sqlite" else "EXPLAIN"
    return f"{prefix} {compiler.process(element.statement, **options)}"


async def explained(url: str, statement: Any, values: dict[str, Any]) -> str:
    """How the database would carry out a statement; PostgreSQL as it would with many rows."""
    world = sql_world(url)
    assert world.database is not None

    def work(connection: Connection) -> str:
        for setting in () if world.kind == "sqlite" else ("seqscan", "bitmapscan", "sort", "incremental_sort"):
            connection.execute(text(f"SET LOCAL enable_{setting} = off"))
        return "".join(f"{row[-1]} \n" for row in connection.execute(Explain(statement), values))

    plan = await world.database.read(work)
    await world.database.close()
    return plan

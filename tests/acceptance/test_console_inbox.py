"""``/console/api/inbox``: listing forms, deciding many at once, claiming and handing on, and what is kept of a form."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from actors.messages import ClaimOrder, DelegateOrder, ReassignOrder, ReleaseOrder, SnoozeOrder
from approval import RUN, approval
from console_world import person, send_random_bodies
from graph.errors import UnavailableError
from hitl.errors import FormNotFoundError
from hitl.form import Form
from hitl.receipt import verified_statement
from inbox_fakes import NotedActs, NotedReads
from surface_world import RECEIPT_KEY, World, make_world

GOOD = {"action": "approve", "inputs": {"comment": "ok"}}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A Greenroom with the approval workflow."""
    made = await make_world(approval())
    yield made
    await made.runs.settle()


@pytest.fixture
async def noting() -> AsyncIterator[World]:
    """The same, but what is ordered is only noted."""
    made = await make_world(approval(), console_ports={"inbox_acts": NotedActs()})
    yield made
    await made.runs.settle()


def acts_of(world: World) -> NotedActs:
    """Return what notes the orders."""
    acts = world.ports.console.inbox_acts
    assert isinstance(acts, NotedActs)
    return acts


async def waiting_forms(world: World, count: int) -> list[str]:
    """Start runs by API key and return the ids of their forms, oldest first."""
    ids = []
    async with world.client() as client:
        for _ in range(count):
            ids.append((await client.post("/v1/workflows/run", json=RUN)).json()["data"]["reasons"][0]["form_id"])
    return ids


async def test_forms_are_listed_page_by_page(world: World) -> None:
    """The newest comes first, with its run, deadlines, claim and digest; a cursor leads on."""
    ids = await waiting_forms(world, 3)
    async with await person(world) as ann:
        await ann.post(f"/inbox/forms/{ids[2]}/claim")
        first = (await ann.get("/inbox/forms?limit=2")).json()
        assert ([row["form_id"] for row in first["data"]], first["has_more"]) == ([ids[2], ids[1]], True)
        row = first["data"][0]
        claim = {"account_id": ann.account.account_id, "name": "Ann", "expires_at": 1_781_000_600}
        assert (row["claim"], first["data"][1]["claim"]) == (claim, None)
        assert (row["status"], row["node_title"], row["app_name"], row["due_at"]) == (
            "waiting", "Review", "test", row["expiration_time"],
        )  # fmt: skip
        assert row["workflow_run_id"] in world.store.runs and len(row["form_digest"]) == 64
        assert "token" not in str(first)
        last = (await ann.get(f"/inbox/forms?limit=2&cursor={first['next_cursor']}")).json()
        assert ([row["form_id"] for row in last["data"]], last["next_cursor"]) == ([ids[0]], None)


async def test_query_says_which_part() -> None:
    """Filter, app, status, words and page reach the store as they are; the account is the caller's."""
    reads = NotedReads()
    world = await make_world(approval(), console_ports={"inbox": reads})
    async with await person(world) as ann:
        await ann.get("/inbox/forms")
        await ann.get(
            f"/inbox/forms?filter=unclaimed&app_id={world.app_id}&status=any&q=%20tea%20&limit=7&snoozed=true"
        )
        first, second = reads.queries
        assert (first.filter, first.status, first.text, first.limit, first.with_snoozed) == (
            "mine", "waiting", None, 50, False,
        )  # fmt: skip
        assert (second.filter, second.app_id, second.status, second.text, second.limit, second.with_snoozed) == (
            "unclaimed", world.app_id, None, "tea", 7, True,
        )  # fmt: skip
        assert {(each.account_id, each.workspace_id) for each in (first, second)} == {
            (ann.account.account_id, world.workspace_id)
        }
        for bad in ("filter=odd", "status=odd", "app_id=odd", "cursor=odd", "limit=201", "limit=-1"):
            response = await ann.get(f"/inbox/forms?{bad}")
            assert (response.status_code, response.json()["code"]) == (400, "invalid_param")
            assert bad.partition("=")[0] in response.json()["message"]


async def test_many_forms_are_decided_each_for_itself(world: World) -> None:
    """A bad answer, an unknown form and a form given twice fail alone, each with its reason; the others are decided."""
    ids = await waiting_forms(world, 4)
    async with await person(world) as ann:
        listed = {row["form_id"]: row["form_digest"] for row in (await ann.get("/inbox/forms")).json()["data"]}
        decisions: list[Any] = [
            {"form_id": ids[0], **GOOD, "form_digest": listed[ids[0]]},
            {"form_id": ids[1], "action": "nope", "inputs": {"comment": ""}},
            {"form_id": "unknown", **GOOD},
            {"form_id": ids[0], **GOOD},
            {"form_id": ids[2], **GOOD, "form_digest": "0" * 64},
            {"form_id": ids[3]},
            "odd",
            {"form_id": ids[3], **GOOD},
        ]
        reply = (await ann.post("/inbox/decisions", {"decisions": decisions})).json()
        await world.runs.settle()
    assert [(row["form_id"], row["result"], row.get("status")) for row in reply["data"]] == [
        (ids[0], "success", None),
        (ids[1], "fail", 400),
        ("unknown", "fail", 404),
        (ids[0], "fail", 412),
        (ids[2], "fail", 409),
        (ids[3], "fail", 400),
        (None, "fail", 400),
        (ids[3], "success", None),
    ]
    assert (reply["succeeded"], reply["failed"]) == (2, 6)
    assert [row.get("is_decided") for row in reply["data"]] == [True, *[None] * 6, True]
    assert reply["data"][4]["code"] == "form_changed"
    assert reply["data"][1]["code"] == "invalid_form_data" and "nope" in reply["data"][1]["message"]
    statuses = [str(world.store.forms[form_id].status) for form_id in ids]
    assert statuses == ["submitted", "waiting", "waiting", "submitted"]


async def test_failure_inside_one_decision_leaves_the_others(world: World) -> None:
    """A fault of ours is told as one, without its text, and the next is decided."""
    ids = await waiting_forms(world, 2)
    get = world.hitl.forms.get

    async def failing(form_id: str) -> Form | None:
        if form_id == ids[0]:
            raise ValueError("inside")
        return await get(form_id)

    world.hitl.forms.get = failing
    async with await person(world) as ann:
        decisions = [{"form_id": form_id, **GOOD} for form_id in ids]
        reply = (await ann.post("/inbox/decisions", {"decisions": decisions})).json()
    assert [row["result"] for row in reply["data"]] == ["fail", "success"]
    assert (reply["data"][0]["status"], "inside" in str(reply)) == (500, False)


@pytest.mark.parametrize("body", [{}, {"decisions": []}, {"decisions": {}}, {"decisions": [{}] * 101}, []])
async def test_decisions_must_be_a_list_of_bounded_length(world: World, body: Any) -> None:
    """Nothing is decided by a body that is no list of answers."""
    async with await person(world) as ann:
        response = await ann.post("/inbox/decisions", body)
    assert (response.status_code, response.json()["code"]) == (400, "invalid_param")


async def test_forms_are_claimed_and_handed_on(noting: World) -> None:
    """Each act becomes an order of the account; the same key names the same order, another act another."""
    (form_id,) = await waiting_forms(noting, 1)
    async with await person(noting, role="normal") as ann:
        path, by = f"/inbox/forms/{form_id}", ann.account.account_id
        key = {"headers": {"Idempotency-Key": "k"}}
        for what, body in (
            ("claim", {}),
            ("release", {}),
            ("reassign", {"to": "bob@example.org", "instead_of": "eve@example.org"}),
            ("delegate", {"to": "bob@example.org"}),
            ("snooze", {"until": 1_781_003_600}),
        ):
            for options in ({}, key, key):
                response = await ann.post(f"{path}/{what}", body, **options)
                assert (response.status_code, response.json()) == (200, {"result": "success"})
    orders = acts_of(noting).orders
    kinds = (ClaimOrder, ReleaseOrder, ReassignOrder, DelegateOrder, SnoozeOrder)
    assert [type(each) for each in orders] == [kind for kind in kinds for _ in range(3)]
    assert {(each.form_id, each.account_id, each.via) for each in orders} == {(form_id, by, "console")}
    assert len({each.order_id for each in orders}) == 10
    assert (orders[6].to, orders[6].instead_of, orders[9].to, orders[12].until) == (
        "bob@example.org", "eve@example.org", "bob@example.org", 1_781_003_600.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("reassign", {}),
        ("reassign", {"to": ""}),
        ("delegate", {"to": 7}),
        ("delegate", {"to": "x" * 300}),
        ("snooze", {}),
        ("snooze", {"until": "tomorrow"}),
        ("snooze", {"until": 1e300}),
        ("snooze", {"until": -1}),
    ],
)
async def test_bad_act_is_refused_with_the_field(noting: World, what: str, body: dict[str, Any]) -> None:
    """What cannot be is named, and nothing is ordered."""
    (form_id,) = await waiting_forms(noting, 1)
    async with await person(noting) as ann:
        response = await ann.post(f"/inbox/forms/{form_id}/{what}", body)
    assert (response.status_code, response.json()["code"]) == (400, "invalid_param")
    assert ("until" if what == "snooze" else "to") in response.json()["message"]
    assert not acts_of(noting).orders


async def test_refused_act_is_told(noting: World) -> None:
    """What the HITL actor refuses comes with its code; when it is away, with the time to try again."""
    (form_id,) = await waiting_forms(noting, 1)
    async with await person(noting) as ann:
        for refusal, status in ((FormNotFoundError(), 404), (UnavailableError(), 503)):
            acts_of(noting).refusal = refusal
            assert (await ann.post(f"/inbox/forms/{form_id}/claim")).status_code == status


async def test_form_of_another_workspace_has_no_acts_and_no_records(noting: World) -> None:
    """Whoever belongs elsewhere gets the 404 of a form that does not exist."""
    (form_id,) = await waiting_forms(noting, 1)
    other = await noting.ports.console.accounts.ensure_workspace("other")
    async with await person(noting, "eve@example.org", workspace_id=other.workspace_id) as eve:
        assert (await eve.get("/inbox/forms")).json()["data"] == []
        decided = (await eve.post("/inbox/decisions", {"decisions": [{"form_id": form_id, **GOOD}]})).json()
        assert (decided["data"][0]["status"], decided["data"][0]["message"]) == (404, "Form not found")
        for act, body in (("claim", {}), ("release", {}), ("reassign", {"to": "a@b"}), ("snooze", {"until": 0})):
            assert (await eve.post(f"/inbox/forms/{form_id}/{act}", body)).status_code == 404
        for record in ("audit", "receipt", "deliveries"):
            assert (await eve.get(f"/inbox/forms/{form_id}/{record}")).status_code == 404
    assert not acts_of(noting).orders


async def test_records_of_a_form_are_given_out(world: World) -> None:
    """Who did what, the signed receipt and the mails; nothing of it is a token."""
    (form_id,) = await waiting_forms(world, 1)
    async with await person(world) as ann:
        path = f"/inbox/forms/{form_id}"
        undecided = await ann.get(f"{path}/receipt")
        await ann.post(path, GOOD)
        await world.runs.settle()
        opened, entry = (await ann.get(f"{path}/audit")).json()["data"]
        receipt = (await ann.get(f"{path}/receipt")).json()
        assert (await ann.get(f"{path}/deliveries")).json() == {"data": []}
    assert (undecided.status_code, undecided.json()["code"]) == (400, "form_undecided")
    assert (opened["event"], opened["account"]) == ("opened", None)
    assert (entry["event"], entry["via"], entry["detail"]) == ("submitted", "console", "approve")
    assert entry["account"] == {"id": ann.account.account_id, "name": "Ann", "email": "ann@example.org"}
    statement = verified_statement(receipt, RECEIPT_KEY.verifier)
    assert statement["decided"]["by"]["says"] == "account ann@example.org"
    assert statement["taken_up"]["fact_number"] > 0


async def test_what_is_not_there_has_no_path() -> None:
    """A console without inbox, receipts and mails answers forms, and gives 404 for the rest."""
    missing = dict.fromkeys(("inbox", "inbox_acts", "previews", "receipts", "deliveries"))
    world = await make_world(approval(), console_ports=missing)
    (form_id,) = await waiting_forms(world, 1)
    async with await person(world) as ann:
        for path in ("", f"/{form_id}/receipt", f"/{form_id}/deliveries", f"/{form_id}/claim"):
            assert (await ann.get(f"/inbox/forms{path}")).status_code == 404
        assert (await ann.get(f"/inbox/forms/{form_id}")).status_code == 200


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
async def test_random_bodies_never_fail_inside(world: World, count: int) -> None:
    """Whatever is sent to the inbox is taken or refused."""
    (form_id,) = await waiting_forms(world, 1)
    paths = [f"/inbox/forms/{form_id}/{act}" for act in ("claim", "release", "reassign", "delegate", "snooze")]
    async with await person(world) as ann:
        statuses = await send_random_bodies(world, ann, [*paths, "/inbox/decisions"], count)
    assert statuses <= {200, 400, 404, 415} and {200, 400} <= statuses

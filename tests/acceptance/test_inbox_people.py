"""The inbox of several people over the stores themselves: who sees, claims, hands on and decides, and what is kept."""

import asyncio
import time
from typing import Any

import httpx2
import pytest

from actors.errors import ActorAwayError
from actors.readings import Readings
from approval import RUN, approval
from console_world import Person, person
from graph.parse_workflow import parse_document
from hitl.receipt import verified_statement
from hitl.recipient import RecipientType
from store.form_record import Submitter
from store.memory_decisions import MemoryDecisions
from surface_world import CLAIM_LIFETIME_S, RECEIPT_KEY, World, make_world

GOOD = {"action": "approve", "inputs": {"comment": "ok"}}
BOARD = ["ann@example.org", "bob@example.org"]
ASKS_PEOPLE = {"approval": {"approvers": ["group:board"], "quorum": 1}}


def asking(recipients: list[str], **greenroom: Any) -> dict[str, Any]:
    """Return the approval workflow with e-mail to accounts, and the rules of its node."""
    made = approval(greenroom=greenroom)
    config = {
        "recipients": {"whole_workspace": False, "items": [{"type": "member", "user_id": each} for each in recipients]},
        "subject": "Well?",
        "body": "{{#url#}}",
    }
    asking = next(each["data"] for each in made["workflow"]["graph"]["nodes"] if each["id"] == "hi1")
    asking["delivery_methods"].append({"type": "email", "enabled": True, "id": "mail-1", "config": config})
    return made


async def waiting(world: World, count: int = 1) -> list[str]:
    """Start runs by API key and return the ids of their forms, oldest first."""
    ids = []
    async with world.client() as client:
        for _ in range(count):
            ids.append((await client.post("/v1/workflows/run", json=RUN)).json()["data"]["reasons"][0]["form_id"])
    return ids


async def members(world: World, *names: str) -> list[Person]:
    """Return logged-in members of the workspace without any power over the forms of others."""
    return [await person(world, f"{name}@example.org", "normal") for name in names]


async def board(rules: dict[str, Any] = ASKS_PEOPLE) -> tuple[World, list[Person]]:
    """Return a Greenroom whose forms Ann and Bob decide, with them and Cy, who is asked nothing."""
    world = await make_world({**approval(greenroom=rules), "greenroom": {"groups": {"board": BOARD}}})
    return world, await members(world, "ann", "bob", "cy")


async def listed(one: Person, query: str = "") -> list[str]:
    """Return the ids of the forms in an inbox."""
    return [row["form_id"] for row in (await one.get(f"/inbox/forms{query}")).json()["data"]]


async def digests(one: Person) -> dict[str, str]:
    """Return form id -> digest of the forms in an inbox."""
    return {row["form_id"]: row["form_digest"] for row in (await one.get("/inbox/forms")).json()["data"]}


def refusal(reply: httpx2.Response) -> tuple[int, str]:
    """Return status and code of a refusal."""
    return reply.status_code, reply.json()["code"]


async def events(one: Person, form_id: str) -> list[str]:
    """Return what the audit of a form says has happened."""
    return [entry["event"] for entry in (await one.get(f"/inbox/forms/{form_id}/audit")).json()["data"]]


async def test_everybody_sees_what_they_are_asked() -> None:
    """``mine`` is what asks one in person, for owners everything; ``unclaimed`` and ``all`` are the workspace's."""
    world, (ann, bob, cy) = await board()
    ids = (await waiting(world, 2))[::-1]
    olga = await person(world, "olga@example.org", "owner")
    assert [await listed(each) for each in (ann, bob, cy, olga)] == [ids, ids, [], ids]
    await ann.post(f"/inbox/forms/{ids[0]}/claim")
    assert await listed(cy, "?filter=unclaimed") == [ids[1]]
    assert await listed(cy, "?filter=all") == ids
    await bob.post(f"/inbox/forms/{ids[1]}/snooze", {"until": world.clock.at + 60})
    assert (await listed(bob), await listed(bob, "?snoozed=true")) == ([ids[0]], ids)
    world.clock.at += 61
    assert await listed(bob) == ids
    await ann.post(f"/inbox/forms/{ids[0]}", GOOD)
    assert (await listed(ann), await listed(ann, "?status=submitted")) == ([ids[1]], [ids[0]])


async def test_claim_keeps_others_from_answering_until_it_ends() -> None:
    """Only its holder answers; it can be given back, taken away by an owner, and runs out."""
    world = await make_world(approval())
    ann, bob = await members(world, "ann", "bob")
    olga = await person(world, "olga@example.org", "owner")
    given_back, taken_away, run_out, own = await waiting(world, 4)
    for form_id in (given_back, taken_away, run_out, own):
        assert (await ann.post(f"/inbox/forms/{form_id}/claim")).status_code == 200
        for path, body in ((f"/inbox/forms/{form_id}", GOOD), (f"/inbox/forms/{form_id}/claim", {})):
            assert refusal(await bob.post(path, body)) == (409, "form_claimed")
        assert refusal(await bob.post(f"/inbox/forms/{form_id}/release")) == (409, "form_claimed")
    await ann.post(f"/inbox/forms/{given_back}/release")
    await olga.post(f"/inbox/forms/{taken_away}/release")
    assert (await ann.post(f"/inbox/forms/{own}", GOOD)).status_code == 200
    for form_id in (given_back, taken_away):
        assert (await bob.post(f"/inbox/forms/{form_id}", GOOD)).status_code == 200
    world.clock.at += CLAIM_LIFETIME_S + 1
    assert (await bob.post(f"/inbox/forms/{run_out}", GOOD)).status_code == 200
    await world.runs.settle()
    assert {run.status for run in world.store.runs.values()} == {"succeeded"}
    assert await events(bob, given_back) == ["opened", "claimed", "released", "submitted"]


async def test_form_is_handed_on_once_under_a_key() -> None:
    """Whoever takes the place finds the form and may decide it, whoever gave it away may not any more."""
    world, (ann, bob, cy) = await board()
    (form_id,) = await waiting(world)
    path, key = f"/inbox/forms/{form_id}", {"headers": {"Idempotency-Key": "k"}}
    assert refusal(await cy.post(f"{path}/reassign", {"to": "cy@example.org"})) == (403, "transfer_refused")
    assert refusal(await ann.post(f"{path}/reassign", {"to": "nobody@example.org"})) == (400, "person_not_found")
    await ann.post(f"{path}/claim")
    world.clock.at += 1
    for _ in range(2):
        assert (await ann.post(f"{path}/reassign", {"to": " CY@example.org"}, **key)).status_code == 200
    assert [await listed(each) for each in (ann, bob, cy)] == [[], [form_id], [form_id]]
    assert not world.store.claims
    world.clock.at += 1
    assert refusal(await ann.post(f"{path}/claim")) == (403, "not_an_approver")
    assert refusal(await ann.post(f"{path}/reassign", {"to": "bob@example.org"})) == (403, "transfer_refused")
    assert refusal(await ann.post(path, GOOD)) == (403, "not_an_approver")
    assert (await cy.post(path, GOOD)).status_code == 200
    await world.runs.settle()
    assert await events(cy, form_id) == ["opened", "claimed", "reassigned", "voted", "submitted"]
    assert [run.status for run in world.store.runs.values()] == ["succeeded"]


async def test_one_who_delegates_may_still_answer() -> None:
    """Both may; the form is put away for the one, and waits for the other."""
    world, (ann, _, cy) = await board()
    (form_id,) = await waiting(world)
    assert (await ann.post(f"/inbox/forms/{form_id}/delegate", {"to": "cy@example.org"})).status_code == 200
    assert (await listed(ann), await listed(ann, "?snoozed=true"), await listed(cy)) == ([], [form_id], [form_id])
    assert (await ann.post(f"/inbox/forms/{form_id}", GOOD)).status_code == 200
    assert refusal(await cy.post(f"/inbox/forms/{form_id}", GOOD)) == (412, "human_input_form_submitted")


async def test_many_are_decided_as_far_as_they_can_be() -> None:
    """A stale digest, a foreign claim, a handed-on form and a form that is over fail alone; what can be is decided."""
    world = await make_world(approval())
    ann, bob = await members(world, "ann", "bob")
    good, stale, claimed, over = await waiting(world, 4)
    await bob.post(f"/inbox/forms/{claimed}/claim")
    await bob.post(f"/inbox/forms/{over}", GOOD)
    shown = {row["form_id"]: row["form_digest"] for row in (await ann.get("/inbox/forms?filter=all")).json()["data"]}
    decisions = [{"form_id": form_id, **GOOD, "form_digest": shown.get(form_id)} for form_id in (good, claimed, over)]
    decisions.insert(1, {"form_id": stale, **GOOD, "form_digest": "0" * 64})
    body = (await ann.post("/inbox/decisions", {"decisions": decisions})).json()
    await world.runs.settle()
    assert [(row["form_id"], row.get("code"), row.get("status")) for row in body["data"]] == [
        (good, None, None),
        (stale, "form_changed", 409),
        (claimed, "form_claimed", 409),
        (over, "human_input_form_submitted", 412),
    ]
    assert (body["succeeded"], body["failed"], body["data"][0]["is_decided"]) == (1, 3, True)
    assert [str(world.store.forms[form_id].status) for form_id in (good, stale, claimed)] == [
        "submitted", "waiting", "waiting",
    ]  # fmt: skip
    again = await ann.post("/inbox/decisions", {"decisions": [{"form_id": stale, **GOOD, "form_digest": shown[stale]}]})
    assert again.json()["succeeded"] == 1


async def test_many_decided_again_under_a_key_are_told_alike() -> None:
    """Whoever lost the reply gets it again; another answer under the key fails alone, and without one all are over."""
    world = await make_world(approval())
    (ann,) = await members(world, "ann")
    ids = await waiting(world, 2)
    body = {"decisions": [{"form_id": form_id, **GOOD} for form_id in ids]}
    key = {"headers": {"Idempotency-Key": "k"}}
    first, second = [(await ann.post("/inbox/decisions", body, **key)).json() for _ in range(2)]
    bare = (await ann.post("/inbox/decisions", body)).json()
    body["decisions"][0] = {**body["decisions"][0], "action": "reject"}
    other = (await ann.post("/inbox/decisions", body, **key)).json()
    bad = await ann.post("/inbox/decisions", body, headers={"Idempotency-Key": ""})
    await world.runs.settle()
    assert first == second and first["succeeded"] == 2
    assert [row["code"] for row in bare["data"]] == ["human_input_form_submitted"] * 2
    assert [row.get("code") for row in other["data"]] == ["idempotency_key_reused", None]
    assert refusal(bad) == (400, "invalid_param")
    assert [await events(ann, form_id) for form_id in ids] == [["opened", "submitted"]] * 2


async def test_whoever_reads_a_form_is_named_once() -> None:
    """Reading by id, by token and by page counts once for each account; what cannot be read names nobody."""
    world = await make_world(approval())
    ann, bob = await members(world, "ann", "bob")
    (form_id,) = await waiting(world)
    for one in (ann, bob, ann):
        world.clock.at += 1
        assert (await one.get(f"/inbox/forms/{form_id}")).status_code == 200
    assert (await ann.client.get(f"/inbox/forms/{form_id}")).status_code == 200
    await ann.get("/inbox/forms?filter=all")
    other = await world.ports.console.accounts.ensure_workspace("other")
    eve = await person(world, "eve@example.org", workspace_id=other.workspace_id)
    assert (await eve.get(f"/inbox/forms/{form_id}")).status_code == 404
    entries = (await ann.get(f"/inbox/forms/{form_id}/audit")).json()["data"]
    assert [(each["event"], each["via"], (each["account"] or {}).get("email")) for each in entries] == [
        ("opened", "system", None), ("viewed", "console", "ann@example.org"), ("viewed", "console", "bob@example.org"),
    ]  # fmt: skip


async def test_votes_are_cast_for_many_forms_at_once() -> None:
    """The first vote leaves them open, the second decides; a vote again, or of somebody else, fails alone."""
    world, (ann, bob, cy) = await board({"approval": {"approvers": ["group:board"], "quorum": 2}})
    first, second = await waiting(world, 2)
    shown = await digests(ann)
    both = [{"form_id": form_id, **GOOD, "form_digest": shown[form_id]} for form_id in (first, second)]
    assert refusal(await cy.post(f"/inbox/forms/{first}", GOOD)) == (403, "not_an_approver")
    told = [
        (await one.post("/inbox/decisions", {"decisions": decisions})).json()["data"]
        for one, decisions in ((ann, both), (ann, both[:1]), (cy, both[:1]), (bob, both))
    ]
    await world.runs.settle()
    assert [[row.get("is_decided", row.get("code")) for row in rows] for rows in told] == [
        [False, False], ["already_voted"], ["not_an_approver"], [True, True],
    ]  # fmt: skip
    assert {run.status for run in world.store.runs.values()} == {"succeeded"}
    receipt = (await cy.get(f"/inbox/forms/{second}/receipt")).json()
    statement = verified_statement(receipt, RECEIPT_KEY.verifier)
    assert [vote["by"]["says"] for vote in statement["votes"]] == [f"account {address}" for address in BOARD]
    assert (statement["form"]["digest"], statement["decided"]["via"]) == (shown[second], "console")


@pytest.mark.parametrize("act", ["reassign", "delegate"])
async def test_deliveries_tell_of_every_mail(act: str) -> None:
    """The mails of the opening and of handing on are listed in their order, with their state and without a link."""
    world = await make_world(approval())
    ann, bob = await members(world, "ann", "bob")
    _, _, key = await world.add_app(asking([ann.account.account_id]))
    async with world.client(key) as client:
        reason = (await client.post("/v1/workflows/run", json=RUN)).json()["data"]["reasons"][0]
    path = f"/inbox/forms/{reason['form_id']}"
    world.clock.at += 5
    assert (await ann.post(f"{path}/{act}", {"to": "bob@example.org"})).status_code == 200
    reply = await bob.get(f"{path}/deliveries")
    mails = reply.json()["data"]
    assert [(mail["occasion"], mail["to"], mail["state"], mail["attempts"]) for mail in mails] == [
        ("opened", "ann@example.org", "pending", 0),
        ("transferred", "bob@example.org", "pending", 0),
    ]
    assert mails[1]["due_at"] == mails[0]["due_at"] + 5 == world.clock.at
    assert "/form/" not in reply.text and reason["form_token"] not in reply.text


async def test_form_shows_its_claim_to_programs() -> None:
    """Whoever reads a form learns who has claimed it and until when, as the list says it."""
    world, (ann, bob, _) = await board()
    (form_id,) = await waiting(world)
    await ann.post(f"/inbox/forms/{form_id}/claim")
    shown = (await bob.get(f"/inbox/forms/{form_id}")).json()["claim"]
    (row,) = (await bob.get("/inbox/forms")).json()["data"]
    assert shown == row["claim"]
    assert (shown["account_id"], shown["name"]) == (ann.account.account_id, "Ann")
    await ann.post(f"/inbox/forms/{form_id}/release")
    assert (await bob.get(f"/inbox/forms/{form_id}")).json()["claim"] is None


async def test_account_answers_as_whom_it_was_asked() -> None:
    """Who is asked in person votes as that recipient, whoever else is asked; who is not, as the workspace's inbox."""
    world, (ann, bob, _) = await board({"approval": {"approvers": ["group:board"], "quorum": 2}})
    (form_id,) = await waiting(world)
    for one in (bob, ann):
        assert (await one.post(f"/inbox/forms/{form_id}", GOOD)).status_code == 200
    recipients = {each.recipient_id: each for each in world.store.recipients.values()}
    voted = {entry.account_id: entry.recipient_id for entry in world.store.audit if entry.event == "voted"}
    for one in (ann, bob):
        recipient = recipients[voted[one.account.account_id] or ""]
        assert recipient.payload["account_id"] == one.account.account_id
    world = await make_world(approval())
    (form_id,) = await waiting(world)
    (cy,) = await members(world, "cy")
    await cy.post(f"/inbox/forms/{form_id}", GOOD)
    (given,) = world.store.answers.values()
    assert world.store.recipients[given.recipient_id or ""].type is RecipientType.BACKSTAGE


async def test_form_is_read_while_the_hitl_actor_is_away() -> None:
    """The account gets the form at once, and the audit says when it was read as soon as that can be noted."""
    world, (ann, _, _) = await board()
    (form_id,) = await waiting(world)
    decisions, is_away, is_noted = MemoryDecisions(world.store), True, asyncio.Event()

    async def note(noted_id: str, by: Submitter, at: float | None) -> None:
        if is_away:
            raise ActorAwayError("hitl-actor")
        await decisions.view(noted_id, by, world.clock.now() if at is None else at)
        is_noted.set()

    readings = Readings(note, first_delay_s=0.01)
    world.hitl.viewed = lambda form_id, by: readings.add(form_id, by, patience_s=0.0)
    before = time.time()
    shown = await ann.get(f"/inbox/forms/{form_id}")
    page = await ann.client.get(f"/inbox/forms/{form_id}")
    assert (shown.status_code, page.status_code) == (200, 200)
    assert await events(ann, form_id) == ["opened"]
    after, is_away = time.time(), False
    await asyncio.wait_for(is_noted.wait(), 60)
    (entry,) = [each for each in world.store.audit if each.event == "viewed"]
    assert (entry.account_id, before <= entry.at <= after) == (ann.account.account_id, True)


async def test_audit_says_why_a_form_expired() -> None:
    """That its run ended is told apart from the global deadline; both are the same 412 to whoever answers."""
    world, (ann, _, _) = await board()
    stopped, late = await waiting(world, 2)
    # Whoever stops a run may say what they like: that decides nothing.
    await world.runs.stop(world.store.forms[stopped].run_id or "", "Human input global timeout at node hi1")
    await world.runs.settle()
    # What the HITL actor does when a run has ended, and at the deadline.
    await world.hitl.forms.close_run(world.store.forms[stopped].run_id or "", world.clock.now())
    await world.hitl.forms.close(late, "expired", world.clock.now(), "Human input global timeout at node hi1")
    for form_id, reason in ((stopped, "run_ended"), (late, "global_deadline")):
        entries = (await ann.get(f"/inbox/forms/{form_id}/audit")).json()["data"]
        assert [(entry["event"], entry["reason"]) for entry in entries] == [("opened", None), ("expired", reason)]
        assert refusal(await ann.post(f"/inbox/forms/{form_id}", GOOD)) == (412, "human_input_form_expired")


async def test_receipt_states_the_same_whenever_it_is_exported() -> None:
    """What was decided is stored with the decision: whatever happens later, a receipt says what it says at once."""
    world, (ann, bob, _) = await board()
    (form_id,) = await waiting(world)
    assert (await ann.post(f"/inbox/forms/{form_id}", GOOD)).status_code == 200
    await world.runs.settle()
    path, exported = f"/inbox/forms/{form_id}/receipt", []
    exported.append((await bob.get(path)).json())
    world.clock.at += 100.0
    assert (await bob.post(f"/inbox/forms/{form_id}", GOOD)).status_code == 412
    for recipient in list(world.store.recipients.values()):
        await world.hitl.forms.revoke(recipient.recipient_id, world.clock.now())
    changed = parse_document({**approval(), "greenroom": {"groups": {"board": BOARD[:1]}}}).workflow
    assert changed is not None
    await world.ports.console.apps.import_app(world.workspace_id, changed, None, app_id=world.app_id)
    await waiting(world)
    exported.append((await bob.get(path)).json())
    assert exported[0] == exported[1]
    assert exported[0]["statement"]["taken_up"] is not None

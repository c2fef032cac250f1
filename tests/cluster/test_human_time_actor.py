"""Reminders, escalation, deadlines and inboxes on the real HITL actor, also when it dies in between."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uuid_utils

from actors.calls import HITL_ACTOR
from actors.client import Greenroom
from actors.forms import FormsClient
from actors.messages import FormOrder, RunOrder
from graph.human_rules import AppRules, FormRules
from graph.ports import FormRequest
from hitl.errors import FormNotFoundError, PersonNotFoundError, TransferRefusedError
from hitl.form import Form, FormStatus
from local_cluster import LocalCluster
from stage import Stage, kill_process, open_stage
from store.form_record import AuditEntry
from store_world import acts_on

pytestmark = pytest.mark.timeout(300)

GLOBAL_TIMEOUT_S = 40.0
"""Longer than a restart of the HITL actor takes, and short enough to wait for."""


@pytest.fixture(scope="module")
async def stage(ray_cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A Greenroom that gives runs up soon after they have asked."""
    folder = tmp_path_factory.mktemp("stage")
    async with open_stage(folder, pool_size=2, human_input_global_timeout_s=GLOBAL_TIMEOUT_S) as stage:
        yield stage


@pytest.fixture(scope="module", autouse=True)
async def unanswered(stage: Stage) -> RunOrder:
    """A run that waits for a person from before the first test on, so that its deadline is near at the last."""
    order = await stage.order("asking")
    assert (await stage.ports.runs.start(order)).status == "paused"
    return order


async def opened(stage: Stage, **rules: Any) -> Form:
    """Open a form of a run that never begins, with an hour to answer it."""
    workspace = await stage.ports.accounts.ensure_workspace(stage.settings.workspace_name)
    request = FormRequest(
        str(uuid_utils.uuid7()), "human", str(uuid_utils.uuid7()), "Human", "Well?", [], [{"id": "ok", "title": "OK"}],
        {}, [], 3600.0, FormRules.model_validate(rules),
    )  # fmt: skip
    groups = AppRules(groups={"legal": ("lea@x.org",)})
    order = FormOrder(request, workspace.workspace_id, str(uuid_utils.uuid7()), "service-api", None, app_rules=groups)
    form = await stage.ports.forms.get((await FormsClient().open_form(order)).form_id)
    assert form is not None
    return form


async def audited(stage: Stage, form: Form, event: str) -> AuditEntry:
    """The audit entry of an event, once it is there."""

    async def found() -> AuditEntry | None:
        entries = await stage.ports.forms.audit(form.form_id)
        return next((entry for entry in entries if entry.event == event), None)

    return await stage.until(found, event)


async def member(stage: Stage, name: str) -> str:
    """The id of a member of the workspace."""
    workspace = await stage.ports.accounts.ensure_workspace(stage.settings.workspace_name)
    account = await stage.ports.accounts.ensure_account(f"{name}@x.org", name, workspace.workspace_id, "normal")
    return account.account_id


async def test_moments_fire_by_themselves_and_not_before_their_time(stage: Stage):
    """Nobody has to look at a form that reminds and escalates; tests/unit/test_form_deadlines.py says how soon."""
    lea = await member(stage, "lea")
    form = await opened(stage, reminders=[{"after": "1s"}], escalation=[{"after": "2s", "to": ["group:legal"]}])
    assert (await audited(stage, form, "reminded")).at >= form.created_at + 1
    assert (await audited(stage, form, "escalated")).at >= form.created_at + 2
    recipients = (await stage.ports.forms.recipients([form.form_id]))[form.form_id]
    assert lea in [each.payload.get("user_id") for each in recipients]


async def test_moments_that_pass_while_the_actor_is_dead_are_caught_up_once(stage: Stage):
    """After SIGKILL and restart one reminder is sent for all that were missed."""
    form = await opened(stage, reminders=[{"after": "1s"}, {"after": "2s"}])
    await asyncio.to_thread(kill_process, HITL_ACTOR)

    async def has_passed_both() -> bool:
        schedule = await stage.ports.human_time.schedule(form.form_id)
        return schedule is not None and schedule.passed_count == 2

    await stage.until(has_passed_both, "both moments")
    events = [entry.event for entry in await acts_on(stage.ports.forms, form.form_id)]
    # The restarted actor may have been there for the second one.
    assert 1 <= events.count("reminded") <= 2


async def test_account_works_through_its_inbox(stage: Stage):
    """Claim, release, snooze, delegate and reassign from Python; what is refused arrives with its class."""
    lea = await member(stage, "lea")
    form = await opened(stage, escalation=[{"after": "1s", "to": ["group:legal"]}])
    await audited(stage, form, "escalated")
    greenroom = await asyncio.to_thread(Greenroom.connect, settings=stage.settings)

    def use() -> None:
        inbox = greenroom.inbox
        assert form.form_id in [row.form.form_id for row in inbox.page(text="human").rows]
        inbox.claim(form.form_id)
        (row,) = [row for row in inbox.page().rows if row.form.form_id == form.form_id]
        assert row.claimant == stage.settings.account_name
        assert form.form_id not in [row.form.form_id for row in inbox.page("unclaimed").rows]
        inbox.release(form.form_id)
        inbox.snooze(form.form_id, time.time() + 1800)
        assert form.form_id not in [row.form.form_id for row in inbox.page().rows]
        with pytest.raises(PersonNotFoundError):
            inbox.delegate(form.form_id, "nobody@x.org")
        with pytest.raises(FormNotFoundError):
            inbox.claim(str(uuid_utils.uuid7()))
        inbox.reassign(form.form_id, stage.settings.account_email, instead_of="lea@x.org")
        with pytest.raises(TransferRefusedError):
            inbox.reassign(form.form_id, "lea@x.org", instead_of="lea@x.org")
        greenroom.close()

    await asyncio.to_thread(use)
    events = [entry.event for entry in await acts_on(stage.ports.forms, form.form_id)]
    assert events == ["escalated", "claimed", "released", "snoozed", "reassigned"]
    recipients = (await stage.ports.forms.recipients([form.form_id]))[form.form_id]
    assert lea not in [each.payload.get("user_id") for each in recipients if each.is_active]


async def test_global_deadline_stops_the_run_and_says_why(stage: Stage, unanswered: RunOrder):
    """A run whose form nobody answers is stopped at the global deadline, for everybody to see."""
    order = unanswered
    (form,) = await stage.ports.forms.by_run(order.run_id)
    record = await stage.until_status(order.run_id, "stopped", "failed")
    assert (record.status, record.error) == ("stopped", "Human input global timeout at node human")
    (closed,) = await stage.ports.forms.by_run(order.run_id)
    assert closed.status is FormStatus.EXPIRED
    assert closed.global_expires_at == form.created_at + GLOBAL_TIMEOUT_S
    assert closed.closed_at and closed.global_expires_at
    assert closed.closed_at >= closed.global_expires_at
    last = (await stage.facts(order.run_id))[-1]
    assert (last.status, last.error) == ("stopped", record.error)

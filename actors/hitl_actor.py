"""The actor that holds what waits for people: the only writer of forms.

It opens them, takes answers, keeps deadlines, and has the runs go on. In memory it has the deadlines of the next
minute and one lease; everything else is in the database, from which it begins again after a restart. Every method
may be called twice, and is durable when it returns. There may be several of these actors, each for a part of the forms
(``hitl_parts``).
"""

import asyncio
from collections.abc import Coroutine
from functools import cached_property
from typing import Any, get_args

import ray
import structlog
import uuid_utils

from actors.answers import Answers
from actors.background import Background, insist
from actors.calls import hint_courier, options
from actors.code_version import code_version
from actors.deadlines import Deadlines
from actors.errors import NoMailRecipientsError, NoMailServerError
from actors.form_metrics import STUCK_S, FormMetrics
from actors.form_opening import (
    delivery_test_form,
    needs_members,
    new_form,
    new_moments,
    new_recipients,
    token_rows,
)
from actors.hitl_parts import HitlPart
from actors.human_time import HumanTime
from actors.key_check import CheckedKey
from actors.leases import LeaseHolder
from actors.messages import ActOrder, DeliveryTestOrder, FormOrder, SubmitOrder
from actors.run_segment import WallClock
from actors.run_waker import LeasedWaker, RunWaker
from actors.settings import Settings
from actors.wiring import Ports
from graph.ports import OpenedForm
from hitl.deadline import next_deadline
from hitl.disposition import Disposition, dispositions
from hitl.errors import FormNotFoundError
from hitl.form import Form, FormKind
from hitl.form_state import decide_deadline
from hitl.recipient import Recipient
from hitl.surface import Surface
from store.form_record import first_mails
from store.forms import DUE_LIMIT, Resumable, Submitter, TokenRow
from store.outbox_record import DeliveryState

COUNT_S = 15.0
"""Between two counts of the open forms for the metrics: as often as they are usually read."""
FOREIGN_S = 30.0
"""What another HITL actor should have done is done here when it is so late."""


class HitlActor:
    """Opens, answers, ends and re-issues forms, and wakes the runs that wait for them."""

    def __init__(
        self, plain_settings: str, number: int = 0, ports: Ports | None = None, waker: RunWaker | None = None
    ) -> None:
        """Prepare; does no I/O. Deadlines, reconciler and metrics run in tasks of their own, also after a restart.

        Args:
            plain_settings: ``Settings.plain``.
            number: which of the HITL actors that the settings ask for, from 0.
            ports: None: of its own. Given where everything is in one process.
            waker: wakes the runs; None: on run actors that the supervisor leases.
        """
        self._settings = settings = Settings.from_plain(plain_settings)
        self._part = HitlPart(number, settings.hitl_actors)
        self._clock = WallClock()
        self._ports = ports or Ports(settings)
        self._metrics = FormMetrics(self._part.actor)
        self._waker = waker or LeasedWaker(
            LeaseHolder(self._part.actor, settings.lease_ttl_s, settings.queue_limit, continues=True)
        )
        self._deadlines = Deadlines(self._due, self._fire, self._clock)
        self._key = CheckedKey(self._ports)
        ports = self._ports
        self._human_time = HumanTime(
            ports.human_time,
            ports.forms,
            ports.accounts,
            self._key.get,
            self._clock,
            settings.claim_lifetime_s,
            _new_id,
        )
        self._background = Background()
        self._background.start(insist("deadlines", self._deadlines.run))
        self._background.start(insist("reconciler", self._reconcile))
        if number == 0:
            self._background.start(insist("metrics", self._count_open))

    async def open_form(self, order: FormOrder) -> OpenedForm:
        """Open the form of a node execution, with its recipients and the hashes of their tokens.

        The same execution gives the same form again. Durable on return; a crash before leaves nothing.

        Raises:
            KeyMismatchError: the secrets file is not the one this database was used with.
            UnavailableError: the store is away.
        """
        return await self._whole(self._open(order))

    async def test_delivery(self, order: DeliveryTestOrder) -> str:
        """Open a form that no run waits for, which sends the mails of the tried method; return its id.

        The same execution id gives the same form again. Durable on return; a crash before leaves nothing.

        Raises:
            NotMailMethodError: the node has no such e-mail method.
            NoMailRecipientsError: the method reaches nobody.
            NoMailServerError: no mail server is configured.
            UnavailableError: the store is away.
        """
        if not self._settings.smtp_url:
            raise NoMailServerError()
        opened = await self._whole(self._open(delivery_test_form(order), "delivery_test"))
        return opened.form_id

    async def submit(self, order: SubmitOrder) -> bool:
        """Check an answer and store it; if it decides, close the form for everybody and wake the run.

        Returns whether the form is decided; a vote may leave it open. On return the answer is durable, and in the
        run's inbox if it decides. A crash before the commit leaves the form as it was; after it the reconciler wakes
        the run. Called twice, the second call meets an answered form, unless it says that it repeats the first.

        Raises:
            GreenroomError: as ``Answers.take``.
        """
        return await self._whole(self._submit(order))

    async def viewed(self, form_id: str, by: Submitter, at: float | None = None) -> None:
        """Note in the audit that an account that has logged in has read a form, now or at a time that is past.

        Only the first call for each account is noted, so it may be called often. Durable on return.

        Raises:
            FormNotFoundError: there is no such form.
            UnavailableError: the store is away.
        """
        now = self._clock.now()
        await self._whole(self._ports.decisions.view(form_id, by, now if at is None else min(at, now)))

    async def act(self, order: ActOrder) -> None:
        """Carry out what an account wants with a form: claim, release, reassign, delegate or snooze.

        Durable on return, with its audit entry and mails. Called twice with the same order it is done once; a crash
        before the commit leaves nothing.

        Raises:
            FormNotFoundError: no such form, or the account is no member of its workspace.
            FormAlreadySubmittedError: the form has its answer.
            FormExpiredError: a deadline has passed, or the run has ended.
            FormClaimedError: another account has claimed the form.
            NotAnApproverError: only named approvers can claim it, and this account is none of them.
            TransferRefusedError: the form's rules forbid it, or it is not this account's to give away.
            PersonNotFoundError: an address that no account of the workspace has.
            KeyMismatchError: as ``open_form``.
            UnavailableError: the store is away.
        """
        await self._whole(self._act(order))

    async def stop(self, run_id: str, reason: str) -> None:
        """Stop a run: durable on return, taken up by the run or, if it is paused, by an actor that ends it.

        A run that has ended stays as it is. A crash after the commit leaves the rest to the reconciler.

        Raises:
            RunNotFoundError: there is no such run.
            UnavailableError: the store is away.
        """
        await self._whole(self._stop(run_id, reason))

    async def run_ended(self, run_id: str) -> None:
        """Expire the forms of a run that ended while they waited; does nothing to the forms of a living run."""
        await self._whole(self._ports.forms.close_run(run_id, self._clock.now()))

    async def revoke(self, form_id: str, recipient_id: str, by: Submitter | None = None) -> None:
        """Make every token of a recipient worthless; durable on return.

        Raises:
            FormNotFoundError: the form has no such recipient.
            UnavailableError: the store is away.
        """
        await self._whole(self._revoke(form_id, recipient_id, by or Submitter()))

    async def reissue(
        self, form_id: str, recipient_id: str, by: Submitter | None = None, operation_id: str = ""
    ) -> None:
        """Make the present tokens of a recipient worthless and give it those of the next generation.

        Durable on return. Called twice with the same ``operation_id`` it does so once; without one, twice.

        Raises:
            FormNotFoundError: the form has no such recipient.
            UnavailableError: the store is away.
        """
        await self._whole(self._reissue(form_id, recipient_id, by or Submitter(), operation_id))

    async def disposition(self, form_id: str, surface: Surface) -> Disposition:
        """Return what a form looks like from ``surface``; changes nothing.

        Raises:
            FormNotFoundError: there is no such form.
            KeyMismatchError: as ``open_form``.
            UnavailableError: the store is away.
        """
        await self._form(form_id)
        recipients = await self._ports.forms.recipients([form_id])
        return dispositions(recipients, surface, await self._key.get()).get(form_id, Disposition())

    @cached_property
    def _answers(self) -> Answers:
        return Answers(self._ports.forms, self._ports.decisions, self._ports.accounts, self._clock)

    async def version(self) -> str:
        """Return the version of the code that runs here."""
        return code_version()

    async def part(self) -> HitlPart:
        """Return the part of the forms that is kept here."""
        return self._part

    async def close(self) -> None:
        """End the tasks, where everything is in one process; an actor is ended with its process."""
        await self._background.close()

    async def _open(self, order: FormOrder, kind: FormKind = "runtime") -> OpenedForm:
        structlog.contextvars.bind_contextvars(run_id=order.request.run_id)
        key = await self._key.get()
        form = new_form(order, self._clock.now(), self._settings.human_input_global_timeout_s, _new_id, kind)
        members = await self._ports.accounts.members(order.workspace_id) if needs_members(order.request) else []
        recipients = new_recipients(order, form.form_id, members, _new_id, kind)
        if kind == "delivery_test" and not recipients:
            raise NoMailRecipientsError()
        tokens: list[TokenRow] = [row for each in recipients for row in token_rows(form, each, key)]
        moments = new_moments(order, form)
        stored = await self._ports.forms.open(form, recipients, tokens, moments)
        if self._part.holds(stored.form_id):
            due_at = next_deadline(stored.expires_at, stored.global_expires_at)
            self._deadlines.add(stored.form_id, moments[0].at if moments else due_at)
        if any(first_mails(stored, recipients)):
            hint_courier()
        return OpenedForm(stored.form_id, stored.expires_at, stored.definition.display_in_ui)

    async def _submit(self, order: SubmitOrder) -> bool:
        structlog.contextvars.bind_contextvars(form_id=order.form_id)
        taken = await self._answers.take(order)
        if taken.run is not None:
            self._waker.wake(taken.run)
        if taken.is_announced:
            hint_courier()
        if taken.waited_s is not None:
            self._metrics.count_answer(order.via, taken.waited_s)
        return taken.is_decided

    async def _stop(self, run_id: str, reason: str) -> None:
        structlog.contextvars.bind_contextvars(run_id=run_id)
        record = await self._ports.journal.request_stop(run_id, reason, self._clock.now())
        self._waker.wake(Resumable(run_id, record.status, record.actor))

    async def _revoke(self, form_id: str, recipient_id: str, by: Submitter) -> None:
        await self._recipient(form_id, recipient_id)
        await self._ports.forms.revoke(recipient_id, self._clock.now(), by)

    async def _act(self, order: ActOrder) -> None:
        await self._human_time.act(order)
        hint_courier()

    async def _reissue(self, form_id: str, recipient_id: str, by: Submitter, operation_id: str) -> None:
        form, recipient = await self._form(form_id), await self._recipient(form_id, recipient_id)
        following = Recipient(
            recipient_id, form_id, recipient.type, recipient.state, recipient.generation + 1, recipient.payload
        )
        tokens = token_rows(form, following, await self._key.get())
        await self._ports.forms.reissue(recipient_id, tokens, self._clock.now(), by, operation_id)
        if recipient.payload.get("email"):
            hint_courier()

    async def _form(self, form_id: str) -> Form:
        form = await self._ports.forms.get(form_id)
        if form is None:
            raise FormNotFoundError()
        return form

    async def _recipient(self, form_id: str, recipient_id: str) -> Recipient:
        recipients = (await self._ports.forms.recipients([form_id])).get(form_id, [])
        for recipient in recipients:
            if recipient.recipient_id == recipient_id:
                return recipient
        raise FormNotFoundError()

    async def _due(self, until: float) -> list[tuple[str, float]]:
        """Return what is due of this part, and what is so late that whoever has it seems to be away."""
        limit = DUE_LIMIT * self._part.count
        rows = [*await self._ports.forms.due(until, limit), *await self._ports.human_time.due(until, limit)]
        late = self._clock.now() - FOREIGN_S
        found = [(form_id, due_at) for form_id, due_at in rows if due_at < late or self._part.holds(form_id)]
        return sorted(found, key=lambda each: each[1])

    async def _fire(self, form_id: str) -> None:
        """End a form if one of its deadlines has passed, and wake its run; else remind and escalate, if it is time."""
        form = await self._ports.forms.get(form_id)
        now = self._clock.now()
        outcome = decide_deadline(form, now) if form is not None else None
        if form is None or outcome is None:
            await self._human_time.fire(form_id, form)
            hint_courier()
            return
        reason = f"Human input global timeout at node {form.node_id}" if outcome == "expired" else ""
        run = await self._ports.forms.close(form_id, outcome, now, reason)
        if run is not None:
            self._waker.wake(run)
        if form.definition.webhooks:
            hint_courier()
        if run is not None:
            self._metrics.count_deadline(outcome)

    async def _reconcile(self) -> None:
        """Wake every run whose inbox items nobody has taken up, at start and every few seconds.

        A net only: whoever stores an item wakes the run. The first look is for all parts, because what this actor
        stored before a crash belongs to any. Forms that a failing container cut off are expired at the same time.
        """
        self._waker.warm_up()
        is_first = True
        while True:
            now, stuck_count = self._clock.now(), 0
            await self._ports.human_time.expire_cut(now)
            for run_id, status, actor, since in await self._ports.journal.untaken():
                is_ours = self._part.holds(run_id)
                stuck_count += is_ours and since < now - STUCK_S
                if is_ours or is_first or since < now - FOREIGN_S:
                    self._waker.wake(Resumable(run_id, status, actor))
            self._metrics.show_not_resumed(stuck_count)
            is_first = False
            await asyncio.sleep(self._settings.hitl_reconcile_s)

    async def _count_open(self) -> None:
        while True:
            self._metrics.show_open(await self._ports.forms.waiting_count())
            counts = await self._ports.outbox.counts()
            self._metrics.show_mails({state: counts.get(("mail", state), 0) for state in get_args(DeliveryState)})
            await asyncio.sleep(COUNT_S)

    async def _whole(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Await ``work`` so that a cancelled caller cannot tear commit and wake-up apart."""
        return await asyncio.shield(self._background.start(work))


def _new_id() -> str:
    return str(uuid_utils.uuid7())


def make_hitl_actor(settings: Settings, part: HitlPart) -> ray.actor.ActorHandle:
    """Create the HITL actor of ``part``, or return it if it exists."""
    actor_options = options(part.actor, restarts=True, num_cpus=settings.actor_cpus)
    return ray.remote(HitlActor).options(**actor_options).remote(settings.plain, part.number)

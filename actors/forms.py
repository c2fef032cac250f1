"""The way to the HITL actors: for run actors, which open forms, and for surfaces, which submit answers."""

from dataclasses import replace
from typing import Any

import uuid_utils

from actors.calls import ask
from actors.errors import ActorAwayError
from actors.hitl_parts import hitl_actor_of
from actors.messages import ActOrder, DeliveryTestOrder, FormOrder, SubmitOrder
from actors.readings import Readings
from graph.ports import OpenedForm
from hitl.disposition import Disposition
from hitl.surface import Surface
from store.form_record import Submitter

OPEN_PATIENCE_S = 120.0
"""How long a run waits for the HITL actor to open a form; then the node fails."""


class FormsClient:
    """Calls the HITL actor that a form or run belongs to. Every call may be repeated, so each outlasts a restart."""

    def __init__(self, actor_count: int = 1) -> None:
        """Prepare.

        Args:
            actor_count: how many HITL actors there are, ``Settings.hitl_actors``.
        """
        self._actor_count = actor_count
        self._readings = Readings(self._note)

    async def open_form(self, order: FormOrder) -> OpenedForm:
        """Open the form of one node execution; durable on return.

        The form gets an id that belongs to the actor that is asked, unless the execution has its form already.

        Raises:
            ActorAwayError: the HITL actor is away for longer than two minutes.
            UnavailableError: the store is away.
        """
        form_id = order.form_id or str(uuid_utils.uuid7())
        order = replace(order, form_id=form_id)
        return await self._ask(form_id, "open_form", order, patience_s=OPEN_PATIENCE_S)

    async def test_delivery(self, order: DeliveryTestOrder) -> str:
        """Send the mails of one delivery method with a form that no run waits for; return the form's id.

        On return form and mails are durable; how the mails fare is in the outbox (``deliveries`` of the form).

        Raises:
            NotMailMethodError: the node has no such e-mail method.
            NoMailRecipientsError: the method reaches nobody.
            NoMailServerError: no mail server is configured.
            UnavailableError: the store is away.
        """
        return await self._ask(order.request.execution_id, "test_delivery", order)

    async def submit(self, order: SubmitOrder) -> bool:
        """Answer a form; on return the answer is durable, and if the form is decided its run will take it up.

        Returns:
            Whether the form is decided; False for a vote that leaves it open.

        Raises:
            FormNotFoundError: there is no such form, or the recipient is revoked or has newer tokens.
            FormAlreadySubmittedError: the form has its answer.
            FormExpiredError: a deadline has passed or the run has ended.
            FormChangedError: the answer was given to another content.
            InvalidSubmissionError: the answer does not fit; the form stays open.
            NotAnApproverError, SelfApprovalError, AlreadyVotedError: this vote does not count.
            IdempotencyKeyReusedError: the key came with another answer before.
            FormClaimedError: an account answers, and another one has claimed the form.
            UnavailableError: it could not be stored now.
        """
        try:
            return await self._ask(order.form_id, "submit", order, patience_s=0.0)
        except ActorAwayError:
            return await self._ask(order.form_id, "submit", replace(order, is_repeated=True))

    async def viewed(self, form_id: str, by: Submitter) -> None:
        """Note in the audit that an account that has logged in has read a form, once for each account.

        Durable on return, or soon after where the HITL actor is away for longer than a moment (``Readings``).

        Raises:
            FormNotFoundError: there is no such form.
            ReadingsFullError: it is away, and too many readings wait for it.
        """
        await self._readings.add(form_id, by)

    async def act(self, order: ActOrder) -> None:
        """Claim, release, reassign, delegate or snooze a form; durable on return.

        Raises:
            FormNotFoundError: there is no such form, or the account is no member of its workspace.
            FormAlreadySubmittedError: the form has its answer.
            FormExpiredError: a deadline has passed or the run has ended.
            FormClaimedError: another account has claimed the form.
            NotAnApproverError: only named approvers can claim it, and this account is none of them.
            TransferRefusedError: the form's rules forbid it, or it is not this account's to give away.
            PersonNotFoundError: no account of the workspace has the address.
            UnavailableError: it could not be stored now.
        """
        await self._ask(order.form_id, "act", order)

    async def stop(self, run_id: str, reason: str) -> None:
        """Stop a run; on return the request is durable.

        Raises:
            RunNotFoundError: there is no such run.
            UnavailableError: it could not be stored now.
        """
        await self._ask(run_id, "stop", run_id, reason)

    async def disposition(self, form_id: str, surface: Surface) -> Disposition:
        """Return what a form looks like from ``surface``, with the form token that works there.

        Raises:
            FormNotFoundError: there is no such form.
        """
        return await self._ask(form_id, "disposition", form_id, surface)

    async def revoke(self, form_id: str, recipient_id: str) -> None:
        """Make every token of a recipient worthless; durable on return.

        Raises:
            FormNotFoundError: the form has no such recipient.
        """
        await self._ask(form_id, "revoke", form_id, recipient_id)

    async def reissue(self, form_id: str, recipient_id: str) -> None:
        """Make the present tokens of a recipient worthless and give it new ones, once; durable on return.

        Raises:
            FormNotFoundError: the form has no such recipient.
        """
        await self._ask(form_id, "reissue", form_id, recipient_id, None, str(uuid_utils.uuid7()))

    async def _note(self, form_id: str, by: Submitter, at: float | None) -> None:
        when = () if at is None else (at,)
        await self._ask(form_id, "viewed", form_id, by, *when, patience_s=0.0)

    async def _ask(self, key: str, method: str, *args: Any, **options: Any) -> Any:
        return await ask(hitl_actor_of(key, self._actor_count), method, *args, **options)

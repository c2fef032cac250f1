"""The way to the HITL actor: for run actors, which open forms, and for surfaces, which submit answers."""

from dataclasses import replace

from actors.calls import HITL_ACTOR, ask
from actors.errors import ActorAwayError
from actors.messages import DeliveryTestOrder, FormOrder, SubmitOrder
from graph.ports import OpenedForm
from hitl.disposition import Disposition
from hitl.surface import Surface

OPEN_PATIENCE_S = 120.0
"""How long a run waits for the HITL actor to open a form; then the node fails."""


class FormsClient:
    """Calls the HITL actor. Every call may be repeated, so each outlasts a restart of that actor."""

    async def open_form(self, order: FormOrder) -> OpenedForm:
        """Open the form of one node execution; durable on return.

        Raises:
            ActorAwayError: the HITL actor is away for longer than two minutes.
            UnavailableError: the store is away.
        """
        return await ask(HITL_ACTOR, "open_form", order, patience_s=OPEN_PATIENCE_S)

    async def test_delivery(self, order: DeliveryTestOrder) -> str:
        """Send the mails of one delivery method with a form that no run waits for; return the form's id.

        On return form and mails are durable; how the mails fare is in the outbox (``deliveries`` of the form).

        Raises:
            NotMailMethodError: the node has no such e-mail method.
            NoMailRecipientsError: the method reaches nobody.
            NoMailServerError: no mail server is configured.
            UnavailableError: the store is away.
        """
        return await ask(HITL_ACTOR, "test_delivery", order)

    async def submit(self, order: SubmitOrder) -> None:
        """Answer a form; on return the answer is durable and its run will take it up.

        Raises:
            FormNotFoundError: there is no such form, or the recipient is revoked or has newer tokens.
            FormAlreadySubmittedError: the form has its answer.
            FormExpiredError: a deadline has passed or the run has ended.
            InvalidSubmissionError: the answer does not fit; the form stays open.
            UnavailableError: it could not be stored now.
        """
        try:
            await ask(HITL_ACTOR, "submit", order, patience_s=0.0)
        except ActorAwayError:
            await ask(HITL_ACTOR, "submit", replace(order, is_repeated=True))

    async def stop(self, run_id: str, reason: str) -> None:
        """Stop a run; on return the request is durable.

        Raises:
            RunNotFoundError: there is no such run.
            UnavailableError: it could not be stored now.
        """
        await ask(HITL_ACTOR, "stop", run_id, reason)

    async def disposition(self, form_id: str, surface: Surface) -> Disposition:
        """Return what a form looks like from ``surface``, with the form token that works there.

        Raises:
            FormNotFoundError: there is no such form.
        """
        return await ask(HITL_ACTOR, "disposition", form_id, surface)

    async def revoke(self, form_id: str, recipient_id: str) -> None:
        """Make every token of a recipient worthless; durable on return.

        Raises:
            FormNotFoundError: the form has no such recipient.
        """
        await ask(HITL_ACTOR, "revoke", form_id, recipient_id)

    async def reissue(self, form_id: str, recipient_id: str) -> None:
        """Make the present tokens of a recipient worthless and give it new ones; durable on return.

        Raises:
            FormNotFoundError: the form has no such recipient.
        """
        await ask(HITL_ACTOR, "reissue", form_id, recipient_id)

"""The way to the HITL actors: for run actors, which open forms, and for surfaces, which submit answers."""

from dataclasses import replace
from typing import Any

import uuid_utils

from actors.calls import ask
from actors.errors import ActorAwayError
from actors.hitl_parts import hitl_actor_of
from actors.messages import FormOrder, SubmitOrder
from graph.ports import OpenedForm
from hitl.disposition import Disposition
from hitl.surface import Surface

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
            await self._ask(order.form_id, "submit", order, patience_s=0.0)
        except ActorAwayError:
            await self._ask(order.form_id, "submit", replace(order, is_repeated=True))

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

    async def _ask(self, key: str, method: str, *args: Any, **options: Any) -> Any:
        return await ask(hitl_actor_of(key, self._actor_count), method, *args, **options)

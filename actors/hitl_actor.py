"""The actor that holds what waits for people: the only writer of forms.

It opens them, takes answers, keeps deadlines, and has the runs go on. In memory it has the deadlines of the next
minute and one lease; everything else is in the database, from which it begins again after a restart. Every method
may be called twice.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import ray
import structlog
import uuid_utils

from actors.background import Background
from actors.calls import HITL_ACTOR, options
from actors.code_version import code_version
from actors.deadlines import Deadlines
from actors.form_opening import needs_members, new_form, new_recipients, token_rows
from actors.key_check import check_key
from actors.leases import LeaseHolder
from actors.messages import FormOrder, SubmitOrder
from actors.run_segment import WallClock
from actors.run_waker import RunWaker
from actors.settings import Settings
from actors.wiring import Ports
from graph.errors import GreenroomError
from graph.ports import OpenedForm
from hitl.deadline import next_deadline
from hitl.disposition import Disposition, dispositions
from hitl.errors import FormAlreadySubmittedError, FormNotFoundError
from hitl.form import Form
from hitl.form_state import check_open, decide_deadline
from hitl.form_token import TokenKey
from hitl.recipient import Recipient
from hitl.submission import Submission, validate_submission
from hitl.surface import Surface
from store.forms import Resumable, Submitter, TokenRow

_log = structlog.get_logger()

RECONCILE_S = 5.0
"""Between two looks for inbox items that no run has taken up."""


class HitlActor:
    """Opens, answers, ends and re-issues forms, and wakes the runs that wait for them."""

    def __init__(self, plain_settings: str) -> None:
        """Prepare; does no I/O. Deadlines and reconciler run in tasks of their own, also after a restart.

        Args:
            plain_settings: ``Settings.plain``.
        """
        self._settings = settings = Settings.from_plain(plain_settings)
        self._clock = WallClock()
        self._ports = Ports(settings)
        self._leases = LeaseHolder(HITL_ACTOR, settings.lease_ttl_s, settings.queue_limit, continues=True)
        self._waker = RunWaker(self._leases)
        self._deadlines = Deadlines(self._due, self._expire, self._clock)
        self._key: TokenKey | None = None
        self._background = Background()
        self._background.start(self._insist("deadlines", self._deadlines.run))
        self._background.start(self._insist("reconciler", self._reconcile))

    async def open_form(self, order: FormOrder) -> OpenedForm:
        """Open the form of a node execution, with its recipients and the hashes of their tokens.

        The same execution gives the same form again. Durable on return; a crash before leaves nothing.

        Raises:
            KeyMismatchError: the secrets file is not the one this database was used with.
            UnavailableError: the store is away.
        """
        return await self._whole(self._open(order))

    async def submit(self, order: SubmitOrder) -> None:
        """Check an answer, store it, close the form for everybody, and wake the run.

        On return the answer is durable and in the run's inbox. A crash before the commit leaves the form open; after
        it the reconciler wakes the run. Called twice, the second call meets an answered form, unless it says that
        it repeats the first.

        Raises:
            FormNotFoundError: no such form, or the recipient is revoked or has newer tokens.
            FormAlreadySubmittedError: the form has its answer.
            FormExpiredError: a deadline has passed, or the run has ended.
            InvalidSubmissionError: the answer does not fit; the form stays open.
            UnavailableError: the store is away.
        """
        await self._whole(self._submit(order))

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

    async def reissue(self, form_id: str, recipient_id: str, by: Submitter | None = None) -> None:
        """Make the present tokens of a recipient worthless and give it those of the next generation.

        Durable on return. Called twice it does so twice.

        Raises:
            FormNotFoundError: the form has no such recipient.
            UnavailableError: the store is away.
        """
        await self._whole(self._reissue(form_id, recipient_id, by or Submitter()))

    async def disposition(self, form_id: str, surface: Surface) -> Disposition:
        """Return what a form looks like from ``surface``; changes nothing.

        Raises:
            FormNotFoundError: there is no such form.
            KeyMismatchError: as ``open_form``.
            UnavailableError: the store is away.
        """
        await self._form(form_id)
        recipients = await self._ports.forms.recipients([form_id])
        return dispositions(recipients, surface, await self._token_key()).get(form_id, Disposition())

    async def version(self) -> str:
        """Return the version of the code that runs here."""
        return code_version()

    async def _open(self, order: FormOrder) -> OpenedForm:
        structlog.contextvars.bind_contextvars(run_id=order.request.run_id)
        key = await self._token_key()
        form = new_form(order, self._clock.now(), self._settings.human_input_global_timeout_s, _new_id)
        is_by_mail = needs_members(order.request.delivery_methods)
        members = await self._ports.accounts.members(order.workspace_id) if is_by_mail else []
        recipients = new_recipients(order, form.form_id, members, _new_id)
        tokens: list[TokenRow] = [row for each in recipients for row in token_rows(form, each, key)]
        stored = await self._ports.forms.open(form, recipients, tokens)
        self._deadlines.add(stored.form_id, next_deadline(stored.expires_at, stored.global_expires_at))
        return OpenedForm(stored.form_id, stored.expires_at, stored.definition.display_in_ui)

    async def _submit(self, order: SubmitOrder) -> None:
        form = await self._form(order.form_id)
        structlog.contextvars.bind_contextvars(run_id=form.run_id, form_id=form.form_id)
        now = self._clock.now()
        submitter = Submitter(order.account_id, order.end_user_id, order.via)
        try:
            check_open(form, now)
            submission = validate_submission(form.definition, order.action, order.inputs, order.files)
            run = await self._ports.forms.submit(
                form.form_id, order.recipient_id, order.generation, submission, submitter, now
            )
        except FormAlreadySubmittedError:
            if order.is_repeated and await self._is_answer(form, order, submitter):
                return
            raise
        if run is not None:
            self._waker.wake(run)

    async def _is_answer(self, form: Form, order: SubmitOrder, submitter: Submitter) -> bool:
        """Whether the stored answer of ``form`` is what ``order`` says, given by the same person in the same way."""
        stored: Submission | None = await self._ports.forms.submission(form.form_id)
        entry = next((e for e in await self._ports.forms.audit(form.form_id) if e.event == "submitted"), None)
        if stored is None or entry is None:
            return False
        meant = validate_submission(form.definition, order.action, order.inputs, order.files)
        by = (entry.recipient_id, entry.account_id, entry.end_user_id, entry.via)
        return stored == meant and by == (
            order.recipient_id, submitter.account_id, submitter.end_user_id, submitter.via
        )  # fmt: skip

    async def _stop(self, run_id: str, reason: str) -> None:
        structlog.contextvars.bind_contextvars(run_id=run_id)
        record = await self._ports.journal.request_stop(run_id, reason, self._clock.now())
        self._waker.wake(Resumable(run_id, record.status, record.actor))

    async def _revoke(self, form_id: str, recipient_id: str, by: Submitter) -> None:
        await self._recipient(form_id, recipient_id)
        await self._ports.forms.revoke(recipient_id, self._clock.now(), by)

    async def _reissue(self, form_id: str, recipient_id: str, by: Submitter) -> None:
        form, recipient = await self._form(form_id), await self._recipient(form_id, recipient_id)
        following = Recipient(
            recipient_id, form_id, recipient.type, recipient.state, recipient.generation + 1, recipient.payload
        )
        tokens = token_rows(form, following, await self._token_key())
        await self._ports.forms.reissue(recipient_id, tokens, self._clock.now(), by)

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

    async def _token_key(self) -> TokenKey:
        """Return the token key, read and checked against the database at its first use."""
        if self._key is None:
            key = self._ports.secrets.token_key
            await check_key(key, self._ports.installation)
            self._key = key
        return self._key

    async def _due(self, until: float) -> list[tuple[str, float]]:
        return await self._ports.forms.due(until)

    async def _expire(self, form_id: str) -> None:
        """End a form if one of its deadlines has passed, and wake its run."""
        form = await self._ports.forms.get(form_id)
        now = self._clock.now()
        outcome = decide_deadline(form, now) if form is not None else None
        if form is None or outcome is None:
            return
        reason = f"Human input global timeout at node {form.node_id}" if outcome == "expired" else ""
        run = await self._ports.forms.close(form_id, outcome, now, reason)
        if run is not None:
            self._waker.wake(run)

    async def _reconcile(self) -> None:
        """Wake every run with inbox items that nobody has taken up, at start and every five seconds."""
        self._leases.hold()
        while True:
            for run_id, status, actor in await self._ports.journal.untaken():
                self._waker.wake(Resumable(run_id, status, actor))
            await asyncio.sleep(RECONCILE_S)

    async def _insist(self, what: str, work: Any) -> None:
        while True:
            try:
                await work()
            except GreenroomError as error:
                _log.warning("the store cannot be used", what=what, reason=str(error))
            except Exception:  # boundary: HITL loop  # noqa: BLE001
                _log.exception("a task of the HITL actor failed", what=what)
            await asyncio.sleep(1.0)

    async def _whole(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Await ``work`` so that a cancelled caller cannot tear commit and wake-up apart."""
        return await asyncio.shield(self._background.start(work))


def _new_id() -> str:
    return str(uuid_utils.uuid7())


def make_hitl_actor(settings: Settings) -> ray.actor.ActorHandle:
    """Create the HITL actor, or return it if it exists."""
    actor_options = options(HITL_ACTOR, restarts=True, num_cpus=settings.actor_cpus)
    return ray.remote(HitlActor).options(**actor_options).remote(settings.plain)

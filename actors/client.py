"""Greenroom from Python: start runs, follow and stop them, answer their forms.

Calls that take a while return Ray handles::

    greenroom = Greenroom.connect()
    run = greenroom.start("Approval", {"topic": "tea"})
    for event in run.events():
        print(event["event"])
    outcome = ray.get(run.outcome)
    if outcome.status == "paused":
        greenroom.submit(outcome.forms[0].form_id, "approve", {"comment": "fine"})

It acts for the account that the settings name, as the console does: forms are answered by their id, never by a
token, and the audit says ``python``.
"""

import re
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import fields
from typing import Any, Self

import ray

from actors.answer_files import with_remote_files
from actors.calls import NAMESPACE, SUPERVISOR, find, hint_courier
from actors.form_opening import may_answer_by_id
from actors.inbox_client import InboxClient
from actors.loop_thread import LoopThread
from actors.messages import Cursor, RunOrder, RunOutcome, SubmitOrder, TailBatch, order_run
from actors.run_order import Starter, new_run
from actors.runs import Runs
from actors.settings import Settings
from actors.start_actors import start_actors
from actors.wiring import Ports
from graph.events import Fact, TextPart
from graph.start_form import check_inputs
from hitl.disposition import Disposition
from hitl.errors import FormNotFoundError
from hitl.form import Form
from hitl.surface import Surface
from store.errors import AppNotFoundError
from store.form_record import Submitter
from store.outbox import Delivery

INVOKE_SOURCE = "python"
VIA = "python"
STOPPED = "Stopped by user."

Event = dict[str, Any]


class RunHandle:
    """A run that was started from here. Dropping it changes nothing for the run."""

    def __init__(self, greenroom: "Greenroom", run_id: str, outcome: "ray.ObjectRef[RunOutcome]") -> None:
        self.run_id = run_id
        self.outcome = outcome
        """Ray handle: ``ray.get`` gives the RunOutcome when the run has finished or paused for the first time."""
        self._greenroom = greenroom

    def __repr__(self) -> str:
        return f"RunHandle({self.run_id})"

    def events(self, *, through_pauses: bool = False) -> Iterator[Event]:
        """Yield what happens, from the beginning to the end or the next pause; see ``Greenroom.events``."""
        return self._greenroom.events(self.run_id, through_pauses=through_pauses)

    def stop(self) -> None:
        """Stop the run; durable on return."""
        self._greenroom.stop(self.run_id)


class Greenroom:
    """A connection to a Greenroom. Lives as long as the program, or until ``close``; threads may share it."""

    def __init__(self, settings: Settings, loop: LoopThread, ports: Ports, runs: Runs) -> None:
        self._settings = settings
        self._loop = loop
        self._ports = ports
        self._runs = runs
        self.inbox = InboxClient(loop, ports, self._whose)
        """The forms that the account is asked to answer, and what it can do with them."""

    @classmethod
    def connect(cls, address: str | None = None, settings: Settings | None = None) -> Self:
        """Return a connection; the actors are started if they are not there.

        Args:
            address: of the Ray cluster, as ``ray.init`` takes it; None: the one this process is connected to, else
                the one of this machine.
            settings: None: those of the environment. They must name the database of that cluster's Greenroom.

        Raises:
            ActorAwayError: the actors do not come up.
        """
        if not ray.is_initialized():
            ray.init(address=address or "auto", namespace=NAMESPACE, log_to_driver=False)
        settings = settings or Settings()
        loop = LoopThread("greenroom")
        loop.call(start_actors(settings))
        ports = Ports(settings)
        return cls(settings, loop, ports, loop.call(_open_runs(ports)))

    def __repr__(self) -> str:
        return f"Greenroom({self._settings.account_email})"

    def close(self) -> None:
        """End the connection; runs go on. May be repeated."""
        self._loop.close()

    def start(
        self, app: str, inputs: Mapping[str, Any] | None = None, *, user: str = "", traceparent: str | None = None
    ) -> RunHandle:
        """Start a run of an app's published workflow; returns at once, the run waits for an actor if it has to.

        Args:
            app: name or id of the app.
            inputs: start inputs, name -> value.
            user: on whose behalf, as ``sys.user_id``; default: the account.
            traceparent: the trace that the run joins (W3C Trace Context); None: one of its own.

        Raises:
            AppNotFoundError: there is no such app, or nothing of it is published.
            InvalidInputError: an input does not fit the start form.
            InvalidWorkflowError: the workflow cannot run.
        """
        order = self._loop.call(self._order(app, inputs or {}, user, traceparent))
        outcome = find(SUPERVISOR).run.options(name=f"start {order.run_id}").remote(order)
        return RunHandle(self, order.run_id, outcome)

    def run(self, run_id: str) -> RunHandle:
        """Return a handle of any run by its id; its ``outcome`` is there when the run does not execute any more."""
        return RunHandle(self, run_id, find(SUPERVISOR).outcome.remote(run_id))

    def events(self, run_id: str, after: int = 0, *, through_pauses: bool = False) -> Iterator[Event]:
        """Yield what happens to a run, from the fact after number ``after`` to its end or next pause.

        Each event is a mapping: ``event`` (``run_started``, ``node_started``, ``text_part``, ``run_paused`` …),
        ``number`` of the fact (not for ``text_part``), and the fields of that kind of fact. ``told`` of a
        ``text_emitted`` is how many of its characters came as ``text_part`` before.

        Args:
            run_id: the run; it may not have begun yet.
            after: number of the last fact that is known.
            through_pauses: go on when the run pauses, until it ends.
        """
        followed = self._follow(run_id, after, through_pauses)
        return (event for batch in self._loop.iterate(followed) for event in _events_of(batch))

    def form(self, form_id: str) -> Form:
        """Return a form as it stands; the audit says that the configured account has read it.

        Raises:
            FormNotFoundError: no such form in the account's workspace, or it cannot be answered in the console.
        """
        return self._loop.call(self._read(form_id))

    def submit(
        self, form_id: str, action: str, inputs: Mapping[str, Any] | None = None, *, form_digest: str | None = None
    ) -> bool:
        """Answer a form as the configured account; on return the answer is durable, and a decided run goes on.

        Where the form needs approvers the answer is the account's vote.

        Args:
            form_id: the form.
            action: id of the chosen action.
            inputs: input name -> value.
            form_digest: of the form as it was read (``hitl.digest.form_digest``); None: for whatever it asks.

        Returns:
            Whether the form is decided; False for a vote that leaves it open.

        Raises:
            FormNotFoundError: no such form in the account's workspace, or it cannot be answered in the console.
            GreenroomError: the others of ``FormsClient.submit``.
        """
        return self._loop.call(self._submit(form_id, action, dict(inputs or {}), form_digest))

    def stop(self, run_id: str) -> None:
        """Stop a run, executing or paused; durable on return. A run that has ended stays as it is.

        Raises:
            RunNotFoundError: there is no such run, or it still waits for its first actor.
        """
        self._loop.call(self._runs.stop(run_id, STOPPED))

    def disposition(self, form_id: str, surface: Surface | str) -> Disposition:
        """Return what a form looks like from ``surface``: the form token that works there, and other channels.

        Raises:
            FormNotFoundError: there is no such form.
        """
        return self._loop.call(self._ports.forms_client.disposition(form_id, Surface(surface)))

    def deliveries(self, form_id: str) -> list[Delivery]:
        """Return how the mails and events of a form fare: pending, sent, failed or dropped, and why.

        Raises:
            FormNotFoundError: no such form in the account's workspace.
        """
        return self._loop.call(self._deliveries(form_id))

    def resend(self, form_id: str) -> int:
        """Have the failed mails and events of a form tried again; return how many. Durable on return.

        Raises:
            FormNotFoundError: no such form in the account's workspace.
        """
        return self._loop.call(self._resend(form_id))

    async def _order(self, app: str, inputs: Mapping[str, Any], user: str, traceparent: str | None) -> RunOrder:
        ports = self._ports
        record = await ports.apps.find_app(app)
        version = await ports.apps.published(record.app_id)
        if version is None:
            raise AppNotFoundError(app)
        plan = await ports.plans.plan(version.version_id)
        account_id = await self._account_id(record.workspace_id)
        starter = Starter("account", account_id, user or self._settings.account_email, INVOKE_SOURCE)
        checked = check_inputs(plan.start_form, dict(inputs))
        return order_run(new_run(record, version.version_id, starter, checked, time.time(), traceparent))

    async def _account_id(self, workspace_id: str) -> str:
        settings = self._settings
        account = await self._ports.accounts.ensure_account(
            settings.account_email, settings.account_name, workspace_id, role="owner"
        )
        return account.account_id

    async def _whose(self) -> tuple[str, str]:
        workspace = await self._ports.accounts.ensure_workspace(self._settings.workspace_name)
        return workspace.workspace_id, await self._account_id(workspace.workspace_id)

    async def _read(self, form_id: str) -> Form:
        form = await self._answerable(form_id)
        account_id = await self._account_id(form.workspace_id)
        await self._ports.forms_client.viewed(form_id, Submitter(account_id, via=VIA))
        return form

    async def _submit(self, form_id: str, action: str, inputs: dict[str, Any], form_digest: str | None) -> bool:
        form = await self._answerable(form_id)
        account_id = await self._account_id(form.workspace_id)
        order = SubmitOrder(form_id, None, 0, action, inputs, VIA, account_id, form_digest=form_digest)
        blocked = self._settings.blocked_extensions
        order = await with_remote_files(form, order, self._ports.remote_files, time.time(), blocked)
        return await self._ports.forms_client.submit(order)

    async def _form(self, form_id: str) -> Form:
        form = await self._ports.forms.get(form_id)
        workspace = await self._ports.accounts.ensure_workspace(self._settings.workspace_name)
        if form is None or form.workspace_id != workspace.workspace_id:
            raise FormNotFoundError()
        return form

    async def _deliveries(self, form_id: str) -> list[Delivery]:
        await self._form(form_id)
        return await self._ports.outbox.deliveries(form_id)

    async def _resend(self, form_id: str) -> int:
        await self._form(form_id)
        count = await self._ports.outbox.resend(form_id, time.time())
        hint_courier()
        return count

    async def _answerable(self, form_id: str) -> Form:
        form = await self._form(form_id)
        recipients = (await self._ports.forms.recipients([form_id])).get(form_id, [])
        if not may_answer_by_id(recipients):
            raise FormNotFoundError()
        return form

    async def _follow(self, run_id: str, after: int, through_pauses: bool) -> AsyncGenerator[TailBatch]:
        # A run that was just started has no row before an actor takes it.
        while await self._ports.journal.get(run_id) is None:
            await self._runs.hints.wait(run_id, 0)
        async for batch in self._runs.follow(run_id, Cursor(after), until_pause=not through_pauses):
            yield batch


async def _open_runs(ports: Ports) -> Runs:
    """Make the runs on the loop that will use them."""
    return ports.runs


def _events_of(batch: TailBatch) -> Iterator[Event]:
    for number, fact in batch.facts:
        event = _event(fact)
        event["number"] = number
        if number in batch.told:
            event["told"] = batch.told[number]
        yield event
    for part in batch.parts:
        yield _event(part)


def _event(told: Fact | TextPart) -> Event:
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(told).__name__).lower()
    return {"event": name} | {field.name: getattr(told, field.name) for field in fields(told)}

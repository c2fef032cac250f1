"""Inboxes from Python: what accounts are asked, and what they do with it besides answering.

It acts for the account that the settings name, like the rest of the client; the audit says ``python``.
"""

import time
from collections.abc import Awaitable, Callable

from actors.loop_thread import LoopThread
from actors.messages import ActOrder, ClaimOrder, DelegateOrder, ReassignOrder, ReleaseOrder, SnoozeOrder
from actors.wiring import Ports
from hitl.form import FormStatus
from store.inbox_record import InboxFilter, InboxPage, InboxQuery

VIA = "python"


class InboxClient:
    """The inbox of one account in one workspace; ``Greenroom.inbox``."""

    def __init__(self, loop: LoopThread, ports: Ports, whose: Callable[[], Awaitable[tuple[str, str]]]) -> None:
        """Prepare; nothing is looked up yet.

        Args:
            loop: where calls run.
            ports: to read from, and the way to the HITL actors.
            whose: gives workspace id and account id.
        """
        self._loop = loop
        self._ports = ports
        self._whose = whose

    def page(
        self,
        filter: InboxFilter = "mine",
        *,
        app_id: str | None = None,
        status: FormStatus | str | None = FormStatus.WAITING,
        text: str | None = None,
        before: str | None = None,
        with_snoozed: bool = False,
        limit: int = 50,
    ) -> InboxPage:
        """Return a page of the inbox, the newest form first; see ``store.inbox_record.InboxQuery``."""

        async def read() -> InboxPage:
            workspace_id, account_id = await self._whose()
            wanted = None if status is None else FormStatus(status)
            query = InboxQuery(
                workspace_id, account_id, time.time(), filter, app_id, wanted, text, before, with_snoozed, limit
            )
            return await self._ports.human_time.inbox(query)

        return self._loop.call(read())

    def claim(self, form_id: str) -> None:
        """Say that the account will answer the form; for a while no other account can. Again: a while longer.

        Raises:
            FormNotFoundError: there is no such form in the account's workspace.
            FormAlreadySubmittedError: it has its answer.
            FormExpiredError: a deadline has passed or the run has ended.
            FormClaimedError: another account has claimed it.
            NotAnApproverError: only named approvers can, and the account is none of them.
        """
        self._act(lambda account_id: ClaimOrder(form_id, account_id, VIA))

    def release(self, form_id: str) -> None:
        """Give the claim back; an owner or admin also that of somebody else.

        Raises:
            FormNotFoundError: there is no such form in the account's workspace.
            FormClaimedError: it is somebody else's claim.
        """
        self._act(lambda account_id: ReleaseOrder(form_id, account_id, VIA))

    def reassign(self, form_id: str, to: str, *, instead_of: str | None = None) -> None:
        """Have the account with the address ``to`` asked instead of this one.

        ``instead_of``: the address of somebody else whose place it takes; for owners and admins.

        Raises:
            FormNotFoundError: there is no such form in the account's workspace.
            FormAlreadySubmittedError: it has its answer.
            FormExpiredError: a deadline has passed or the run has ended.
            PersonNotFoundError: no account of the workspace has the address.
            TransferRefusedError: the workflow forbids it, or it is not this account's to give away.
        """
        self._act(lambda account_id: ReassignOrder(form_id, account_id, to, VIA, instead_of))

    def delegate(self, form_id: str, to: str) -> None:
        """Have the account with the address ``to`` asked as well; errors as ``reassign``."""
        self._act(lambda account_id: DelegateOrder(form_id, account_id, to, VIA))

    def snooze(self, form_id: str, until: float) -> None:
        """Put the form away until a time (Unix seconds): it is not shown, and not reminded of; a past time ends that.

        Raises:
            FormNotFoundError: there is no such form in the account's workspace.
            FormAlreadySubmittedError: it has its answer.
            FormExpiredError: a deadline has passed or the run has ended.
        """
        self._act(lambda account_id: SnoozeOrder(form_id, account_id, until, VIA))

    def _act(self, order: Callable[[str], ActOrder]) -> None:
        async def act() -> None:
            _, account_id = await self._whose()
            await self._ports.forms_client.act(order(account_id))

        self._loop.call(act())

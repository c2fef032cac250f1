"""The store of human time: reminders and escalation, claims, handing over, and the inboxes of accounts.

``HumanTimeStore`` says the rules; ``SqlHumanTime`` keeps them in SQL, the memory twin is ``store.memory_human_time``.
What an act does to a form is in ``store.form_desk``, for both. The HITL actor is the only writer; anybody reads.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from hitl.claim import Claim
from store.database import Database
from store.form_desk import FormDesk, claim_form, fire_moments, hand_over_form, release_form, snooze_form
from store.human_time_record import Act, Firing, HandOver, Schedule
from store.human_time_rows import clear_schedule, due_moments, read_claim, read_schedule
from store.inbox_record import InboxPage, InboxQuery
from store.inbox_rows import read_inbox
from store.sql_desk import expire_cut_forms, has_cut, open_desk

T = TypeVar("T")

DUE_LIMIT = 1000


class HumanTimeStore(Protocol):
    """Stores what becomes of a form while it waits. Every operation is one transaction and may be repeated."""

    async def due(self, until: float, limit: int = DUE_LIMIT) -> list[tuple[str, float]]:
        """Return (form id, its next moment) of forms with a moment due by ``until``, soonest first.

        Forms that have closed meanwhile are among them, until ``clear`` or ``fire`` meets them.
        """
        ...

    async def schedule(self, form_id: str) -> Schedule | None:
        """Return the moments of a form, None where it has none."""
        ...

    async def clear(self, form_id: str) -> None:
        """Note that a form that has closed needs no further moment."""
        ...

    async def fire(self, firing: Firing) -> bool:
        """Do what passed moments say: mails, further recipients with their tokens, audit, the next moment.

        Returns:
            Whether anything was done: not when another firing was faster, or the form waits no more.

        Raises:
            FormNotFoundError: there is no such form.
        """
        ...

    async def claim(self, act: Act, lifetime_s: float) -> Claim:
        """Claim a form for an account; its own living claim is extended. It lasts ``lifetime_s`` from ``act.at``.

        Raises:
            FormNotFoundError: no such form, or the account is no member of its workspace.
            FormAlreadySubmittedError: the form has its answer.
            FormExpiredError: a deadline has passed, or the run has ended.
            FormClaimedError: another account has claimed it.
            NotAnApproverError: the form is decided by named approvers, and this account is none of them.
        """
        ...

    async def release(self, act: Act) -> None:
        """End the living claim of a form, where there is one.

        Raises:
            FormNotFoundError: no such form, or the account is no member of its workspace.
            FormClaimedError: it is the claim of another account, and this one is neither owner nor admin.
        """
        ...

    async def claim_of(self, form_id: str, now: float) -> Claim | None:
        """Return the living claim of a form."""
        ...

    async def hand_over(self, order: HandOver) -> None:
        """Have another account asked: instead of the giver (its tokens end with it), or beside it.

        The giver's claim ends. A delegated form is put away in the giver's inbox, which ends its reminders.

        Raises:
            FormNotFoundError: no such form, or the account is no member of its workspace.
            FormAlreadySubmittedError: the form has its answer.
            FormExpiredError: a deadline has passed, or the run has ended.
            TransferRefusedError: the form's rules forbid it, or it is not this account's to give.
        """
        ...

    async def snooze(self, act: Act, until: float) -> None:
        """Put a form away in the inbox of an account, and spare it reminders, until a time; a past time ends that.

        Raises:
            FormNotFoundError: no such form, or the account is no member of its workspace.
            FormAlreadySubmittedError: the form has its answer.
            FormExpiredError: a deadline has passed, or the run has ended.
        """
        ...

    async def inbox(self, query: InboxQuery) -> InboxPage:
        """Return a page of an account's inbox, the newest form first; empty for an account that is no member."""
        ...

    async def expire_cut(self, now: float) -> list[str]:
        """Expire the waiting forms of node executions that a failing container cut off; return their ids."""
        ...


class SqlHumanTime:
    """Implements HumanTimeStore over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, until: float, limit: int = DUE_LIMIT) -> list[tuple[str, float]]:
        """Return the forms with a moment due by ``until``; see HumanTimeStore."""
        return await self._database.read(lambda connection: due_moments(connection, until, limit))

    async def schedule(self, form_id: str) -> Schedule | None:
        """Return the moments of a form; see HumanTimeStore."""
        return await self._database.read(lambda connection: read_schedule(connection, form_id))

    async def clear(self, form_id: str) -> None:
        """Note that a form needs no further moment; see HumanTimeStore."""
        await self._database.write(lambda connection: clear_schedule(connection, form_id))

    async def fire(self, firing: Firing) -> bool:
        """Do what passed moments say; see HumanTimeStore."""
        return await self._at_desk(firing.form_id, lambda desk: fire_moments(desk, firing))

    async def claim(self, act: Act, lifetime_s: float) -> Claim:
        """Claim a form for an account; see HumanTimeStore."""
        return await self._at_desk(act.form_id, lambda desk: claim_form(desk, act, lifetime_s))

    async def release(self, act: Act) -> None:
        """End the claim of a form; see HumanTimeStore."""
        await self._at_desk(act.form_id, lambda desk: release_form(desk, act))

    async def claim_of(self, form_id: str, now: float) -> Claim | None:
        """Return the living claim of a form; see HumanTimeStore."""
        claim = await self._database.read(lambda connection: read_claim(connection, form_id))
        return claim if claim is not None and claim.is_living(now) else None

    async def hand_over(self, order: HandOver) -> None:
        """Have another account asked; see HumanTimeStore."""
        await self._at_desk(order.act.form_id, lambda desk: hand_over_form(desk, order))

    async def snooze(self, act: Act, until: float) -> None:
        """Put a form away in the inbox of an account; see HumanTimeStore."""
        await self._at_desk(act.form_id, lambda desk: snooze_form(desk, act, until))

    async def inbox(self, query: InboxQuery) -> InboxPage:
        """Return a page of an account's inbox; see HumanTimeStore."""
        return await self._database.read(lambda connection: read_inbox(connection, query))

    async def expire_cut(self, now: float) -> list[str]:
        """Expire the forms that were cut off; see HumanTimeStore."""
        if not await self._database.read(has_cut):
            return []
        return await self._database.write(lambda connection: expire_cut_forms(connection, now))

    async def _at_desk(self, form_id: str, work: Callable[[FormDesk], T]) -> T:
        return await self._database.write(lambda connection: work(open_desk(connection, form_id)))

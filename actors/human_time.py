"""What the HITL actor does for human time: passed moments of waiting forms, and what accounts do with forms."""

from collections.abc import Awaitable, Callable
from typing import assert_never

from actors.answers import Members
from actors.form_opening import ask_of
from actors.messages import ActOrder, ClaimOrder, DelegateOrder, ReassignOrder, ReleaseOrder, SnoozeOrder
from graph.ports import Clock
from hitl.addressing import plain_address
from hitl.errors import FormNotFoundError, PersonNotFoundError
from hitl.form import Form, FormStatus
from hitl.form_token import TokenKey
from hitl.hand_over import HandOverKind
from hitl.recipient import Member
from hitl.schedule import passed
from store.forms import FormStore
from store.human_time import HumanTimeStore
from store.human_time_record import Act, Ask, Firing, HandOver


class HumanTime:
    """Fires moments and carries out the orders of accounts; everything is durable when a method returns."""

    def __init__(
        self,
        store: HumanTimeStore,
        forms: FormStore,
        accounts: Members,
        token_key: Callable[[], Awaitable[TokenKey]],
        clock: Clock,
        claim_lifetime_s: float,
        new_id: Callable[[], str],
    ) -> None:
        self._store = store
        self._forms = forms
        self._accounts = accounts
        self._token_key = token_key
        self._clock = clock
        self._claim_lifetime_s = claim_lifetime_s
        self._new_id = new_id

    async def fire(self, form_id: str, form: Form | None) -> None:
        """Do what the moments of a form that have passed say; a form that waits no more has none left.

        Raises:
            KeyMismatchError: the secrets file is not the one this database was used with.
            UnavailableError: the store is away; nothing was done.
        """
        if form is None or form.status is not FormStatus.WAITING:
            await self._store.clear(form_id)
            return
        found, now = await self._store.schedule(form_id), self._clock.now()
        due = passed(found.moments, found.passed_count, now) if found else None
        if found is None or due is None:
            return
        members = await self._accounts.members(form.workspace_id) if due.to else []
        by_address = {plain_address(member.email): member for member in members}
        asks = [await self._ask(form, by_address[address]) for address in due.to if address in by_address]
        unknown = [address for address in due.to if address not in by_address]
        await self._store.fire(Firing(form_id, found.passed_count, due, asks, unknown, now))

    async def act(self, order: ActOrder) -> None:
        """Carry out what an account wants with a form.

        Raises:
            FormNotFoundError: no such form, or the account is no member of its workspace.
            FormAlreadySubmittedError: the form has its answer.
            FormExpiredError: a deadline has passed, or the run has ended.
            FormClaimedError: another account has claimed the form.
            NotAnApproverError: only named approvers can claim it, and this account is none of them.
            TransferRefusedError: the form's rules forbid it, or it is not this account's to give away.
            PersonNotFoundError: an address that no account of the workspace has.
            UnavailableError: the store is away.
        """
        act = Act(order.order_id, order.form_id, order.account_id, self._clock.now(), order.via)
        match order:
            case ClaimOrder():
                await self._store.claim(act, self._claim_lifetime_s)
            case ReleaseOrder():
                await self._store.release(act)
            case ReassignOrder():
                await self._hand_over(act, "reassign", order.to, order.instead_of)
            case DelegateOrder():
                await self._hand_over(act, "delegate", order.to, None)
            case SnoozeOrder():
                await self._store.snooze(act, order.until)
            case _:
                assert_never(order)

    async def _hand_over(self, act: Act, kind: HandOverKind, to: str, instead_of: str | None) -> None:
        form = await self._forms.get(act.form_id)
        if form is None:
            raise FormNotFoundError()
        members = await self._accounts.members(form.workspace_id)
        if all(member.account_id != act.account_id for member in members):
            # Who belongs to the workspace is nobody else's to know.
            raise FormNotFoundError()
        giver = act.account_id if instead_of is None else _member(members, instead_of).account_id
        receiver = _member(members, to)
        await self._store.hand_over(HandOver(act, kind, giver, receiver, await self._ask(form, receiver)))

    async def _ask(self, form: Form, member: Member) -> Ask:
        return ask_of(form, member, await self._token_key(), self._new_id)


def _member(members: list[Member], address: str) -> Member:
    wanted = plain_address(address)
    for member in members:
        if plain_address(member.email) == wanted:
            return member
    raise PersonNotFoundError(address)

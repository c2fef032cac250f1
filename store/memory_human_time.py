"""The memory twin of the store of human time: the rules of ``store.human_time.HumanTimeStore`` over dictionaries."""

from collections.abc import Sequence
from dataclasses import replace

from hitl.claim import Claim
from hitl.deadline import next_deadline
from hitl.errors import FormNotFoundError
from hitl.form import Form, FormStatus
from hitl.hand_over import ALL_SEEING
from hitl.recipient import Recipient
from store.form_desk import claim_form, fire_moments, hand_over_form, release_form, snooze_form
from store.form_record import AuditEntry, AuditEvent
from store.human_time_record import Act, Ask, Firing, HandOver, Schedule
from store.inbox_record import InboxPage, InboxQuery, InboxRow
from store.memory_store import MemoryStore


class MemoryHumanTime:
    """Implements HumanTimeStore in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def due(self, until: float, limit: int = 1000) -> list[tuple[str, float]]:
        """Return the forms with a moment due by ``until``; see HumanTimeStore."""
        rows = self._store.schedules.items()
        found = [(form_id, row.next_at) for form_id, row in rows if row.next_at is not None and row.next_at <= until]
        return sorted(found, key=lambda each: each[1])[:limit]

    async def schedule(self, form_id: str) -> Schedule | None:
        """Return the moments of a form; see HumanTimeStore."""
        row = self._store.schedules.get(form_id)
        return Schedule(row.moments, row.passed_count) if row else None

    async def clear(self, form_id: str) -> None:
        """Note that a form needs no further moment; see HumanTimeStore."""
        if form_id in self._store.schedules:
            self._store.schedules[form_id].next_at = None

    async def fire(self, firing: Firing) -> bool:
        """Do what passed moments say; see HumanTimeStore."""
        return fire_moments(MemoryDesk(self._store, firing.form_id), firing)

    async def claim(self, act: Act, lifetime_s: float) -> Claim:
        """Claim a form for an account; see HumanTimeStore."""
        return claim_form(MemoryDesk(self._store, act.form_id), act, lifetime_s)

    async def release(self, act: Act) -> None:
        """End the claim of a form; see HumanTimeStore."""
        release_form(MemoryDesk(self._store, act.form_id), act)

    async def claim_of(self, form_id: str, now: float) -> Claim | None:
        """Return the living claim of a form; see HumanTimeStore."""
        claim = self._store.claims.get(form_id)
        return claim if claim is not None and claim.is_living(now) else None

    async def hand_over(self, order: HandOver) -> None:
        """Have another account asked; see HumanTimeStore."""
        hand_over_form(MemoryDesk(self._store, order.act.form_id), order)

    async def snooze(self, act: Act, until: float) -> None:
        """Put a form away in the inbox of an account; see HumanTimeStore."""
        snooze_form(MemoryDesk(self._store, act.form_id), act, until)

    async def inbox(self, query: InboxQuery) -> InboxPage:
        """Return a page of an account's inbox; see HumanTimeStore."""
        store = self._store
        role = store.members.get((query.workspace_id, query.account_id))
        if role is None:
            return InboxPage((), False)
        before = store.forms.get(query.before or "")
        rows = []
        for form in sorted(store.forms.values(), key=_place, reverse=True):
            row = self._row(form, query)
            is_mine = query.filter != "mine" or role in ALL_SEEING or (form.form_id, query.account_id) in store.asked
            is_behind = query.before is None or (before is not None and _place(form) < _place(before))
            if is_mine and is_behind and _fits(row, query):
                rows.append(row)
        return InboxPage(tuple(rows[: query.limit]), len(rows) > query.limit)

    async def expire_cut(self, now: float) -> list[str]:
        """Expire the forms that were cut off; see HumanTimeStore."""
        return self._store.expire_cut(now)

    def _row(self, form: Form, query: InboxQuery) -> InboxRow:
        store = self._store
        claim = store.claims.get(form.form_id)
        if claim is not None and (form.status is not FormStatus.WAITING or not claim.is_living(query.now)):
            claim = None
        account = store.accounts.get(claim.account_id) if claim else None
        app = store.apps.get(form.app_id)
        until = store.snoozes.get((form.form_id, query.account_id))
        due_at = next_deadline(form.expires_at, form.global_expires_at)
        is_away = until is not None and until > query.now
        return InboxRow(
            form, app.name if app else "", due_at, claim, account.name if account else "", until if is_away else None
        )


def _place(form: Form) -> tuple[float, str]:
    return form.created_at, form.form_id


def _fits(row: InboxRow, query: InboxQuery) -> bool:
    form, text = row.form, (query.text or "").lower()
    is_waiting = form.status is FormStatus.WAITING
    return (
        form.workspace_id == query.workspace_id
        and form.kind == "runtime"
        and query.app_id in (None, form.app_id)
        and query.status in (None, form.status)
        and (text in form.definition.node_title.lower() or text in row.app_name.lower())
        and (query.filter != "unclaimed" or (is_waiting and row.claim is None))
        and (query.with_snoozed or not is_waiting or row.snoozed_until is None)
    )


class MemoryDesk:
    """Implements FormDesk over dictionaries."""

    def __init__(self, store: MemoryStore, form_id: str) -> None:
        if form_id not in store.forms:
            raise FormNotFoundError()
        self._store = store
        self.form = store.forms[form_id]
        run = store.runs.get(self.form.run_id or "")
        self.has_ended = run is not None and run.is_terminal
        self.voters = frozenset(vote.account_id for vote in store.votes.get(form_id, ()))

    def is_done(self, entry_id: str) -> bool:
        """Whether an audit entry has this id; see FormDesk."""
        return any(entry.entry_id == entry_id for entry in self._store.audit)

    def has_entry(self, event: AuditEvent, account_id: str, detail: str) -> bool:
        """Whether this account did just this before; see FormDesk."""
        wanted = (self.form.form_id, event, account_id, detail)
        return any((each.form_id, each.event, each.account_id, each.detail) == wanted for each in self._store.audit)

    def role(self, account_id: str) -> str | None:
        """Return the role of an account; see FormDesk."""
        return self._store.members.get((self.form.workspace_id, account_id))

    def is_asked(self, account_id: str) -> bool:
        """Whether the form asks this account in person; see FormDesk."""
        return (self.form.form_id, account_id) in self._store.asked

    def recipients(self) -> list[Recipient]:
        """Return the recipients; see FormDesk."""
        return [each for each in self._store.recipients.values() if each.form_id == self.form.form_id]

    def claim(self) -> Claim | None:
        """Return the last claim; see FormDesk."""
        return self._store.claims.get(self.form.form_id)

    def put_claim(self, claim: Claim | None) -> None:
        """Replace the claim; see FormDesk."""
        self._store.claims.pop(self.form.form_id, None)
        if claim is not None:
            self._store.claims[self.form.form_id] = claim

    def snoozes(self) -> dict[str, float]:
        """Return account id -> until when it has put the form away; see FormDesk."""
        return {account: until for (form_id, account), until in self._store.snoozes.items() if form_id == self._id}

    def put_snooze(self, account_id: str, until: float | None) -> None:
        """Replace the time until which an account has put the form away; see FormDesk."""
        self._store.snoozes.pop((self._id, account_id), None)
        if until is not None:
            self._store.snoozes[self._id, account_id] = until

    def schedule(self) -> Schedule | None:
        """Return the moments of the form; see FormDesk."""
        row = self._store.schedules.get(self._id)
        return Schedule(row.moments, row.passed_count) if row else None

    def advance(self, passed_count: int, next_at: float | None) -> None:
        """Note how many moments have passed; see FormDesk."""
        row = self._store.schedules[self._id]
        row.passed_count, row.next_at = passed_count, next_at

    def ask(self, ask: Ask) -> None:
        """Add a recipient with its tokens; see FormDesk."""
        self._store.recipients[ask.recipient.recipient_id] = ask.recipient
        self._store.tokens |= {token.token_hash: token for token in ask.tokens}
        self._store.asked.add((self._id, ask.account_id))

    def unask(self, account_id: str, recipients: Sequence[Recipient]) -> None:
        """Revoke the recipients of an account; see FormDesk."""
        self._store.recipients |= {each.recipient_id: replace(each, state="revoked") for each in recipients}
        self._store.asked.discard((self._id, account_id))

    def add_mail(self, recipient_id: str, kind: str, at: float) -> None:
        """Have a mail sent to a recipient; see FormDesk."""
        self._store.add_mail(self._id, recipient_id, kind, at)

    def log(self, entry: AuditEntry) -> None:
        """Store an audit entry; see FormDesk."""
        self._store.audit.append(entry)

    @property
    def _id(self) -> str:
        return self.form.form_id

"""An inbox over the forms of a memory store, and one that notes what it is asked to do."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from actors.messages import ActOrder
from hitl.deadline import next_deadline
from store.inbox_record import InboxPage, InboxQuery, InboxRow
from store.memory_store import MemoryStore


@dataclass
class ListedInbox:
    """Lists every form of the workspace, the newest first; ``claims``: form id -> (account id, until)."""

    store: MemoryStore = field(default_factory=MemoryStore)
    claims: dict[str, tuple[str, float]] = field(default_factory=dict)
    asked: list[InboxQuery] = field(default_factory=list)

    async def inbox(self, query: InboxQuery) -> InboxPage:
        """Return one page."""
        self.asked.append(query)
        rows = [
            self._row(form)
            for form in sorted(self.store.forms.values(), key=lambda each: each.form_id, reverse=True)
            if form.workspace_id == query.workspace_id
            and query.status in (None, form.status)
            and (query.text or "").lower() in form.definition.node_title.lower()
            and (query.before is None or form.form_id < query.before)
        ]
        return InboxPage(tuple(rows[: query.limit]), len(rows) > query.limit)

    def _row(self, form: Any) -> InboxRow:
        due_at = next_deadline(form.expires_at, form.global_expires_at)
        if form.form_id not in self.claims:
            return InboxRow(form, "test", due_at)
        account_id, until = self.claims[form.form_id]
        claim = SimpleNamespace(account_id=account_id, expires_at=until)
        return InboxRow(form, "test", due_at, claim, self.store.accounts[account_id].name)


@dataclass
class NotedActs:
    """Notes orders; ``refusal``: what the next ones raise."""

    orders: list[ActOrder] = field(default_factory=list)
    refusal: Exception | None = None

    async def act(self, order: ActOrder) -> None:
        """Note an order."""
        if self.refusal is not None:
            raise self.refusal
        self.orders.append(order)

"""What notes how an inbox is read, and what is ordered there."""

from dataclasses import dataclass, field

from actors.messages import ActOrder
from hitl.claim import Claim
from store.inbox_record import InboxPage, InboxQuery


@dataclass
class NotedReads:
    """Notes queries, and finds nothing."""

    queries: list[InboxQuery] = field(default_factory=list)

    async def inbox(self, query: InboxQuery) -> InboxPage:
        """Note a query."""
        self.queries.append(query)
        return InboxPage((), has_more=False)

    async def claim_of(self, form_id: str, now: float) -> Claim | None:
        """Return None: nobody claims anything."""
        return None


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

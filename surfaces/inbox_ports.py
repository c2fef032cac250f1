"""What the inbox is read through, and what an account can do with a form there besides answering it."""

from typing import Protocol

from actors.messages import ActOrder
from hitl.claim import Claim
from store.inbox_record import InboxPage, InboxQuery


class InboxReads(Protocol):
    """Reads inboxes."""

    async def inbox(self, query: InboxQuery) -> InboxPage:
        """Return one page of an inbox."""
        ...

    async def claim_of(self, form_id: str, now: float) -> Claim | None:
        """Return the claim of a form that counts at ``now``, None without one."""
        ...


class InboxActs(Protocol):
    """Carries out what accounts do with forms besides answering them."""

    async def act(self, order: ActOrder) -> None:
        """Carry out ``order``; durable on return, and once under its id.

        Raises:
            RefusedError: the form is somebody else's for now, or not this account's to hand on.
        """
        ...

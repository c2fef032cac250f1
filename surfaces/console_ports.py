"""What the console needs from below besides ``surfaces.ports``: the people who log in, and what they edit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from actors.messages import DeliveryTestOrder
from graph.ports import FormRequest
from hitl.answer_file import OwnedFiles
from store.accounts import AccountStore
from store.apps import AppStore
from store.database import Database
from store.drafts import DraftStore, SqlDrafts
from store.listings import Listings, SqlListings
from store.logins import LoginStore, SqlLogins
from surfaces.credentials import Passwords
from surfaces.inbox_ports import InboxActs, InboxReads


class FormPreviews(Protocol):
    """Tries out one human-input node of a workflow document, without a run; pure.

    ``inputs``: variable -> value, a variable written as ``node.name`` or ``#node.name#``. Every method raises
    RefusedError where the document has no such node, or the values do not fit.
    """

    def request_of_node(
        self, document: Mapping[str, Any], node_id: str, inputs: Mapping[str, Any], execution_id: str = ""
    ) -> FormRequest:
        """Return the question that the node would ask."""
        ...

    def preview(self, document: Mapping[str, Any], node_id: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the form that the node would open, as the editor shows it."""
        ...

    def outputs_of_answer(
        self,
        document: Mapping[str, Any],
        node_id: str,
        inputs: Mapping[str, Any],
        form_inputs: Mapping[str, Any],
        action: str,
        files: OwnedFiles,
    ) -> dict[str, Any]:
        """Return the outputs that the node would give for an answer."""
        ...


class DeliveryTests(Protocol):
    """Sends the mails of a human-input node as a test."""

    async def test_delivery(self, order: DeliveryTestOrder) -> str:
        """Open a form of kind ``delivery_test``, send its mails, and return its id; durable on return.

        Raises:
            RefusedError: the node has no such delivery method, or it reaches nobody.
        """
        ...


class Receipts(Protocol):
    """Signs what became of forms."""

    async def receipt(self, form_id: str) -> Mapping[str, Any]:
        """Return the signed receipt of a decided form, as JSON.

        Raises:
            RefusedError: it has no answer.
        """
        ...


class Deliveries(Protocol):
    """Knows what became of the mails of forms."""

    async def deliveries(self, form_id: str) -> Sequence[Any]:
        """Return each mail of a form, a dataclass of plain values, oldest first, without any link in it."""
        ...


@dataclass(frozen=True, slots=True)
class ConsolePorts:
    """What the console acts through. Where a port is None, its endpoints do not exist.

    ``workspace_name``: the workspace that the first account belongs to.
    """

    logins: LoginStore
    accounts: AccountStore
    apps: AppStore
    drafts: DraftStore
    listings: Listings
    workspace_name: str = "Greenroom"
    passwords: Passwords = field(default_factory=Passwords)
    inbox: InboxReads | None = None
    inbox_acts: InboxActs | None = None
    previews: FormPreviews | None = None
    delivery_tests: DeliveryTests | None = None
    receipts: Receipts | None = None
    deliveries: Deliveries | None = None

    @classmethod
    def over(
        cls, database: Database, accounts: AccountStore, apps: AppStore, workspace_name: str, **others: Any
    ) -> Self:
        """Return the ports over a database; ``others``: the fields that may be None."""
        stores = SqlLogins(database), accounts, apps, SqlDrafts(database), SqlListings(database)
        return cls(*stores, workspace_name, **others)

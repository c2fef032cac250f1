"""What the nodes of a run reach outside: files and HTTP, as the run's owner."""

from dataclasses import replace

from effects.documents import DocumentReader
from effects.file_store import FileStore
from effects.guarded_client import GuardedClient
from effects.guarded_http import GuardedHttp
from graph.file_value import file_address
from graph.ports import Effects
from store.blobs import Blobs
from store.file_record import FileOwner
from store.files import FileTable, RunShelf
from store.run_record import NewRun


class Outside:
    """Shared by the runs of a process. Belongs to one event loop."""

    def __init__(
        self, client: GuardedClient, documents: DocumentReader, table: FileTable, blobs: Blobs, public_url: str
    ) -> None:
        """Prepare.

        Args:
            client: reaches public addresses only.
            documents: reads text out of documents.
            table: whose files are whose.
            blobs: their content.
            public_url: how people reach this installation.
        """
        self._client = client
        self._documents = documents
        self._table = table
        self._blobs = blobs
        self._public_url = public_url

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def added_to(self, effects: Effects, run: NewRun) -> Effects:
        """Return ``effects`` with the files and the HTTP client of ``run``."""
        owner = FileOwner(run.workspace_id, run.app_id, run.created_by_role, run.created_by_id)
        shelf = RunShelf(self._table, self._blobs, owner, run.run_id, run.created_at)
        files = FileStore(shelf, self._client, self._documents, lambda file_id: file_address(self._public_url, file_id))
        return replace(effects, files=files, http=GuardedHttp(self._client, files))

"""The stores of one process over its database, each made at its first use. Belongs to one event loop."""

from functools import cached_property

from actors.settings import Settings
from store.accounts import SqlAccounts
from store.apps import SqlApps
from store.blobs import ObjectBlobs, open_blobs
from store.database import Database, open_database
from store.decisions import SqlDecisions
from store.forms import SqlForms
from store.human_time import SqlHumanTime
from store.installation import SqlInstallation
from store.journal import SqlJournal
from store.outbox import SqlOutbox
from store.postgres_lane import ConnectionShare


class Stores:
    """What this process reads and writes."""

    def __init__(self, settings: Settings, share: ConnectionShare | None = None) -> None:
        self.settings = settings
        self._share = share or ConnectionShare(settings.database_connections)

    @cached_property
    def database(self) -> Database:
        """The database."""
        return open_database(self.settings.database_url_to_open(), share=self._share)

    @cached_property
    def blobs(self) -> ObjectBlobs:
        """Large values and the content of files."""
        return open_blobs(self.settings.files_url, self.settings.files_dir)

    @cached_property
    def human_time(self) -> SqlHumanTime:
        """Reminders, claims, handing over and inboxes: to read from anywhere, to write from the HITL actor only."""
        return SqlHumanTime(self.database)

    @cached_property
    def journal(self) -> SqlJournal:
        """The facts of runs."""
        return SqlJournal(self.database, self.blobs)

    @cached_property
    def forms(self) -> SqlForms:
        """The stored forms: to read from any process, to write from the HITL actor only."""
        return SqlForms(self.database)

    @cached_property
    def apps(self) -> SqlApps:
        """Apps, workflow versions and keys."""
        return SqlApps(self.database)

    @cached_property
    def accounts(self) -> SqlAccounts:
        """Workspaces, accounts and end users."""
        return SqlAccounts(self.database)

    @cached_property
    def installation(self) -> SqlInstallation:
        """What all processes of this installation share."""
        return SqlInstallation(self.database)

    @cached_property
    def outbox(self) -> SqlOutbox:
        """Mails and events to send: to read from anywhere; the courier records how they fare."""
        return SqlOutbox(self.database)

    @cached_property
    def decisions(self) -> SqlDecisions:
        """Votes and answers with who gave them: to read from any process, to write from the HITL actor only."""
        return SqlDecisions(self.database)

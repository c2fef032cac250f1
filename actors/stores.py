"""The stores of one process over its database, each made at its first use. Belongs to one event loop."""

from functools import cached_property

from actors.settings import Settings
from store.database import Database, open_database
from store.human_time import SqlHumanTime


class Stores:
    """What this process reads and writes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def database(self) -> Database:
        """The database."""
        return open_database(self.settings.database_url_to_open())

    @cached_property
    def human_time(self) -> SqlHumanTime:
        """Reminders, claims, handing over and inboxes: to read from anywhere, to write from the HITL actor only."""
        return SqlHumanTime(self.database)

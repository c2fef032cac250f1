"""The ports that only the HTTP replicas have: what people without an account need. Nothing is opened before its use."""

from functools import cached_property

from actors.settings import Settings
from store.bearers import SqlBearers
from store.database import Database
from store.rate_counters import LocalCounter, RateCounter, SharedCounter
from store.sites import SqlSites


class WebPorts:
    """The ports of this replica, each made at its first use. Belongs to one event loop."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database

    @cached_property
    def sites(self) -> SqlSites:
        """The web addresses of apps."""
        return SqlSites(self._database)

    @cached_property
    def bearers(self) -> SqlBearers:
        """The bearer tokens of accounts."""
        return SqlBearers(self._database)

    @cached_property
    def rate_counter(self) -> RateCounter:
        """How often requests come: over all processes where Redis is configured, else in this one."""
        # The URL to open is never empty where a password is set.
        return SharedCounter(self._settings.redis_url_to_open()) if self._settings.redis_url else LocalCounter()

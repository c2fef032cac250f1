"""The memory twin of the store of sites: the rules of ``store.sites.SiteStore`` over a dictionary."""

from dataclasses import replace

from store.memory_store import MemoryStore
from store.site_record import Site


class MemorySites:
    """Implements SiteStore in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def site(self, app_id: str) -> Site | None:
        """Return the site of an app; see SiteStore."""
        return self._store.sites.get(app_id)

    async def site_by_code(self, code: str) -> Site | None:
        """Return the site with this code; see SiteStore."""
        return next((site for site in self._store.sites.values() if site.code == code), None)

    async def set_open(self, app_id: str, is_open: bool) -> None:
        """Open or close a site; see SiteStore."""
        if app_id in self._store.sites:
            self._store.sites[app_id] = replace(self._store.sites[app_id], is_open=is_open)

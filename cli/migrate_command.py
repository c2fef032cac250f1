"""``greenroom migrate``: brings the schema of the database up to date. Only this and ``greenroom up`` do that."""

from rich.console import Console

from cli.installation import read_settings
from store.migrate import current_revision, migrate


def migrate_schema() -> None:
    """Create the database's tables, or bring them up to date; a second time changes nothing."""
    url = read_settings().database_url_to_open()
    applied = migrate(url)
    console = Console(highlight=False)
    if applied:
        console.print(f"applied: {', '.join(applied)}")
    console.print(f"the schema is at revision {current_revision(url)}")

"""``greenroom migrate``: brings the schema of the database up to date. Only this and ``greenroom up`` do that."""

from rich.console import Console

from cli.installation import database_sentences, read_settings
from store.migrate import current_revision, migrate


def migrate_schema() -> None:
    """Create the database's tables, or bring them up to date; a second time changes nothing."""
    settings = read_settings()
    url = settings.database_url_to_open()
    with database_sentences(settings):
        applied = migrate(url)
        revision = current_revision(url)
    console = Console(highlight=False)
    if applied:
        console.print(f"applied: {', '.join(applied)}")
    console.print(f"the schema is at revision {revision}")

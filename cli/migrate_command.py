"""``greenroom migrate``: brings the schema of the database up to date. Only this and ``greenroom up`` do that."""

from rich.console import Console
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from actors.settings import Settings
from cli.errors import MigrationFailedError
from cli.installation import read_settings
from store.migrate import current_revision, migrate


def migrate_schema() -> None:
    """Create the database's tables, or bring them up to date; a second time changes nothing."""
    settings = read_settings()
    applied = apply_migrations(settings)
    console = Console(highlight=False)
    if applied:
        console.print(f"applied: {', '.join(applied)}")
    console.print(f"the schema is at revision {current_revision(settings.database_url_to_open())}")


def apply_migrations(settings: Settings) -> list[str]:
    """Return the revisions that were applied.

    Raises:
        MigrationFailedError: the database cannot be reached, or not written.
    """
    try:
        return migrate(settings.database_url_to_open())
    except (SQLAlchemyError, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        lines = str(cause).splitlines() or [type(cause).__name__]
        # Not chained: what SQLAlchemy says besides may quote the URL.
        raise MigrationFailedError(settings.database_url, lines[0]) from None

"""The parts that look after what has ended: the archive, what goes there, and the sweep of unused values."""

from dataclasses import dataclass
from typing import Self

from actors.settings import Settings
from store.archive import Archive
from store.blob_sweep import BlobSweep
from store.database import Database
from store.kept_objects import open_objects
from store.retention import Retention


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Over one database and its store of files."""

    archive: Archive
    retention: Retention
    blob_sweep: BlobSweep

    @classmethod
    def of(cls, database: Database, settings: Settings) -> Self:
        """Return the parts over ``database`` and the files that ``settings`` name; opens nothing."""
        objects = open_objects(settings.files_url, settings.files_dir)
        archive = Archive(database, objects)
        return cls(archive, Retention(database, archive), BlobSweep(database, objects))

"""The tables of the archive; ``store.tables`` says how columns are to be read.

    archives          one row a bundle: an object beside the large values that holds runs which left the tables
    archived_runs     run id x bundle: which bundle has a run, and enough of the run to find it by

``bundle_id`` is the SHA-256 of the bundle. ``blobs`` holds the digests of the large values that its runs refer to, 32
bytes each. A run that was restored and archived again is in two bundles; ``restored_at`` keeps the next pass off it.
"""

from sqlalchemy import BigInteger, Column, Double, Index, Integer, LargeBinary, String, Table

from store.tables import Id, metadata

archives = Table(
    "archives",
    metadata,
    Column("bundle_id", String(64), primary_key=True),
    Column("run_count", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("blobs", LargeBinary, nullable=False),
)

archived_runs = Table(
    "archived_runs",
    metadata,
    Column("run_id", Id(64), primary_key=True),
    Column("bundle_id", String(64), primary_key=True),
    Column("app_id", Id(64), nullable=False),
    Column("created_by_id", Id(64), nullable=False),
    Column("finished_at", Double, nullable=False),
    Column("restored_at", Double),
    Index("ix_archived_runs_bundle_id", "bundle_id"),
    Index("ix_archived_runs_created_by_id", "created_by_id"),
)

"""Copies a SQLite database whole while others read and write it."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from store.errors import DatabaseCopyError


def copy_sqlite(source: Path, target: Path) -> None:
    """Write the database ``source``, as of one moment, to the new file ``target``; durable on return.

    Writers are not held up. The copy is for its owner alone and has no free pages.

    Raises:
        DatabaseCopyError: ``target`` exists, or the copy failed or has faults; then no copy is left.
    """
    try:
        descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    except OSError as error:
        raise DatabaseCopyError(str(target), error.strerror or str(error)) from None
    try:
        # An empty file may be written into; this one has its mode already.
        with closing(sqlite3.connect(f"file:{quote(str(source))}?mode=ro", uri=True)) as connection:
            connection.execute("VACUUM INTO ?", (str(target),))
        with closing(sqlite3.connect(f"file:{quote(str(target))}?mode=ro", uri=True)) as connection:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise DatabaseCopyError(str(target), verdict)
        os.fsync(descriptor)
    except sqlite3.Error as error:
        target.unlink()
        raise DatabaseCopyError(str(target), str(error)) from None
    except DatabaseCopyError:
        target.unlink()
        raise
    finally:
        os.close(descriptor)

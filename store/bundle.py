"""A bundle: ended runs as one compressed object of JSON lines, named by its SHA-256.

The first line says format, schema revision and how many runs follow; then one line a run with all its rows by table.
``zcat`` reads it without Greenroom. The same runs give the same bytes, so that writing one again changes nothing.
"""

import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from store.blobs import digest_of
from store.errors import ArchiveDamagedError
from store.run_tables import RowsOfRun, digests_of_run
from store.tables import SCHEMA_REVISION

FOLDER: Final = "archives"
FORMAT: Final = 1
_LEVEL: Final = 6
_DIGEST_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Bundle:
    """The bytes of a bundle with what is known of it. ``blobs``: digests of large values, 32 bytes each."""

    bundle_id: str
    content: bytes
    run_count: int
    blobs: bytes


def path_of(bundle_id: str) -> str:
    """Return where a bundle lies in the store of files."""
    return f"{FOLDER}/{bundle_id[:2]}/{bundle_id}.jsonl.gz"


def pack_bundle(runs: Mapping[str, RowsOfRun]) -> Bundle:
    """Return the bundle of ``runs``: run id -> its rows. Takes a while: call it in a thread."""
    header = {"format": FORMAT, "schema": SCHEMA_REVISION, "run_count": len(runs)}
    lines = [orjson.dumps(header)]
    digests: set[str] = set()
    for run_id in sorted(runs):
        lines.append(orjson.dumps({"run_id": run_id, "rows": runs[run_id]}, option=orjson.OPT_NON_STR_KEYS))
        digests |= digests_of_run(runs[run_id])
    content = gzip.compress(b"\n".join([*lines, b""]), _LEVEL, mtime=0)
    blobs = b"".join(bytes.fromhex(digest) for digest in sorted(digests))
    return Bundle(digest_of(content), content, len(runs), blobs)


def unpack_bundle(bundle_id: str, content: bytes | None) -> dict[str, RowsOfRun]:
    """Return run id -> its rows. Takes a while: call it in a thread.

    Raises:
        ArchiveDamagedError: ``content`` is not that of the bundle.
    """
    if content is None or digest_of(content) != bundle_id:
        raise ArchiveDamagedError(bundle_id)
    lines = map(orjson.loads, gzip.decompress(content).splitlines()[1:])
    return {line["run_id"]: line["rows"] for line in lines}


def digests_of_bundle(blobs: bytes) -> Iterator[str]:
    """Yield the hex digests in ``Bundle.blobs``."""
    for start in range(0, len(blobs), _DIGEST_BYTES):
        yield blobs[start : start + _DIGEST_BYTES].hex()

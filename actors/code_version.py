"""Which code a process runs, so that actors of an older deployment are found and replaced."""

import hashlib
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("actors", "effects", "graph", "hitl", "models", "store")


@cache
def code_version() -> str:
    """Return 12 hex digits over the sources that actors run, as they were when this process first asked."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((_ROOT / package).rglob("*.py")):
            digest.update(path.relative_to(_ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]

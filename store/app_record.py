"""The values that the store of apps gives: apps, workflow versions, API keys."""

import hashlib
import secrets
import string
import uuid
from dataclasses import dataclass, field
from typing import Any

_KEY_LETTERS = string.ascii_letters + string.digits
_KEY_LENGTH = 24


@dataclass(frozen=True, slots=True)
class AppRecord:
    """An app: a named thing that callers run, and which version of its workflow is published.

    ``mode``: workflow or advanced-chat; ``icon``: icon_type, icon, icon_background … as in its file.
    """

    app_id: str
    workspace_id: str
    name: str
    description: str
    mode: str
    icon: dict[str, Any]
    published_version_id: str | None
    created_by: str | None
    created_at: float


@dataclass(frozen=True, slots=True)
class WorkflowVersion:
    """A workflow as it was imported; never changes. ``document``: the whole file, secrets of its author included."""

    version_id: str
    app_id: str
    content_hash: str
    document: dict[str, Any] = field(repr=False)
    created_at: float


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as it is stored: its SHA-256, never the key."""

    key_id: str
    app_id: str
    key_hash: bytes = field(repr=False)
    created_at: float
    revoked_at: float | None = None


def new_key() -> str:
    """Return a new API key: "app-" and 24 random letters and digits."""
    return "app-" + "".join(secrets.choice(_KEY_LETTERS) for _ in range(_KEY_LENGTH))


def hash_key(key: str) -> bytes:
    """Return the 32 bytes under which an API key is looked up; any text has one."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def version_id_of(app_id: str, content_hash: str) -> str:
    """Return the id of the version with this content: the same content of the same app is the same version."""
    return str(uuid.uuid5(uuid.UUID(app_id), content_hash))

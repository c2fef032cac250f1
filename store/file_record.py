"""What goes into the store of files and comes out of it."""

from dataclasses import dataclass
from uuid import UUID, uuid5

_NAMESPACE = UUID("5f1c9a52-6c0e-5d0b-9b7e-0d6c5b0f2a31")


ANY_APP = ""
"""In the place of an app: what an account uploads in the console belongs to no app, and goes into answers and runs of
any in its workspace."""


@dataclass(frozen=True, slots=True)
class FileOwner:
    """Whose a file is: an end user or an account (``role``), in an app."""

    workspace_id: str
    app_id: str
    role: str
    owner_id: str


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file. ``digest``: hex SHA-256 of its content; ``form_id``: the form whose answer it was uploaded for."""

    file_id: str
    owner: FileOwner
    name: str
    mime_type: str
    extension: str
    size_bytes: int
    digest: str
    created_at: float
    form_id: str | None = None


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to store, without its content; see ``FileRecord``."""

    file_id: str
    owner: FileOwner
    name: str
    mime_type: str
    created_at: float
    form_id: str | None = None


@dataclass(frozen=True, slots=True)
class FormUpload:
    """Who uploaded a file for the answer of a form: a recipient of it. ``uploaded_at``: Unix seconds."""

    file_id: str
    form_id: str
    recipient_id: str
    uploaded_at: float


def is_usable(record: FileRecord, owner: FileOwner) -> bool:
    """Whether ``owner`` may use a file: it is theirs, in this app or in none."""
    kept, app_id = record.owner, record.owner.app_id
    is_theirs = (kept.workspace_id, kept.role, kept.owner_id) == (owner.workspace_id, owner.role, owner.owner_id)
    return is_theirs and app_id in (owner.app_id, ANY_APP)


def derived_file_id(owner: FileOwner, digest: str, name: str, mime_type: str) -> str:
    """Return the id of a file that a run makes: the same for the same content, however often the node runs."""
    parts = (owner.workspace_id, owner.app_id, owner.role, owner.owner_id, digest, mime_type, name)
    return str(uuid5(_NAMESPACE, "\x00".join(parts)))

"""The values that the store of accounts gives: workspaces, accounts, end users."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Workspace:
    """What apps and people belong to; names are unique."""

    workspace_id: str
    name: str
    created_at: float


@dataclass(frozen=True, slots=True)
class Account:
    """A person with a login. ``email``: lower-case, unique."""

    account_id: str
    email: str
    name: str
    created_at: float


@dataclass(frozen=True, slots=True)
class Membership:
    """A workspace that an account belongs to, and what it may do there."""

    workspace: Workspace
    role: str


@dataclass(frozen=True, slots=True)
class EndUser:
    """A person who uses an app from outside, known by what the caller names them (``session_id``).

    ``type``: through what they come, such as service-api.
    """

    end_user_id: str
    workspace_id: str
    app_id: str
    type: str
    session_id: str
    is_anonymous: bool
    created_at: float


def plain_email(email: str) -> str:
    """Return ``email`` as accounts are looked up by it."""
    return email.strip().lower()

"""The values that the store of logins takes and gives. No repr of them shows a hash."""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from store.account_record import Account, plain_email

SETUP_AT: Final = "console_setup_at"
"""The value of the installation that says when the first password was set, in Unix seconds."""
REFRESH_GRACE_S: Final = 60.0
"""For so long the refresh token before the present one works too: the reply that brought the present one may be lost,
and two tabs may refresh at once. Later it shows that somebody else holds a copy, and ends the login."""


@dataclass(frozen=True, slots=True)
class Login:
    """One login of an account. ``expires_at``: when its refresh token ends, Unix seconds."""

    login_id: str
    account_id: str
    workspace_id: str
    refresh_hash: bytes = field(repr=False)
    previous_hash: bytes | None = field(repr=False)
    refreshed_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """Who acts by a login that stands. ``role``: of the account in the workspace, now."""

    login_id: str
    account: Account
    workspace_id: str
    role: str


@dataclass(frozen=True, slots=True)
class Credential:
    """An account and the hash of its password; None: it has none and cannot log in."""

    account: Account
    password_hash: str | None = field(repr=False)


def name_hash(email: str) -> bytes:
    """Return the 32 bytes under which tries to log in as ``email`` are counted; any text has one."""
    return hashlib.sha256(plain_email(email).encode("utf-8", "surrogatepass")).digest()


def hash_refresh(token: str) -> bytes:
    """Return the 32 bytes under which a refresh token is looked up; any text has one."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()

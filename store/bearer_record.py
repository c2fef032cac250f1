"""The values that the store of bearer tokens takes and gives. No repr of them shows a token or a hash."""

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Final, Literal

ACCOUNT_PREFIX: Final = "dfoa_"
"""How the bearer token of an account begins."""
SHOWN_LETTERS: Final = len(ACCOUNT_PREFIX) + 4
"""So much of a token is kept to recognise it by; the rest still has more than 230 bits."""
BEARER_LIFETIME_S: Final = 14 * 86_400.0
USED_EVERY_S: Final = 60.0
"""When a token was used last is kept no finer than this, so that requests cost no write each."""
USER_CODE_LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels, so that no words come out, and nothing that looks like another letter (RFC 8628, 6.1)."""
_USER_CODE_LENGTH: Final = 8
_TOKEN_BYTES: Final = 32

DeviceStatus = Literal["pending", "approved", "denied"]
Resolution = Literal["resolved", "already_resolved", "expired_or_unknown"]
"""What became of an attempt to approve or deny a device."""
PollRefusal = Literal["authorization_pending", "slow_down", "expired_token", "access_denied"]
"""Why a device gets no token yet, or never; the words of RFC 8628, 3.5."""


@dataclass(frozen=True, slots=True)
class BearerToken:
    """A token with which programs of an account call ``/openapi``, without the token itself.

    ``prefix``: its first letters; ``client_id`` and ``device_label``: of whom it was made for. Times are Unix seconds.
    """

    token_id: str
    account_id: str
    token_hash: bytes = field(repr=False)
    prefix: str
    client_id: str
    device_label: str
    created_at: float
    expires_at: float
    last_used_at: float | None = None


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """A device that waits for an account to let it in.

    ``account_id``: who has resolved it, None while it is pending; ``polled_at``: when it last asked.
    """

    device_hash: bytes = field(repr=False)
    user_hash: bytes = field(repr=False)
    client_id: str
    device_label: str
    expires_at: float
    status: DeviceStatus = "pending"
    account_id: str | None = None
    polled_at: float | None = None


@dataclass(frozen=True, slots=True)
class NewBearer:
    """A token to be kept for whichever account it turns out to be."""

    token_id: str
    token_hash: bytes = field(repr=False)
    prefix: str
    created_at: float
    expires_at: float

    def of(self, account_id: str, client_id: str, device_label: str) -> BearerToken:
        """Return it as a token of ``account_id``."""
        return BearerToken(
            self.token_id,
            account_id,
            self.token_hash,
            self.prefix,
            client_id,
            device_label,
            self.created_at,
            self.expires_at,
        )


def new_bearer(token_id: str, now: float, lifetime_s: float = BEARER_LIFETIME_S) -> tuple[str, NewBearer]:
    """Return a new token, which is shown once, and what is kept of it."""
    token = ACCOUNT_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
    return token, NewBearer(token_id, hash_secret(token), token[:SHOWN_LETTERS], now, now + lifetime_s)


def new_user_code() -> str:
    """Return a code for a person to type: two groups of four letters."""
    letters = "".join(secrets.choice(USER_CODE_LETTERS) for _ in range(_USER_CODE_LENGTH))
    return f"{letters[:4]}-{letters[4:]}"


def new_device_code() -> str:
    """Return a code for a device to ask with."""
    return f"dc_{secrets.token_urlsafe(_TOKEN_BYTES)}"


def hash_secret(secret: str) -> bytes:
    """Return the 32 bytes under which a bearer token or device code is looked up; any text has one."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def hash_user_code(code: str) -> bytes:
    """Return the same of a code as a person types it: in any letter case, with or without the hyphen."""
    return hash_secret("".join(each for each in code.upper() if each.isalnum()))

"""Form tokens: how they are derived, hashed and recognised.

A form token is not stored. It is HMAC-SHA-256 over what it stands for, written as 43 letters and digits, so the
holder of the key can show the same token again while the database, which holds only its SHA-256, lets nobody act.
"""

import hashlib
import hmac
import re
import string
from enum import StrEnum
from typing import Final, NoReturn

from hitl.errors import ShortTokenKeyError
from hitl.surface import Surface

TOKEN_LENGTH: Final = 43
"""The least number of letters and digits that holds 256 bits: 62 ** 43 > 2 ** 256."""
MIN_KEY_BYTES: Final = 32

_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
# Two digits at a time: dividing a number of 32 bytes is what costs.
_PAIRS: Final = [first + second for first in _ALPHABET for second in _ALPHABET]
_WELL_FORMED: Final = re.compile(rf"[A-Za-z0-9]{{{TOKEN_LENGTH}}}")
_VERSION: Final = b"1"
# Cannot be the start of a length-prefixed tuple, whose first byte is zero: no key id is ever also a token's MAC.
_KEY_ID_MESSAGE: Final = b"greenroom form token key id"


class Purpose(StrEnum):
    """What a token lets its holder do with the form."""

    SUBMIT = "submit"
    """Read the form and answer it."""
    UPLOAD = "upload"
    """Upload files for its answer."""


class TokenKey:
    """The secret that form tokens are derived with.

    It does not show itself in ``repr`` and refuses to be pickled, so it cannot leave its process by accident.

    Raises:
        ShortTokenKeyError: ``secret`` has fewer than 32 bytes.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) < MIN_KEY_BYTES:
            raise ShortTokenKeyError(len(secret))
        self._secret = bytes(secret)

    def __repr__(self) -> str:
        return "TokenKey(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a form token key does not leave its process")

    def sign(self, message: bytes) -> bytes:
        """Return the 32 bytes of HMAC-SHA-256 over ``message``."""
        return hmac.digest(self._secret, message, "sha256")


def key_id(key: TokenKey) -> str:
    """Return a public name of ``key``, 16 hex digits, by which processes notice that their keys differ."""
    return key.sign(_KEY_ID_MESSAGE).hex()[:16]


def derive_token(
    key: TokenKey, purpose: Purpose, form_id: str, recipient_id: str, surface: Surface, generation: int
) -> str:
    """Return the form token of one recipient on one surface: 43 letters and digits, the same on every call.

    Args:
        key: the token key.
        purpose: what the token is for.
        form_id: the form.
        recipient_id: the recipient.
        surface: the surface whose callers it is handed to.
        generation: the recipient's generation; a higher one gives another token.

    Source: design/architecture.md 4.
    """
    parts = (purpose.encode(), form_id.encode(), recipient_id.encode(), surface.encode(), str(generation).encode())
    return _to_text(key.sign(_framed((_VERSION, *parts))))


def hash_token(token: str) -> bytes:
    """Return the 32 bytes under which ``token`` is looked up; any text has one, so every miss costs the same."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def is_well_formed(token: object) -> bool:
    """Return whether ``token`` looks like a form token; says nothing about whether it is one."""
    return isinstance(token, str) and _WELL_FORMED.fullmatch(token) is not None


def _framed(parts: tuple[bytes, ...]) -> bytes:
    """Return ``parts`` each behind its length, so that no two different tuples give the same bytes."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _to_text(mac: bytes) -> str:
    """Return 32 bytes in base 62, padded to 43 characters."""
    number = int.from_bytes(mac, "big")
    pairs = []
    for _ in range(TOKEN_LENGTH // 2 + 1):
        number, pair = divmod(number, len(_PAIRS))
        pairs.append(_PAIRS[pair])
    return "".join(reversed(pairs))[-TOKEN_LENGTH:]

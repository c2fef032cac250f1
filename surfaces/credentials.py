"""What people log in with: addresses and passwords, what they must be like, and how a password is kept.

Argon2id, computed off the event loop.
"""

import asyncio
from typing import Final

from pwdlib import PasswordHash
from pwdlib.exceptions import PwdlibError
from pwdlib.hashers.argon2 import Argon2Hasher

from surfaces.errors import InvalidParamError

MIN_LENGTH: Final = 8
MAX_LENGTH: Final = 1024
"""Characters; hashing more would only be work for us."""
LONGEST_EMAIL: Final = 254
_AT_ONCE: Final = 2
"""Hashes computed at a time in one process: each takes a tenth of a second and 64 MB."""


def check_password(password: str) -> None:
    """Return when a person may have this password.

    Raises:
        InvalidParamError: it is too short, too long, or without a letter or a digit.

    Source: dify 1.14.2 libs/password.py.
    """
    is_mixed = any(each.isalpha() for each in password) and any(each.isdigit() for each in password)
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH or not is_mixed:
        raise InvalidParamError(
            f"The password must have {MIN_LENGTH} to {MAX_LENGTH} characters, among them a letter and a digit."
        )


def checked_email(email: str) -> str:
    """Return an e-mail address as accounts are known by it.

    Raises:
        InvalidParamError: it is none.
    """
    text = email.strip().lower()
    name, _, host = text.partition("@")
    if not name or not host or "@" in host or len(text) > LONGEST_EMAIL or not text.isprintable() or " " in text:
        raise InvalidParamError(f"{email[:64]} is not a valid email.")
    return text


class Passwords:
    """Hashes passwords and checks them. Belongs to one event loop."""

    def __init__(self, hasher: Argon2Hasher | None = None) -> None:
        """Prepare; ``hasher`` says how much work a hash is."""
        self._hash = PasswordHash((hasher or Argon2Hasher(),))
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._nobodys: str | None = None

    async def hashed(self, password: str) -> str:
        """Return what is kept of ``password``: another text on each call."""
        async with self._turns:
            return await asyncio.to_thread(self._hash.hash, password.encode("utf-8", "surrogatepass"))

    async def fits(self, password: str, password_hash: str | None) -> bool:
        """Whether ``password`` is the one of ``password_hash``; None fits nothing, after the same work."""
        if password_hash is None and self._nobodys is None:
            self._nobodys = await self.hashed("nobody's")
        async with self._turns:
            fits = await asyncio.to_thread(self._fits, password, password_hash or self._nobodys or "")
        return fits and password_hash is not None

    def _fits(self, password: str, password_hash: str) -> bool:
        try:
            return self._hash.verify(password[: MAX_LENGTH + 1].encode("utf-8", "surrogatepass"), password_hash)
        except PwdlibError:
            return False

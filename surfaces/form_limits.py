"""How often forms may be read, answered and uploaded to by people without an account.

Counted by the caller's address where it is known; else for each form token, with one high limit for all: never one
small bucket that everybody shares.

Source: spec/hitl.md 1.8 (three limits of 30 per minute), spec/beyond.md 2.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final, Literal

from fastapi import Request

from effects.address_guard import Network
from hitl.form_token import is_well_formed
from store.rate_counters import LocalCounter, RateCounter
from surfaces.client_address import caller_of
from surfaces.errors import FormRateLimitError

FormUse = Literal["read", "submit", "upload_token", "upload"]
"""What is limited, each by itself."""

_HASH_LETTERS: Final = 32


@dataclass(frozen=True, slots=True)
class FormLimits:
    """The limits. ``count`` uses per ``window_s`` seconds by one caller, ``global_count`` by all unknown ones together.

    ``trusted``: networks of the proxies whose word on the caller's address counts.
    """

    counter: RateCounter = field(default_factory=LocalCounter)
    count: int = 30
    window_s: int = 60
    global_count: int = 6000
    trusted: tuple[Network, ...] = ()

    async def take(self, use: FormUse, request: Request, token: str) -> None:
        """Count one use of the form token ``token``, which may be anything.

        Raises:
            FormRateLimitError: there were too many; it says when to try again.
        """
        caller = caller_of(request, self.trusted)
        if caller is not None:
            await self._count(f"{use}:address:{caller.replace('/', '-')}", self.count)
            return
        # The wide limit first: it bounds how many names are counted.
        await self._count(f"{use}:all", self.global_count)
        # What cannot be a token opens nothing, and all of it together must not be one small bucket.
        if is_well_formed(token):
            await self._count(f"{use}:token:{_name_of(token)}", self.count)

    async def _count(self, name: str, count: int) -> None:
        retry_after_s = await self.counter.take(name, count, self.window_s)
        if retry_after_s is not None:
            raise FormRateLimitError(retry_after_s)


def _name_of(token: str) -> str:
    """Return what stands for a token in the counter, which is no secret."""
    return hashlib.sha256(b"greenroom form limits 1 " + token.encode()).hexdigest()[:_HASH_LETTERS]

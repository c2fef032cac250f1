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
from surfaces.errors import FormRateLimitError, RateLimitError

FormUse = Literal["read", "submit", "upload_token", "upload"]
"""What is done with forms, each limited by itself."""

StrangerUse = Literal["passport", "device"]
"""What somebody does who has shown nothing yet: asks for a passport, asks to let a device in."""

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
        # What cannot be a token opens nothing, and all of it together must not be one small bucket.
        name = _name_of(token) if is_well_formed(token) else None
        retry_after_s = await self._counted(use, request, name)
        if retry_after_s is not None:
            raise FormRateLimitError(retry_after_s)

    async def take_of_stranger(self, use: StrangerUse, request: Request) -> None:
        """Count one request of somebody who has shown nothing yet.

        Raises:
            RateLimitError: there were too many; it says when to try again.
        """
        retry_after_s = await self._counted(use, request, None)
        if retry_after_s is not None:
            raise RateLimitError(retry_after_s)

    async def _counted(self, use: str, request: Request, name: str | None) -> float | None:
        """Return None when one more use was counted, else after how many seconds the next may be."""
        caller = caller_of(request, self.trusted)
        if caller is not None:
            return await self._take(f"{use}:address:{caller.replace('/', '-')}", self.count)
        # The wide limit first: it bounds how many names are counted.
        retry_after_s = await self._take(f"{use}:all", self.global_count)
        if retry_after_s is None and name is not None:
            retry_after_s = await self._take(f"{use}:token:{name}", self.count)
        return retry_after_s

    async def _take(self, name: str, count: int) -> float | None:
        return await self.counter.take(name, count, self.window_s)


def _name_of(token: str) -> str:
    """Return what stands for a token in the counter, which is no secret."""
    return hashlib.sha256(b"greenroom form limits 1 " + token.encode()).hexdigest()[:_HASH_LETTERS]

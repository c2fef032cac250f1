"""How often public forms may be used: by address where it is known, else by token and all together."""

from dataclasses import dataclass, field

import pytest
from fastapi import Request

from effects.address_guard import parse_networks
from surfaces.errors import FormRateLimitError
from surfaces.form_limits import FormLimits, FormUse

TOKEN = "A" * 43
OTHER = "B" * 43


@dataclass
class ListCounter:
    """Keeps what was counted."""

    names: list[str] = field(default_factory=list)

    async def take(self, name: str, count: int, window_s: int) -> float | None:
        """Count ``name``."""
        self.names.append(name)
        return None if self.names.count(name) <= count else float(window_s)

    async def close(self) -> None:
        """Do nothing."""


def request(forwarded: str = "") -> Request:
    """Return a request by a proxy on this machine."""
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    return Request({"type": "http", "headers": headers, "client": ("127.0.0.1", 1)})


async def taken(limits: FormLimits, use: FormUse, token: str, forwarded: str = "") -> bool:
    """Whether one more use is let through."""
    try:
        await limits.take(use, request(forwarded), token)
    except FormRateLimitError:
        return False
    return True


async def test_token_is_limited_and_never_everybody() -> None:
    """Where nobody's address is known one used-up token stops nobody else, and another use of it neither."""
    limits = FormLimits(ListCounter(), count=2, trusted=())
    assert [await taken(limits, "read", TOKEN, "1.2.3.4") for _ in range(3)] == [True, True, False]
    assert await taken(limits, "read", OTHER)
    assert await taken(limits, "submit", TOKEN)


async def test_what_cannot_be_a_token_shares_the_high_limit_alone() -> None:
    """Broken links of many people are no small bucket; all together are limited."""
    limits = FormLimits(ListCounter(), count=2, global_count=5)
    assert [await taken(limits, "read", "broken") for _ in range(6)] == [True] * 5 + [False]


async def test_address_is_limited_across_tokens() -> None:
    """One caller whose address is known has one limit for all tokens, and others have theirs."""
    counter = ListCounter()
    limits = FormLimits(counter, count=2, global_count=1, trusted=parse_networks("127.0.0.1"))
    tokens = (TOKEN, OTHER, "C" * 43)
    assert [await taken(limits, "read", token, "198.51.100.1") for token in tokens] == [True, True, False]
    assert await taken(limits, "read", TOKEN, "2001:db8::1")
    assert await taken(limits, "read", TOKEN, "2001:db8::ffff")
    assert not await taken(limits, "read", TOKEN, "2001:db8::2")
    assert set(counter.names) == {"read:address:198.51.100.1", "read:address:2001:db8::-64"}


async def test_counter_never_sees_a_token() -> None:
    """Names of the counter go to Redis: they hold no token and nothing that a token is looked up by."""
    counter = ListCounter()
    await FormLimits(counter).take("read", request(), TOKEN)
    assert not any(TOKEN in name for name in counter.names)


async def test_refusal_says_when_to_try_again() -> None:
    """The error carries the rest of the window."""
    limits = FormLimits(ListCounter(), count=1, window_s=42)
    await limits.take("read", request(), TOKEN)
    with pytest.raises(FormRateLimitError) as refused:
        await limits.take("read", request(), TOKEN)
    assert refused.value.retry_after_s == 42

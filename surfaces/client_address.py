"""From where a request comes, as far as that can be known: by the proxies that are trusted, and only by them.

``X-Forwarded-For`` is what anybody may write; each proxy adds at its right end whom it was called by. So the list is
read from the right, past the proxies that are trusted, to the first that is not: that is the caller.

Source: spec/beyond.md 2.
"""

import ipaddress
from collections.abc import Sequence
from typing import Final

from fastapi import Request

from effects.address_guard import Address, Network

_IPV6_PREFIX: Final = 64
"""What one subscriber usually has: within it addresses cost nothing."""


def caller_of(request: Request, trusted: Sequence[Network]) -> str | None:
    """Return what stands for the caller's address, None where it is not known.

    Args:
        request: the request.
        trusted: the networks of the proxies before this process; without any, no address is known, since even the
            connection comes from a proxy of the cluster.

    Returns:
        An IPv4 address, or the /64 network of an IPv6 one.
    """
    if not trusted:
        return None
    forwarded = ",".join(request.headers.getlist("x-forwarded-for"))
    hops = [hop for part in forwarded.split(",") if (hop := part.strip())]
    if request.client is not None:
        hops.append(request.client.host)
    for hop in reversed(hops):
        address = _address_in(hop)
        if address is None:
            return None
        if not any(address in network for network in trusted):
            return _named(address)
    return None


def _address_in(hop: str) -> Address | None:
    """Return the address in one entry, which may carry brackets and a port; None if it is none."""
    text = hop
    if hop.startswith("["):
        text = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        text = hop.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if mapped is not None else address


def _named(address: Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    # A zone names an interface of the proxy, not the caller.
    plain = ipaddress.IPv6Address(int(address))
    return str(ipaddress.ip_network((plain, _IPV6_PREFIX), strict=False))

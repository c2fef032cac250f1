"""Which addresses requests of workflows may reach, decided where the connection is made.

A name is resolved once, every address it has is checked, and the connection goes to a checked address. So neither a
redirect nor a name that resolves anew between check and use (DNS rebinding) leads anywhere else.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, cast

import httpcore2

from graph.errors import RefusedError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port -> the texts of its addresses; raises OSError for a name that has none."""

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")
_NEXT_AFTER_S: Final = 2.0
"""How long one address of several may take before the next is tried."""
_LOW_32_BITS: Final = 0xFFFFFFFF
_NOT_PUBLIC: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "5f00::/16",
        "fec0::/10",
    )
)  # fmt: skip
"""Of special use too; older Pythons do not know all of them."""


class InvalidNetworkError(RefusedError):
    """A setting lists a network that is none; the operator corrects it."""

    code = "invalid_network"

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"{self.text!r} is no network: write for example 10.1.0.0/16 or fd00:1::/64"


def parse_networks(text: str) -> tuple[Network, ...]:
    """Return the networks that ``text`` lists, parted by commas.

    Raises:
        InvalidNetworkError: an entry is no network.
    """
    networks = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        try:
            networks.append(ipaddress.ip_network(entry))
        except ValueError as error:
            raise InvalidNetworkError(entry) from error
    return tuple(networks)


def embedded(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, else the address itself.

    Those are v4-mapped, v4-compatible, 6to4 and NAT64 addresses: a router or the system may deliver to the IPv4 one.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return address
    plain = ipaddress.IPv6Address(int(address))  # without the zone
    if plain.ipv4_mapped is not None:
        return plain.ipv4_mapped
    if plain.sixtofour is not None:
        return plain.sixtofour
    if plain in _NAT64 or (plain in _COMPATIBLE and int(plain) > 1):
        return ipaddress.IPv4Address(int(plain) & _LOW_32_BITS)
    return plain


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet and to one host there."""
    meant = embedded(address)
    # The properties overlap; what each leaves out differs between Python versions.
    return meant.is_global and not (
        meant.is_private
        or meant.is_multicast
        or meant.is_reserved
        or meant.is_loopback
        or meant.is_link_local
        or meant.is_unspecified
        or any(meant in network for network in _NOT_PUBLIC)
    )


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses that the system has for ``host``; implements Resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections for an HTTP client, to public addresses and to those of ``allowed`` networks only."""

    def __init__(self, allowed: Iterable[Network] = (), resolver: Resolver = resolve) -> None:
        self._allowed = tuple(allowed)
        self._resolve = resolver
        # Its declared type hides that it may be a stand-in that does not construct.
        self._inner: httpcore2.AsyncNetworkBackend = cast(httpcore2.AsyncNetworkBackend, httpcore2.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address of ``host`` that answers, if all its addresses are allowed."""
        try:
            async with asyncio.timeout(timeout):
                addresses = [ipaddress.ip_address(text) for text in await self._resolve(host, port)]
                self._check(host, addresses)
                return await self._connect(addresses, port, local_address, socket_options)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"no connection to {host} in time") from error
        except (OSError, UnicodeError, ValueError) as error:
            raise httpcore2.ConnectError(f"{host} cannot be resolved") from error

    def _check(self, host: str, addresses: Sequence[Address]) -> None:
        # One bad address spoils the name: else a second answer would be the way around.
        if not addresses or not all(self._is_allowed(address) for address in addresses):
            # The address itself stays out of the text: it could tell a workflow what lies inside.
            raise httpcore2.ConnectError(
                f"{host} is not a public address; GREENROOM_HTTP_ALLOWED_NETWORKS can list networks to allow"
            )

    def _is_allowed(self, address: Address) -> bool:
        meant = embedded(address)
        return is_public(address) or any(meant in network or address in network for network in self._allowed)

    async def _connect(
        self,
        addresses: Sequence[Address],
        port: int,
        local_address: str | None,
        socket_options: Iterable[Any] | None,
    ) -> httpcore2.AsyncNetworkStream:
        options = list(socket_options or ())
        for address in addresses[:-1]:
            try:
                return await self._inner.connect_tcp(str(address), port, _NEXT_AFTER_S, local_address, options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(str(addresses[-1]), port, None, local_address, options)

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore2.AsyncNetworkStream:
        """Refuse: what listens on a file is never public."""
        raise httpcore2.ConnectError("connections to unix sockets are not allowed")

    async def sleep(self, seconds: float) -> None:
        """Wait, as the client asks between its own attempts."""
        await asyncio.sleep(seconds)

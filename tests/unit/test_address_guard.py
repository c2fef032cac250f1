"""Where requests of workflows may go: every written form of an address that is not public is refused."""

import ipaddress

import httpcore2
import pytest

from effects.address_guard import GuardedBackend, InvalidNetworkError, is_public, parse_networks

NOT_PUBLIC = (
    "127.0.0.1 127.255.255.254 0.0.0.0 0.1.2.3 10.0.0.1 172.16.0.1 192.168.1.1 100.64.0.1 169.254.169.254 192.0.0.8 "
    "192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255 192.88.99.1 "
    ":: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 2002:7f00:1:: 2002:a00:1::1 "
    "64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 fe80::1 fe80::1%eth0 fec0::1 fc00::1 fd00:ec2::254 ff02::1 "
    "2001::1 2001:db8::1 100::1 5f00::1"
).split()
PUBLIC = (
    "8.8.8.8 1.1.1.1 2606:4700:4700::1111 2001:4860:4860::8888 ::ffff:8.8.8.8 2002:808:808::1 64:ff9b::808:808"
).split()


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_special_address_is_not_public(text):
    """Loopback, private, link-local, shared, reserved, multicast and unspecified addresses are not public.

    Nor are those inside of v4-mapped, v4-compatible, 6to4 and NAT64 addresses.
    """
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_global_address_is_public(text):
    """An address of the internet is public, also inside of an IPv6 form."""
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "host",
    "127.0.0.1 localhost ::1 0x7f000001 0x7f.1 2130706433 017700000001 127.1 0 169.254.169.254 ::ffff:127.0.0.1 "
    "10.1.2.3 fe80::1 [::1] 127.0.0.1. localhost.".split(),
)
async def test_every_spelling_of_an_inner_address_is_refused(host):
    """However an address is written, the system's resolver decides what it means, and that is checked."""
    with pytest.raises(httpcore2.ConnectError, match=r"not a public address|cannot be resolved"):
        await GuardedBackend().connect_tcp(host, 9, timeout=5.0)


async def test_one_inner_address_spoils_a_name():
    """A name with a public and an inner address is refused, in either order."""
    for addresses in (["8.8.8.8", "10.0.0.1"], ["10.0.0.1", "8.8.8.8"], []):

        async def resolver(host: str, port: int, found: list[str] = addresses) -> list[str]:
            return found

        with pytest.raises(httpcore2.ConnectError, match=r"x\.test is not a public address"):
            await GuardedBackend(resolver=resolver).connect_tcp("x.test", 80)


async def test_unix_sockets_are_refused():
    """No connection goes to a socket file."""
    with pytest.raises(httpcore2.ConnectError):
        await GuardedBackend().connect_unix_socket("/run/docker.sock")


async def test_name_that_does_not_resolve_is_a_connection_error():
    """A name without addresses fails like any other that cannot be reached."""

    async def resolver(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    with pytest.raises(httpcore2.ConnectError, match=r"x\.test cannot be resolved"):
        await GuardedBackend(resolver=resolver).connect_tcp("x.test", 80)


def test_networks_are_read_from_a_list():
    """The setting lists networks of both families; what is none is named."""
    assert [str(each) for each in parse_networks(" 10.0.0.0/8, fd00::/8 ,")] == ["10.0.0.0/8", "fd00::/8"]
    with pytest.raises(InvalidNetworkError, match=r"'10\.0\.0\.1/8' is no network"):
        parse_networks("10.0.0.1/8")

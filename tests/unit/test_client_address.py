"""From where a request comes: only trusted proxies say so, and the list is read from the right."""

import pytest
from fastapi import Request

from effects.address_guard import parse_networks
from surfaces.client_address import caller_of

PROXIES = parse_networks("10.0.0.0/8, 127.0.0.0/8, fd00::/8")


def request(peer: str | None, *forwarded: str) -> Request:
    """Return a request of ``peer`` with these ``X-Forwarded-For`` lines."""
    headers = [(b"x-forwarded-for", line.encode()) for line in forwarded]
    return Request({"type": "http", "headers": headers, "client": None if peer is None else (peer, 1)})


@pytest.mark.parametrize(
    ("peer", "forwarded", "caller"),
    [
        ("203.0.113.9", (), "203.0.113.9"),
        ("203.0.113.9", ("198.51.100.1",), "203.0.113.9"),
        ("127.0.0.1", ("198.51.100.1",), "198.51.100.1"),
        ("127.0.0.1", ("6.6.6.6, 198.51.100.1",), "198.51.100.1"),
        ("127.0.0.1", ("6.6.6.6, 198.51.100.1, 10.2.3.4",), "198.51.100.1"),
        ("127.0.0.1", ("6.6.6.6", "198.51.100.1, 10.2.3.4"), "198.51.100.1"),
        ("127.0.0.1", ("198.51.100.1:4711",), "198.51.100.1"),
        ("127.0.0.1", (" 198.51.100.1 ,, ",), "198.51.100.1"),
        ("fd00::1", ("[2001:db8:1:2:3::4]:443",), "2001:db8:1:2::/64"),
        ("127.0.0.1", ("2001:db8:1:2:ffff::9",), "2001:db8:1:2::/64"),
        ("127.0.0.1", ("fe80::1%eth0",), "fe80::/64"),
        ("::ffff:127.0.0.1", ("::ffff:198.51.100.1",), "198.51.100.1"),
        (None, ("198.51.100.1",), "198.51.100.1"),
        ("127.0.0.1", (), None),
        ("127.0.0.1", ("10.1.1.1, 10.2.2.2",), None),
        ("127.0.0.1", ("198.51.100.1, unknown",), None),
        ("127.0.0.1", ("198.51.100.1, 1.2.3.4.5",), None),
        ("unix:", ("198.51.100.1",), None),
        (None, (), None),
    ],
)
def test_caller_is_the_last_hop_that_is_not_trusted(
    peer: str | None, forwarded: tuple[str, ...], caller: str | None
) -> None:
    """What stands left of the first stranger anybody may have written; what is no address says nothing."""
    assert caller_of(request(peer, *forwarded), PROXIES) == caller


def test_nobody_is_known_without_trusted_proxies() -> None:
    """Even the connection comes from a proxy of the cluster."""
    assert caller_of(request("203.0.113.9", "198.51.100.1"), ()) is None

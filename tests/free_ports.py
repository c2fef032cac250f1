"""Ports for servers that cannot choose one themselves."""

import random
import socket

RANGE = range(20_000, 30_000)
"""Below what Linux gives to connections and to servers that ask for any port (from 32768), and Serve to its replicas
(from 30000); above what Ray gives to its workers (to 19999). So nobody else takes a port between the choice and its
use, not even while its server is being restarted."""


def free_ports(count: int) -> list[int]:
    """Return ports of this machine that nobody listens on now.

    Raises:
        OSError: there are not so many.
    """
    found = []
    for port in random.SystemRandom().sample(RANGE, len(RANGE)):
        if len(found) == count:
            return found
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        found.append(port)
    raise OSError("no free port")

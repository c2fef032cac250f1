"""A client of a Greenroom on several nodes, in a process of its own: it reads a call a line and writes a reply a line.

The tests' process may be connected to another Ray already, and a client dies with the node that it is connected to.
"""

import json
import os
import sys
from typing import Any

import ray

from actors.calls import NAMESPACE
from actors.client import Greenroom
from graph.errors import GreenroomError


def called(greenroom: Greenroom, what: str, arguments: dict[str, Any]) -> Any:
    """Return the result of one call."""
    match what:
        case "start":
            return greenroom.start(**arguments).run_id
        case "submit":
            return greenroom.submit(**arguments)
        case "token":
            return greenroom.disposition(**arguments).form_token
        case _:
            raise ValueError(what)


def main(address: str, node: str) -> None:
    """Serve until the input ends.

    Args:
        address: of the cluster.
        node: IP address of the node to be a process of.
    """
    # Ray says on the standard output what happens to nodes.
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    ray.init(address, namespace=NAMESPACE, log_to_driver=False, logging_level="ERROR", _node_ip_address=node)
    greenroom = Greenroom.connect()
    print(json.dumps("ready"), file=replies)
    for line in sys.stdin:
        what, arguments = json.loads(line)
        try:
            reply = {"is": called(greenroom, what, arguments)}
        except GreenroomError as error:
            reply = {"error": str(error), "code": error.code}
        print(json.dumps(reply), file=replies)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Ids that are derived, so that they are the same after any crash."""

from hashlib import blake2b


def derive_execution_id(run_id: str, scope: str, node_id: str) -> str:
    """Return the id of the one execution of a node in one pass of its scope, shaped like a UUID.

    It is the idempotency key of the node's effects and of its form, so it is the same after any crash.
    """
    digest = blake2b(f"{run_id}\0{scope}\0{node_id}".encode(), digest_size=16).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:]}"

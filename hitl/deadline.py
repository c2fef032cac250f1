"""The two deadlines of a form: the node's own, and the global one after which its run is given up."""

DEFAULT_GLOBAL_TIMEOUT_S = 604_800.0
"""Seven days."""


def node_deadline(opened_at: float, timeout_s: float) -> float:
    """Return when the node stops waiting; from then on its run takes the timeout edge.

    Args:
        opened_at: when the form was opened, Unix seconds.
        timeout_s: the node's timeout in seconds.
    """
    return opened_at + timeout_s


def global_deadline(opened_at: float, global_timeout_s: float | None) -> float | None:
    """Return when the run of a form is given up, or None where there is no global deadline.

    It counts from the opening of each form, so a run with forms in sequence may live longer in total. Forms
    without a run (delivery tests) have none: pass None for them.

    Args:
        opened_at: when the form was opened, Unix seconds.
        global_timeout_s: the configured limit in seconds; None, zero and less switch it off.

    Source: spec/hitl.md 3.3 (HUMAN_INPUT_GLOBAL_TIMEOUT_SECONDS).
    """
    if global_timeout_s is None or global_timeout_s <= 0:
        return None
    return opened_at + global_timeout_s


def next_deadline(expires_at: float, global_expires_at: float | None) -> float:
    """Return the earlier of a form's two deadlines: when something is next due for it."""
    return expires_at if global_expires_at is None else min(expires_at, global_expires_at)

"""What a webhook is told, and how it can tell that it is Greenroom who says so. Pure.

An event holds ids, a status and the id of the chosen action; no answer, no output, and never a form token.

Source: spec/beyond.md 1, row 12.
"""

import hashlib
import hmac
from typing import Any, Final

from graph.events import Fact, RunFinished, RunPaused, RunResumed

SIGNATURE_HEADER: Final = "Greenroom-Signature"


def event_of_fact(fact: Fact) -> tuple[str, dict[str, Any]] | None:
    """Return the event that a fact of a run is to webhooks, with what it says beside the ids; None for most facts."""
    match fact:
        case RunPaused():
            return "run.paused", {"status": "paused", "form_ids": list(fact.form_ids)}
        case RunResumed():
            return "run.resumed", {"status": "running"}
        case RunFinished():
            return "run.finished", {"status": fact.status}
        case _:
            return None


def signature(secret: bytes, timestamp: int, body: bytes) -> str:
    """Return the value of the signature header: ``t=<timestamp>,v1=<HMAC-SHA-256 of "<timestamp>.<body>", hex>``.

    Args:
        secret: what sender and receiver share.
        timestamp: Unix seconds of this attempt, so that a receiver can refuse old ones.
        body: the bytes that are sent.
    """
    digest = hmac.new(secret, f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"

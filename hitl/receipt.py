"""A receipt: the signed statement of what was asked, who decided it, under which rules, and what became of it.

What was proposed, decided and taken up are facts of their own in it. Whoever has the public key checks a receipt
without this installation. Contents are in it as hashes; the digest of the form says what was shown.

    {"statement": {...}, "signature": {"algorithm": "Ed25519", "key_id": "<16 hex>", "value": "<128 hex>"}}

Signed are the bytes ``greenroom receipt 1`` and a line break, followed by the statement as canonical JSON.

Source: spec/beyond.md 1, row 10.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, assert_never

from hitl.approval import Vote
from hitl.digest import canonical_json, form_digest, hash_of
from hitl.errors import InvalidReceiptError
from hitl.form import Form
from hitl.receipt_key import ReceiptKey, ReceiptVerifier
from hitl.submission import Submission

_KIND: Final = "greenroom.receipt.1"
_PREFIX: Final = b"greenroom receipt 1\n"
_ALGORITHM: Final = "Ed25519"
_SIGNATURE: Final = re.compile(r"[0-9a-f]{128}")


@dataclass(frozen=True, slots=True)
class ByAccount:
    """An account, known to the surface through which it decided."""

    account_id: str
    email: str


@dataclass(frozen=True, slots=True)
class ByApiKey:
    """Whoever held an API key of the app; ``claimed_user`` is the key holder's word and proves nobody."""

    api_key_id: str
    claimed_user: str


@dataclass(frozen=True, slots=True)
class ByLink:
    """Whoever held the link of a recipient."""

    recipient_id: str
    recipient_type: str


Decider = ByAccount | ByApiKey | ByLink


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer that decided a form. ``via``: the surface; ``at``: Unix seconds."""

    submission: Submission
    by: Decider
    via: str
    at: float


@dataclass(frozen=True, slots=True)
class TakenUp:
    """The fact of the run's journal by which it took the decision up: its number, and when, Unix seconds."""

    number: int
    at: float


def receipt_statement(
    form: Form, decision: Decision, votes: Sequence[Vote], version_id: str | None, taken_up: TakenUp | None
) -> dict[str, Any]:
    """Return what a receipt states; the same arguments give equal bytes of canonical JSON.

    Args:
        form: the decided form.
        decision: what decided it.
        votes: all that count, the deciding one included, in the order in which they came; none without approval rules.
        version_id: of the workflow that the run executes; None for a form without a run.
        taken_up: how the run took the decision up, None while it has not.
    """
    return {
        "kind": _KIND,
        "form": {"form_id": form.form_id, "digest": form_digest(form.definition)},
        "policy": _policy(form),
        "proposed": {
            "at": _time(form.created_at),
            "workspace_id": form.workspace_id,
            "app_id": form.app_id,
            "version_id": version_id,
            "run_id": form.run_id,
            "node_id": form.node_id,
            "execution_id": form.execution_id,
        },
        "votes": [
            {**_answer(vote.submission), "at": _time(vote.at), "via": vote.via,
             "by": _decider(ByAccount(vote.account_id, vote.email))}
            for vote in votes
        ],
        "decided": {
            **_answer(decision.submission),
            "at": _time(decision.at),
            "via": decision.via,
            "by": _decider(decision.by),
        },
        "taken_up": None if taken_up is None else {"at": _time(taken_up.at), "fact_number": taken_up.number},
    }  # fmt: skip


def sign_receipt(statement: dict[str, Any], key: ReceiptKey) -> dict[str, Any]:
    """Return the receipt of ``statement``."""
    value = key.sign(_PREFIX + canonical_json(statement)).hex()
    return {
        "statement": statement,
        "signature": {"algorithm": _ALGORITHM, "key_id": key.verifier.key_id, "value": value},
    }


def read_receipt(text: str | bytes) -> Any:
    """Return the JSON value in ``text``.

    Raises:
        InvalidReceiptError: it is no JSON, or names a member twice, which two readers might read differently.
    """
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise InvalidReceiptError("it is no JSON with each name once") from None


def verified_statement(receipt: Any, key: ReceiptVerifier) -> dict[str, Any]:
    """Return the statement of ``receipt`` when ``key`` has signed exactly this.

    Raises:
        InvalidReceiptError: it is no receipt, was signed with another key, or differs from what was signed.
    """
    if not isinstance(receipt, dict) or receipt.keys() != {"statement", "signature"}:
        raise InvalidReceiptError("it has not the members statement and signature alone")
    statement, signature = receipt["statement"], receipt["signature"]
    if not isinstance(statement, dict) or statement.get("kind") != _KIND:
        raise InvalidReceiptError(f"its statement is not of the kind {_KIND}")
    if not isinstance(signature, dict) or signature.keys() != {"algorithm", "key_id", "value"}:
        raise InvalidReceiptError("its signature has not the members algorithm, key_id and value alone")
    if signature["algorithm"] != _ALGORITHM:
        raise InvalidReceiptError(f"its signature is not of the algorithm {_ALGORITHM}")
    if signature["key_id"] != key.key_id:
        raise InvalidReceiptError(f"it names another key than {key.key_id}, with which it was checked")
    value = signature["value"]
    if not isinstance(value, str) or _SIGNATURE.fullmatch(value) is None:
        raise InvalidReceiptError("its signature is not 128 hexadecimal digits")
    if not key.has_signed(_PREFIX + _canonical(statement), bytes.fromhex(value)):
        raise InvalidReceiptError("its statement is not the one that was signed")
    return statement


def _canonical(statement: dict[str, Any]) -> bytes:
    try:
        return canonical_json(statement)
    except TypeError:
        raise InvalidReceiptError("its statement holds a value that no receipt has") from None


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise ValueError("a name is there twice")
    return found


def _policy(form: Form) -> dict[str, Any]:
    """Return the rules under which the form was decided, and their hash, by which equal rules are found."""
    kept = form.definition.approval
    rules = None if kept is None else {"approval": kept["rules"], "groups": kept["groups"]}
    return {"hash": hash_of(rules), "rules": rules, "initiator": None if kept is None else kept["initiator"]}


def _answer(submission: Submission) -> dict[str, Any]:
    return {
        "action_id": submission.action_id,
        "action_title": submission.action_title,
        "values_hash": hash_of(submission.values),
    }


def _decider(by: Decider) -> dict[str, str]:
    match by:
        case ByAccount(account_id, email):
            says = f"account {email}"
            return {"kind": "account", "account_id": account_id, "email": email, "says": says}
        case ByApiKey(api_key_id, claimed_user):
            says = f"API key {api_key_id} claims user {claimed_user}"
            return {"kind": "api_key", "api_key_id": api_key_id, "claimed_user": claimed_user, "says": says}
        case ByLink(recipient_id, recipient_type):
            says = f"whoever held the link of recipient {recipient_id}"
            return {"kind": "link", "recipient_id": recipient_id, "recipient_type": recipient_type, "says": says}
        case _:
            assert_never(by)


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""Receipts: what they state, that they are the same every time, and that no change of them goes unnoticed."""

import copy
import json
import pickle
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from graph.human_rules import Approval, AppRules
from hitl.approval import Vote, approval_of
from hitl.digest import canonical_json, form_digest
from hitl.errors import InvalidReceiptError, InvalidReceiptKeyError
from hitl.form_token import TokenKey
from hitl.receipt import (
    ByAccount,
    ByApiKey,
    ByLink,
    Decision,
    TakenUp,
    read_receipt,
    receipt_statement,
    sign_receipt,
    verified_statement,
)
from hitl.receipt_key import ReceiptKey, ReceiptVerifier
from hitl.submission import Submission
from store_world import ANSWER, NOW, new_form, new_run

KEY = ReceiptKey(b"r" * 32)
RULES = approval_of(
    Approval(approvers=("group:board",), quorum=2), AppRules(groups={"board": ("a@x.org", "b@x.org")}), None, "abc"
)


def form() -> Any:
    """A form that needs two approvers."""
    asked = new_form(new_run())
    return replace(asked, definition=replace(asked.definition, approval=RULES))


def statement(**changes: Any) -> dict[str, Any]:
    """The statement of a form that two accounts have decided."""
    votes = [Vote(f"id {name}", f"{name}@x.org", ANSWER, NOW + 1, "console") for name in ("a", "b")]
    arguments = {
        "form": form(),
        "decision": Decision(ANSWER, ByAccount("id b", "b@x.org"), "console", NOW + 1),
        "votes": votes,
        "version_id": "version",
        "taken_up": TakenUp(7, NOW + 2),
    }
    return receipt_statement(**{**arguments, **changes})


def test_statement_has_what_was_proposed_decided_and_taken_up() -> None:
    """The three are facts of their own, with the digest of the form and the rules that held."""
    stated = statement()
    assert stated["form"]["digest"] == form_digest(form().definition)
    assert stated["policy"]["rules"]["groups"] == {"board": ["a@x.org", "b@x.org"]}
    assert stated["proposed"]["at"] == "2026-06-09T10:13:20.000Z"
    assert [vote["by"]["email"] for vote in stated["votes"]] == ["a@x.org", "b@x.org"]
    assert stated["decided"]["at"] == "2026-06-09T10:13:21.000Z"
    assert stated["taken_up"] == {"at": "2026-06-09T10:13:22.000Z", "fact_number": 7}
    assert "fine" not in json.dumps(stated), "values are in it as a hash only"
    assert statement(taken_up=None)["taken_up"] is None


@pytest.mark.parametrize(
    ("by", "says"),
    [
        (ByAccount("id", "a@x.org"), "account a@x.org"),
        (ByApiKey("k1", "u1"), "API key k1 claims user u1"),
        (ByLink("r1", "email_external"), "whoever held the link of recipient r1"),
    ],
)
def test_statement_says_how_the_decider_is_known(by: Any, says: str) -> None:
    """An account, the word of a key's holder, and a link are told apart."""
    assert statement(decision=Decision(ANSWER, by, "x", NOW))["decided"]["by"]["says"] == says


def test_policy_hash_names_the_rules() -> None:
    """Equal rules have equal hashes, other rules and no rules another."""
    plain = new_form(new_run())
    other = replace(plain, definition=replace(plain.definition, approval={**(RULES or {}), "groups": {}}))
    hashes = [statement(form=each)["policy"]["hash"] for each in (form(), form(), plain, other)]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_receipt_is_the_same_every_time_and_valid() -> None:
    """The same facts give the same bytes, which the public key confirms, also after a way through text."""
    made = sign_receipt(statement(), KEY)
    assert canonical_json(made) == canonical_json(sign_receipt(statement(), KEY))
    read = read_receipt(json.dumps(made, indent=2).encode())
    assert verified_statement(read, ReceiptVerifier.of_pem(KEY.verifier.pem.encode())) == statement()


def test_receipt_can_be_checked_without_greenroom() -> None:
    """What is signed is a line and the statement with sorted names, which any Ed25519 library checks."""
    made = sign_receipt(statement(), KEY)
    plain = json.dumps(made["statement"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    public = load_pem_public_key(KEY.verifier.pem.encode())
    public.verify(bytes.fromhex(made["signature"]["value"]), b"greenroom receipt 1\n" + plain.encode())


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of everything in a JSON value, the value itself left out."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in members:
        yield (*path, name)
        yield from places(inner, (*path, name))


def changed(receipt: Any, path: tuple[Any, ...], new: Any, *, drop: bool = False) -> Any:
    """Return a copy of ``receipt`` with another value, or nothing, at ``path``."""
    made = copy.deepcopy(receipt)
    owner = made
    for name in path[:-1]:
        owner = owner[name]
    if drop:
        del owner[path[-1]]
    else:
        owner[path[-1]] = new
    return made


MADE = sign_receipt(statement(), KEY)


@pytest.mark.parametrize("path", list(places(MADE)), ids=lambda path: ".".join(map(str, path)))
def test_no_field_can_be_tampered_with(path: tuple[Any, ...]) -> None:
    """Any other value at any place, a missing one, and one more beside it make the receipt invalid."""
    value = MADE
    for name in path:
        value = value[name]
    others = [None if value is not None else 1, "x", [value], {"x": value}, value is not True]
    others += [value[:-1] + ("1" if value[-1] == "0" else "0"), value.upper() + " "] if isinstance(value, str) else []
    others += [value + 1, float(value)] if isinstance(value, int) else []
    forged = [changed(MADE, path, other) for other in others] + [changed(MADE, path, None, drop=True)]
    if isinstance(value, dict):
        forged.append(changed(MADE, (*path, "more"), 1))
    for receipt in forged:
        with pytest.raises(InvalidReceiptError):
            verified_statement(receipt, KEY.verifier)


@pytest.mark.parametrize("value", [None, 1, [], {}, {**MADE, "more": 1}, {"statement": [], "signature": {}}])
def test_what_is_no_receipt_is_refused(value: Any) -> None:
    """Anything else than a receipt gets a sentence."""
    with pytest.raises(InvalidReceiptError):
        verified_statement(value, KEY.verifier)


@pytest.mark.parametrize("text", ["", "{", '{"statement": 1, "statement": 2}', "[" * 100_000, b"\xff", "NaN-"])
def test_text_that_two_readers_might_read_differently_is_refused(text: Any) -> None:
    """No JSON, a name twice, endless nesting."""
    with pytest.raises(InvalidReceiptError):
        read_receipt(text)


@pytest.mark.parametrize("value", [2**70, "\ud800"])
def test_value_that_no_receipt_has_is_refused(value: Any) -> None:
    """What canonical JSON cannot hold is told like any other change."""
    with pytest.raises(InvalidReceiptError, match="no receipt has"):
        verified_statement(changed(MADE, ("statement", "votes"), value), KEY.verifier)


def test_receipt_of_another_key_is_refused() -> None:
    """Also where it is made to look like one of this key."""
    foreign = sign_receipt(statement(), ReceiptKey(b"f" * 32))
    for receipt in (foreign, changed(foreign, ("signature", "key_id"), KEY.verifier.key_id)):
        with pytest.raises(InvalidReceiptError):
            verified_statement(receipt, KEY.verifier)


def test_key_file_without_a_public_key_is_refused() -> None:
    """Only an Ed25519 public key in PEM checks receipts."""
    other = generate_private_key(SECP256R1()).public_key()
    for pem in (b"", b"secret", other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)):
        with pytest.raises(InvalidReceiptKeyError):
            ReceiptVerifier.of_pem(pem)


def test_secret_key_neither_shows_nor_leaves_its_process() -> None:
    """Neither repr nor pickle gives it away; derived from a token key it is always the same."""
    token_key = TokenKey(b"k" * 32)
    derived = [ReceiptKey.derived_from(token_key).verifier.key_id for _ in range(2)]
    assert derived[0] == derived[1] != KEY.verifier.key_id
    assert repr(KEY) == "ReceiptKey(***)"
    with pytest.raises(TypeError):
        pickle.dumps(KEY)


def test_answer_of_the_receipt_is_bound_by_its_values() -> None:
    """Another value, in the answer or in a vote, is another hash."""
    other = Submission(ANSWER.action_id, ANSWER.action_title, {"comment": "other"})
    stated = statement(decision=Decision(other, ByAccount("id b", "b@x.org"), "console", NOW))
    assert stated["decided"]["values_hash"] != stated["votes"][0]["values_hash"]

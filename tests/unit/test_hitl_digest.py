"""The digest of a form: what it covers, and what a decision that was made on something else meets."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitl.digest import canonical_json, check_answerable, form_digest
from hitl.errors import FormAlreadySubmittedError, FormChangedError, FormExpiredError
from hitl.form import FormDefinition, FormStatus
from store_world import new_form

ASKED = FormDefinition(
    "Pay 5 €?",
    [{"type": "paragraph", "output_variable_name": "comment"}],
    [{"id": "approve", "title": "Approve", "button_style": "primary"}, {"id": "reject", "title": "No"}],
    {"comment": "fine"},
    "human",
    "Review",
)


def test_digest_is_known() -> None:
    """The digest of a form never changes between versions: it stands in receipts."""
    assert form_digest(ASKED) == "5b9306ed066dece69969268fc15b3d17f2c6ff32aa5e56185a08e2c2473ef75e"


@pytest.mark.parametrize(
    "change",
    [
        {"form_content": "Pay 6 €?"},
        {"inputs": []},
        {"inputs": [{"type": "paragraph", "output_variable_name": "remark"}]},
        {"actions": [{"id": "approve"}]},
        {"actions": [{"id": "reject"}, {"id": "approve"}]},
        {"resolved_default_values": {"comment": "fine!"}},
        {"resolved_default_values": {}},
    ],
)
def test_digest_covers_what_is_decided_on(change: dict[str, Any]) -> None:
    """Content, inputs, action ids and resolved defaults each change the digest."""
    assert form_digest(replace(ASKED, **change)) != form_digest(ASKED)


@pytest.mark.parametrize(
    "change",
    [
        {"node_title": "Other"},
        {"node_id": "other"},
        {"display_in_ui": True},
        {"actions": [{"id": "approve", "button_style": "ghost"}, {"id": "reject", "title": "Nope"}]},
    ],
)
def test_digest_leaves_presentation_out(change: dict[str, Any]) -> None:
    """How the form looks does not change what was decided on."""
    assert form_digest(replace(ASKED, **change)) == form_digest(ASKED)


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(
    st.characters(codec="utf-8")), lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(
        codec="utf-8")), inner)))  # fmt: skip
def test_digest_survives_storage(value: Any) -> None:
    """What was written to a store and read again has the bytes that it had before, whatever the order of names."""
    stored = orjson.loads(orjson.dumps(value))
    turned = orjson.loads(orjson.dumps(dict(reversed(value.items())))) if isinstance(value, dict) else stored
    assert canonical_json(value) == canonical_json(stored) == canonical_json(turned)


def test_digest_of_something_else_is_refused() -> None:
    """A decision counts only for the form that was shown."""
    form = new_form(None)
    check_answerable(form, f" {form_digest(form.definition).upper()}\n", form.created_at)
    check_answerable(form, None, form.created_at)
    for digest in ("", "é", form_digest(ASKED)):
        with pytest.raises(FormChangedError) as caught:
            check_answerable(form, digest, form.created_at)
        assert caught.value.form_id == form.form_id


def test_closed_form_is_refused_whatever_the_digest() -> None:
    """That nothing is asked any more is told before that it was something else."""
    form = new_form(None)
    for digest in (None, form_digest(ASKED)):
        with pytest.raises(FormAlreadySubmittedError):
            check_answerable(replace(form, status=FormStatus.SUBMITTED), digest, form.created_at)
        with pytest.raises(FormExpiredError):
            check_answerable(form, digest, form.expires_at)

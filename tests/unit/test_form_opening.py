"""Opening a form: its deadlines, its recipients, and a token hash for each surface that may act."""

from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from actors.errors import NotMailMethodError
from actors.form_opening import (
    delivery_test_form,
    may_answer_by_id,
    needs_members,
    new_form,
    new_recipients,
    token_rows,
)
from actors.messages import DeliveryTestOrder, FormOrder
from graph.human_rules import AppRules, FormRules, Webhook
from graph.ports import FormRequest
from hitl.approval import Terms
from hitl.form_token import Purpose, TokenKey, derive_token, hash_token
from hitl.policy import token_surfaces
from hitl.recipient import Member, RecipientType
from hitl.surface import Surface
from store_world import new_run

KEY = TokenKey(b"k" * 32)
WEB = {"id": "web", "type": "webapp", "enabled": True}
MAIL = {"type": "email", "enabled": True, "config": {"recipients": {"whole_workspace": True, "items": []}}}


REQUEST = FormRequest("run", "node", "execution", "Title", "Well?", [], [{"id": "ok", "title": "OK"}], {}, [], 60.0)


def opening(
    *methods: dict, source: str = "service-api", account_id: str | None = None, inputs: tuple = (), rules: Any = None
):
    """A form with its recipients; ids are counted."""
    ids = count(1)

    def new_id() -> str:
        return f"id{next(ids)}"

    asked = FormRules.model_validate(rules or {})
    request = replace(REQUEST, inputs=list(inputs), delivery_methods=list(methods), rules=asked)
    groups = AppRules(groups={"board": ("b@example.com",), "other": ("o@example.com",)})
    order = FormOrder(request, "ws", "app", source, account_id, "abc", groups)
    form = new_form(order, 1000.0, 3600.0, new_id)
    return form, new_recipients(order, form.form_id, [Member("acc", "a@example.com")], new_id)


def asks_for_members(*methods: dict | None) -> bool:
    """Whether a form with these delivery methods needs to know the workspace's members."""
    return needs_members(replace(REQUEST, delivery_methods=list(methods)))


def test_form_has_both_deadlines():
    """The node's timeout and the global one count from the opening."""
    form, _ = opening(WEB)
    assert (form.expires_at, form.global_expires_at) == (1060.0, 4600.0)
    assert (form.run_id, form.execution_id, form.definition.node_title) == ("run", "execution", "Title")
    assert form.definition.display_in_ui


def test_recipients_follow_the_delivery_methods():
    """Web app, members by mail, and the console's inbox; members are needed for mail alone."""
    _, recipients = opening(WEB, MAIL)
    assert [each.type for each in recipients] == [
        RecipientType.STANDALONE_WEB_APP, RecipientType.EMAIL_MEMBER, RecipientType.BACKSTAGE
    ]  # fmt: skip
    assert asks_for_members(WEB, MAIL)
    assert not asks_for_members(WEB, None)


def test_every_surface_that_may_act_has_a_token_of_its_own():
    """There is one hash for each (recipient, surface); none of them opens another."""
    form, recipients = opening(WEB, MAIL)
    rows = [row for each in recipients for row in token_rows(form, each, KEY)]
    assert len({row.token_hash for row in rows}) == len(rows)
    assert [(row.recipient_id, row.surface) for row in rows] == [
        (each.recipient_id, surface) for each in recipients for surface in token_surfaces(each)
    ]
    token = derive_token(KEY, Purpose.SUBMIT, form.form_id, recipients[0].recipient_id, Surface.WEB, 1)
    assert hash_token(token) in {row.token_hash for row in rows}


def test_form_that_asks_for_files_has_upload_tokens_for_the_public_page():
    """Whoever may answer on the public page may upload there, and only there."""
    form, recipients = opening(WEB, inputs=({"type": "file", "output_variable_name": "doc"},))
    uploads = {
        each.type: [row.surface for row in token_rows(form, each, KEY) if row.purpose is Purpose.UPLOAD]
        for each in recipients
    }
    assert set(uploads[RecipientType.STANDALONE_WEB_APP]) == {Surface.SERVICE_API, Surface.OPENAPI, Surface.WEB}
    assert uploads[RecipientType.BACKSTAGE] == []


def test_account_may_answer_by_id_what_the_console_shows():
    """A form with a living console recipient can be answered by its id."""
    _, recipients = opening(source="debugger", account_id="acc")
    assert may_answer_by_id(recipients)
    assert not may_answer_by_id([])


APPROVAL = {"approval": {"approvers": ["group:board", "a@example.com"], "quorum": 2}, "idempotent": True}


@pytest.mark.parametrize("source", ["service-api", "web-app", "debugger", "explore", "python"])
def test_form_that_needs_approvers_has_no_token_that_proves_nobody(source: str):
    """However it is delivered, only the console, where accounts log in, is given tokens."""
    form, recipients = opening(WEB, MAIL, source=source, account_id="acc", rules=APPROVAL)
    rows = [row for each in recipients for row in token_rows(form, each, KEY)]
    assert {row.surface for row in rows} == {Surface.CONSOLE}
    assert may_answer_by_id(recipients)
    assert form.definition.display_in_ui == (source == "debugger")


def test_form_keeps_the_rules_under_which_it_is_decided():
    """The rules, the groups that they name, and who started the run; without rules nothing."""
    form, _ = opening(WEB, account_id="acc", rules=APPROVAL)
    terms = Terms.of(form.definition)
    assert terms is not None
    assert (terms.rules.quorum, terms.groups) == (2, {"board": frozenset({"b@example.com"})})
    assert (terms.initiator_id, terms.initiator_user) == ("acc", "abc")
    assert form.definition.is_idempotent
    plain, _ = opening(WEB)
    assert (plain.definition.approval, plain.definition.is_idempotent) == (None, False)


TOLD = Webhook(url="https://x.example/a", events=("form.decided", "run.paused"), secret_env="GREENROOM_WEBHOOK_A")
UNTOLD = Webhook(url="https://x.example/b", events=("run.paused",), secret_env="GREENROOM_WEBHOOK_B")
TEXT = {"subject": "S", "body": "B"}


def mail_method(method_id: str, *emails: str, **changes: object) -> dict:
    """An e-mail method to outside addresses."""
    items = [{"type": "external", "email": email} for email in emails]
    return {"id": method_id, "type": "email", "config": {"recipients": {"items": items}, **TEXT}, **changes}


def test_form_keeps_the_texts_of_its_mails_and_whom_to_tell_of_its_end():
    """The definition holds the text of each e-mail method that is on; recipients name theirs."""
    form, recipients = opening(WEB, mail_method("m", "a@x.example"), mail_method("off", "b@x.example", enabled=False))
    assert form.definition.mails == {"m": TEXT}
    assert form.definition.webhooks == []
    assert [each.payload.get("delivery_method_id") for each in recipients] == [None, "m", None]


def test_order_of_a_form_names_the_webhooks_of_its_end_only():
    """Of the app's webhooks a form keeps those that are told of decisions, without any secret."""
    order = FormOrder.of(trial().request, new_run(), AppRules(webhooks=(TOLD, UNTOLD)))
    form = new_form(order, 0.0, 0.0, lambda: "id")
    assert form.definition.webhooks == [{"url": TOLD.url, "secret_env": TOLD.secret_env}]


def trial(method_id: str = "m") -> DeliveryTestOrder:
    """A delivery test of a node with two e-mail methods that are off."""
    methods = [WEB, mail_method("m", "a@x.example", enabled=False), mail_method("n", "b@x.example", enabled=False)]
    request = FormRequest("", "node", "trial", "Title", "Well?", [], [], {}, methods, 60.0)
    return DeliveryTestOrder(request, method_id, "ws", "app", "acc")


def test_delivery_test_opens_a_form_for_the_tried_method_alone():
    """Its recipients are those of one method, also of one that is off; no run, no console, no global deadline."""
    order = delivery_test_form(trial())
    form = new_form(order, 1000.0, 3600.0, lambda: "form", "delivery_test")
    recipients = new_recipients(order, form.form_id, [], lambda: "recipient", "delivery_test")
    assert (form.kind, form.run_id, form.expires_at, form.global_expires_at) == ("delivery_test", None, 1060.0, None)
    assert [(each.type, each.payload["email"]) for each in recipients] == [
        (RecipientType.EMAIL_EXTERNAL, "a@x.example")
    ]
    assert form.definition.mails == {"m": TEXT}


@pytest.mark.parametrize("method_id", ["", "nobody", "web"])
def test_delivery_test_of_what_sends_no_mail_is_refused(method_id: str):
    """A method that is not there, or is no e-mail, cannot be tried."""
    with pytest.raises(NotMailMethodError) as caught:
        delivery_test_form(trial(method_id))
    assert str(caught.value).startswith(f"delivery_method_id: {method_id!r} is no e-mail")

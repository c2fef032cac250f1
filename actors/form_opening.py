"""Makes the form of a node execution: who may answer it, and the hashes of their form tokens. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from actors.errors import NotMailMethodError
from actors.messages import DeliveryTestOrder, FormOrder
from graph.human_rules import FormRules
from graph.ports import FormRequest
from hitl.addressing import people_specs, person_spec
from hitl.approval import approval_of
from hitl.deadline import global_deadline, next_deadline, node_deadline
from hitl.form import Form, FormDefinition, FormKind, FormStatus
from hitl.form_token import Purpose, TokenKey, derive_token, hash_token
from hitl.mail_text import mail_templates
from hitl.policy import has_login, may_act, token_surfaces
from hitl.recipient import DEBUGGER, ActingAccount, Member, Recipient, RecipientType, display_in_ui, recipients_for
from hitl.schedule import Moment, schedule
from hitl.surface import Surface
from store.forms import TokenRow
from store.human_time_record import Ask

_FILE_TYPES = frozenset({"file", "file-list"})


def new_form(
    order: FormOrder, now: float, global_timeout_s: float, new_id: Callable[[], str], kind: FormKind = "runtime"
) -> Form:
    """Return the waiting form that ``order`` asks for.

    Args:
        order: the node's request.
        now: Unix seconds; both deadlines count from it.
        global_timeout_s: after so long the run is given up; 0 or less: never.
        new_id: makes ids.
        kind: a delivery test has neither a run nor a global deadline.
    """
    is_runtime = kind == "runtime"
    request, rules = order.request, order.request.rules if is_runtime else FormRules()
    # What needs approvers cannot be answered where the run was started, except by its author in the editor.
    is_shown = rules.approval is None or order.invoke_source == DEBUGGER
    told = [hook for hook in order.app_rules.webhooks if "form.decided" in hook.events]
    definition = FormDefinition(
        request.form_content,
        request.inputs,
        request.actions,
        request.resolved_default_values,
        request.node_id,
        request.node_title,
        is_shown and display_in_ui(request.delivery_methods, order.invoke_source),
        is_idempotent=rules.idempotent,
        approval=approval_of(rules.approval, order.app_rules, order.account_id, order.user),
        may_transfer=rules.transfer,
        mails=mail_templates(request.delivery_methods),
        webhooks=[{"url": hook.url, "secret_env": hook.secret_env} for hook in told] if is_runtime else [],
    )
    return Form(
        form_id=order.form_id or new_id(),
        workspace_id=order.workspace_id,
        app_id=order.app_id,
        run_id=request.run_id if is_runtime else None,
        node_id=request.node_id,
        execution_id=request.execution_id,
        kind=kind,
        definition=definition,
        status=FormStatus.WAITING,
        created_at=now,
        expires_at=node_deadline(now, request.timeout_s),
        global_expires_at=global_deadline(now, global_timeout_s if is_runtime else None),
        invoke_source=order.invoke_source,
    )


def needs_members(request: FormRequest) -> bool:
    """Whether the workspace's members must be known to tell who may answer."""
    by_mail = any(isinstance(each, dict) and each.get("type") == "email" for each in request.delivery_methods)
    return by_mail or bool(request.rules.stand_ins) or bool(request.rules.approval and request.rules.approval.approvers)


def new_recipients(
    order: FormOrder,
    form_id: str,
    members: Sequence[Member],
    new_id: Callable[[], str],
    kind: FormKind = "runtime",
) -> list[Recipient]:
    """Return the recipients of a new form, in the order of spec/hitl.md 1.11, then approvers and stand-ins.

    With approval rules only those who log in: there must be no token that proves nobody (spec/beyond.md 1, row 5).
    """
    actor = ActingAccount(order.account_id) if order.account_id else None
    asked = order.request
    specs = recipients_for(
        asked.delivery_methods, order.invoke_source, actor, members, kind, mcp_link=asked.rules.mcp_link
    )
    if kind == "runtime":
        specs += people_specs(specs, asked.rules, order.app_rules.groups, members)
        if asked.rules.approval is not None:
            specs = [spec for spec in specs if has_login(spec.type)]
    return [Recipient(new_id(), form_id, spec.type, payload=spec.payload) for spec in specs]


def new_moments(order: FormOrder, form: Form) -> tuple[Moment, ...]:
    """Return the reminders and the escalation of a new form."""
    deadline = next_deadline(form.expires_at, form.global_expires_at)
    return schedule(form.created_at, deadline, order.request.rules, order.app_rules.groups)


def ask_of(form: Form, member: Member, key: TokenKey, new_id: Callable[[], str]) -> Ask:
    """Return what asks one more account of the workspace to answer ``form``."""
    spec = person_spec(member, form.definition.needs_login)
    recipient = Recipient(new_id(), form.form_id, spec.type, payload=spec.payload)
    return Ask(member.account_id, recipient, token_rows(form, recipient, key))


def token_rows(form: Form, recipient: Recipient, key: TokenKey) -> list[TokenRow]:
    """Return what the store keeps of every token that ``recipient`` has in its present generation.

    One for each surface it may act on; where the form asks for files, one more to upload them on the public page.
    """
    has_files = any(field.get("type") in _FILE_TYPES for field in form.definition.inputs)
    rows = []
    for surface in token_surfaces(recipient):
        purposes = [Purpose.SUBMIT]
        if has_files and may_act(recipient.type, surface, Surface.WEB):
            purposes.append(Purpose.UPLOAD)
        for purpose in purposes:
            generation = recipient.generation
            token = derive_token(key, purpose, form.form_id, recipient.recipient_id, surface, generation)
            rows.append(TokenRow(hash_token(token), recipient.recipient_id, surface, purpose, generation))
    return rows


def may_answer_by_id(recipients: Sequence[Recipient]) -> bool:
    """Whether an account of the workspace may answer by form id: through the console, where every form can be."""
    return any(each.is_active and each.type in (RecipientType.CONSOLE, RecipientType.BACKSTAGE) for each in recipients)


def delivery_test_form(order: DeliveryTestOrder) -> FormOrder:
    """Return the form that a delivery test opens: with the tried method alone, on, as for the account that tries it.

    Raises:
        NotMailMethodError: the node has no such method, or it is no e-mail.
    """
    methods = [method for method in order.request.delivery_methods if method.get("id") == order.delivery_method_id]
    if not methods or methods[0].get("type") != "email":
        raise NotMailMethodError(order.delivery_method_id)
    request = replace(order.request, delivery_methods=[{**methods[0], "enabled": True}])
    return FormOrder(request, order.workspace_id, order.app_id, DEBUGGER, order.account_id)

"""Makes the form of a node execution: who may answer it, and the hashes of their form tokens. Pure."""

from collections.abc import Callable, Sequence
from typing import Any

from actors.messages import FormOrder
from hitl.deadline import global_deadline, node_deadline
from hitl.form import Form, FormDefinition, FormStatus
from hitl.form_token import Purpose, TokenKey, derive_token, hash_token
from hitl.policy import may_act, token_surfaces
from hitl.recipient import ActingAccount, Member, Recipient, RecipientType, display_in_ui, recipients_for
from hitl.surface import Surface
from store.forms import TokenRow

_FILE_TYPES = frozenset({"file", "file-list"})


def new_form(order: FormOrder, now: float, global_timeout_s: float, new_id: Callable[[], str]) -> Form:
    """Return the waiting form that ``order`` asks for.

    Args:
        order: the node's request.
        now: Unix seconds; both deadlines count from it.
        global_timeout_s: after so long the run is given up; 0 or less: never.
        new_id: makes ids.
    """
    request = order.request
    definition = FormDefinition(
        request.form_content,
        request.inputs,
        request.actions,
        request.resolved_default_values,
        request.node_id,
        request.node_title,
        display_in_ui(request.delivery_methods, order.invoke_source),
    )
    return Form(
        form_id=order.form_id or new_id(),
        workspace_id=order.workspace_id,
        app_id=order.app_id,
        run_id=request.run_id,
        node_id=request.node_id,
        execution_id=request.execution_id,
        kind="runtime",
        definition=definition,
        status=FormStatus.WAITING,
        created_at=now,
        expires_at=node_deadline(now, request.timeout_s),
        global_expires_at=global_deadline(now, global_timeout_s),
        invoke_source=order.invoke_source,
    )


def needs_members(delivery_methods: Sequence[Any]) -> bool:
    """Whether the workspace's members must be known to tell who may answer."""
    return any(isinstance(method, dict) and method.get("type") == "email" for method in delivery_methods)


def new_recipients(
    order: FormOrder, form_id: str, members: Sequence[Member], new_id: Callable[[], str]
) -> list[Recipient]:
    """Return the recipients of a new form, in the order of spec/hitl.md 1.11."""
    actor = ActingAccount(order.account_id) if order.account_id else None
    specs = recipients_for(order.request.delivery_methods, order.invoke_source, actor, members)
    return [Recipient(new_id(), form_id, spec.type, payload=spec.payload) for spec in specs]


def token_rows(form: Form, recipient: Recipient, key: TokenKey) -> list[TokenRow]:
    """Return what the store keeps of every token that ``recipient`` has in its present generation.

    One for each surface it may act on; where the form asks for files, one more to upload them on the public page.
    """
    has_files = any(field.get("type") in _FILE_TYPES for field in form.definition.inputs)
    rows = []
    for surface in token_surfaces(recipient.type):
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

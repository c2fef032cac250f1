"""What the surfaces that show forms have in common: the form as a reply, the answer as an order.

Source: spec/http.md 3.7.
"""

from typing import Any

from actors.messages import KnownFiles, SubmitOrder
from hitl.digest import form_digest
from hitl.form import Form
from hitl.recipient import Recipient
from hitl.submission import resolved_for_get
from hitl.surface import Surface
from surfaces.ports import SurfacePorts
from surfaces.schemas import HumanInputFormSubmitPayload


def shown_form(form: Form, ports: SurfacePorts) -> dict[str, Any]:
    """Return what is asked, as a reply; links to files in it are signed now."""
    asked = form.definition
    shown = {
        "form_content": asked.form_content,
        "inputs": asked.inputs,
        "resolved_default_values": resolved_for_get(asked),
        "user_actions": asked.actions,
        "expiration_time": int(form.expires_at),
    }
    # Clients that do not know it ignore it.
    return ports.links.refreshed(shown, form.app_id) | {"form_digest": form_digest(asked)}


def submit_order(
    recipient: Recipient,
    answer: HumanInputFormSubmitPayload,
    via: Surface,
    files: KnownFiles,
    *,
    key_hash: bytes | None = None,
    account_id: str | None = None,
    end_user_id: str | None = None,
    api_key_id: str | None = None,
) -> SubmitOrder:
    """Return an answer as the order that has it taken.

    Args:
        recipient: as whom the answer is given, as just read.
        answer: the body.
        via: the surface it came through.
        files: the uploads that whoever answers may use.
        key_hash: SHA-256 of the Idempotency-Key, None without one.
        account_id: the account that answers, logged in; None: nobody is.
        end_user_id: the end user that answers.
        api_key_id: of the key by which it came.
    """
    return SubmitOrder(
        form_id=recipient.form_id,
        recipient_id=recipient.recipient_id,
        generation=recipient.generation,
        action=answer.action,
        inputs=answer.inputs,
        via=via,
        account_id=account_id,
        end_user_id=end_user_id,
        files=files,
        form_digest=answer.form_digest,
        api_key_id=api_key_id,
        key_hash=key_hash,
    )

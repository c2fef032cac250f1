"""What the surfaces that show forms and take answers have in common: the form as a reply, and the way of an answer.

Source: spec/http.md 3.7, spec/hitl.md 3.5.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from actors.answer_files import with_remote_files
from actors.messages import KnownFiles, SubmitOrder
from hitl.digest import form_digest
from hitl.form import Form, FormStatus
from hitl.recipient import Recipient
from hitl.submission import resolved_for_get, validate_submission
from hitl.surface import Surface
from surfaces.form_uploads import adopted, initiator_of
from surfaces.input_files import facts_of, with_uploads
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


async def submit_answer(form: Form, order: SubmitOrder, ports: SurfacePorts) -> bool:
    """Give an answer to the HITL actor, its files ready; durable on return. The only way for every surface.

    Files that are named by their address have been fetched and looked at by then. Uploads that the run could not read,
    because they are the submitter's and not its starter's, have become uploads for this form.

    Args:
        form: the form that is answered.
        order: the answer; its files are the uploads that the submitter may use.
        ports: what it goes through.

    Returns:
        Whether the form is decided.

    Raises:
        InvalidSubmissionError: the answer does not fit, or a file cannot be had; the form stays open, and nothing of
            the answer is kept.
        RefusedError, UnavailableError: as ``Submissions.submit``.
    """
    now = ports.clock.now()
    order = await with_remote_files(form, order, ports.remote_files, now, ports.blocked_extensions)
    return await ports.submissions.submit(await _with_readable_uploads(form, order, ports))


async def _with_readable_uploads(form: Form, order: SubmitOrder, ports: SurfacePorts) -> SubmitOrder:
    """Return ``order`` with uploads that the run of ``form`` can read, whoever has started it."""
    owner = await initiator_of(form, ports) if order.files.uploads and order.recipient_id else None
    if owner is None or order.recipient_id is None:
        return order
    is_open = form.status is FormStatus.WAITING
    new_ids: dict[str, str] = {}
    uploads = dict(order.files.uploads)
    for file_id in order.files.uploads:
        record = await ports.files.table.get(file_id)
        if record is None or record.owner == owner or record.form_id == form.form_id:
            continue
        if is_open and not new_ids:
            # Nothing is stored for an answer that will not be taken.
            validate_submission(form.definition, order.action, order.inputs, order.files)
        made = await adopted(record, form, order.recipient_id, owner, ports, is_kept=is_open)
        new_ids[file_id], uploads[made.file_id] = made.file_id, facts_of(made, ports)
    if not new_ids:
        return order
    files = KnownFiles(uploads, order.files.remotes)
    return replace(order, inputs=_renamed(order.inputs, new_ids), files=files)


def _renamed(inputs: Mapping[str, Any], new_ids: Mapping[str, str]) -> dict[str, Any]:
    return {name: with_uploads(value, new_ids) for name, value in inputs.items()}

"""What the surfaces that show forms to programs have in common: the form as a reply, and an answer given twice.

Source: spec/http.md 3.7, spec/beyond.md 1 (row 11).
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from actors.messages import KnownFiles
from hitl.errors import InvalidSubmissionError
from hitl.form import Form
from hitl.submission import resolved_for_get, validate_submission
from store.form_record import TokenMatch
from surfaces.ports import SurfacePorts


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
    return ports.links.refreshed(shown, form.app_id)


async def is_repeated(
    match: TokenMatch, action: str, inputs: Mapping[str, Any], files: KnownFiles, ports: SurfacePorts
) -> bool:
    """Whether the form's answer is this very one, from this recipient: its reply was lost on the way."""
    form = match.form
    entries = await ports.forms.audit(form.form_id)
    if not any(each.event == "submitted" and each.recipient_id == match.recipient.recipient_id for each in entries):
        return False
    try:
        again = validate_submission(form.definition, action, inputs, files)
    except InvalidSubmissionError:
        return False
    before, links = await ports.forms.submission(form.form_id), ports.links
    return before is not None and links.unsigned(asdict(again)) == links.unsigned(asdict(before))

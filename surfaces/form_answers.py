"""What the surfaces that show forms to programs have in common: the form as a reply.

Source: spec/http.md 3.7.
"""

from typing import Any

from hitl.digest import form_digest
from hitl.form import Form
from hitl.submission import resolved_for_get
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
    # Clients that do not know it ignore it.
    return ports.links.refreshed(shown, form.app_id) | {"form_digest": form_digest(asked)}

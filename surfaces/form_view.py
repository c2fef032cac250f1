"""The public form page as HTML: the form itself, and the short pages around it. Reads and decides nothing.

Works without scripts; nothing is loaded from anywhere, the style is inline and named by its hash.

Source: spec/beyond.md 2.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import Response

from hitl.deadline import next_deadline
from hitl.digest import form_digest
from hitl.form import Form, FormDefinition
from hitl.submission import resolved_for_get
from store.file_record import FileRecord
from surfaces.form_field import field_html, field_id, shown_name
from surfaces.form_markup import render_content
from surfaces.form_uploads import asks_for_files
from surfaces.page_templates import PAGES, TEMPLATES

_STYLE: Final = (PAGES / "style.css").read_text(encoding="utf-8").strip()
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_BUTTON_STYLES: Final = frozenset({"primary", "default", "accent", "ghost"})
_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}
_UNITS: Final = ((86_400, "days"), (3600, "hours"))


@dataclass(frozen=True, slots=True)
class Entered:
    """What a person has entered, to show it again, and why it was not taken. Empty at first.

    ``values``: input name -> text; ``kept``: input name -> its files; ``faults``: input name -> what is wrong with it.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    kept: Mapping[str, Sequence[FileRecord]] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShownForm:
    """A form to show. ``content``: its content with links that work now; ``now``: Unix seconds.

    ``action``: the address that the answer is sent to; ``guard``: the value by which the answer shows that it comes
    from this page.
    """

    form: Form
    content: str
    app_name: str
    action: str
    guard: str
    now: float


def page_headers() -> dict[str, str]:
    """Return the headers of every answer under ``/form``."""
    return dict(_HEADERS)


def form_page(
    shown: ShownForm, entered: Entered, status: int = 200, page: str = "form.html", **around: Any
) -> Response:
    """Return the page on which a person answers a form.

    Args:
        shown: the open form.
        entered: what to fill in besides the defaults, and the reason for showing the page again.
        status: the HTTP status.
        page: the template, an extension of ``form.html``.
        around: what that template shows besides.
    """
    form, asked = shown.form, shown.form.definition
    values = {**default_values(asked), **entered.values}
    faults = {**(_select_faults(asked, values) if entered.reason else {}), **entered.faults}
    first = next((each["output_variable_name"] for each in asked.inputs if each["output_variable_name"] in faults), "")
    fields, wrong = {}, []
    for number, declared in enumerate(asked.inputs, 1):
        name = declared["output_variable_name"]
        fault = faults.get(name, "")
        kept = entered.kept.get(name, ())
        fields[name] = field_html(number, declared, values.get(name, ""), kept, fault, is_focused=name == first)
        if fault:
            wrong.append({"id": field_id(number), "label": shown_name(name), "fault": fault})
    content, unplaced = render_content(shown.content, fields)
    due_at = next_deadline(form.expires_at, form.global_expires_at)
    due = datetime.fromtimestamp(due_at, UTC)
    html = TEMPLATES.get_template(page).render(
        style=_STYLE,
        title=asked.node_title or "Your answer is needed",
        app_name=shown.app_name,
        due=f"{due.day} {due:%B %Y, %H:%M} UTC",
        due_iso=f"{due:%Y-%m-%dT%H:%MZ}",
        left=time_left(due_at - shown.now),
        reason=entered.reason,
        wrong=wrong,
        has_files=asks_for_files(form),
        is_vote=asked.approval is not None,
        action=shown.action,
        guard=shown.guard,
        digest=form_digest(asked),
        content=content,
        unplaced=[fields[name] for name in unplaced],
        actions=[_button(each) for each in asked.actions],
        **around,
    )
    return _html(html, status)


def shown_page(page: str, status: int = 200, **shown: Any) -> Response:
    """Return the page that the template ``page`` makes of what is ``shown``."""
    return _html(TEMPLATES.get_template(page).render(style=_STYLE, **shown), status)


def message_page(title: str, text: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Return a page that says one thing."""
    html = TEMPLATES.get_template("message.html").render(style=_STYLE, title=title, text=text)
    return _html(html, status, headers)


def default_values(asked: FormDefinition) -> dict[str, str]:
    """Return input name -> the text that its field starts with: a resolved default, else a constant one."""
    values: dict[str, str] = {}
    for declared in asked.inputs:
        default = declared.get("default")
        if isinstance(default, Mapping) and default.get("type") == "constant":
            values[declared["output_variable_name"]] = str(default.get("value") or "")
    return values | resolved_for_get(asked)


def time_left(seconds: float) -> str:
    """Return how long something lasts as a person says it: in the largest unit of which there are two, rounded down."""
    for length_s, unit in _UNITS:
        if seconds >= 2 * length_s:
            return f"{int(seconds // length_s)} {unit}"
    minutes = int(seconds // 60)
    return f"{minutes} minute{'' if minutes == 1 else 's'}" if minutes else "less than a minute"


def _select_faults(asked: FormDefinition, values: Mapping[str, str]) -> dict[str, str]:
    """Return input name -> what is wrong, for the choices that are none of the options."""
    faults = {}
    for declared in asked.inputs:
        name, options = declared["output_variable_name"], (declared.get("option_source") or {}).get("value") or []
        if declared.get("type") == "select" and values.get(name, "") not in options:
            faults[name] = "Please choose one of the options."
    return faults


def _button(action: Mapping[str, Any]) -> dict[str, str]:
    style = action.get("button_style", "default")
    return {
        "id": action["id"],
        "title": action.get("title") or action["id"],
        "style": style if style in _BUTTON_STYLES else "default",
    }


def _html(html: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return Response(html, status, {**_HEADERS, **(headers or {})}, media_type="text/html")

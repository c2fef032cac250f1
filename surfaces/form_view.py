"""The public form page as HTML: the form itself, and the short pages around it. Reads and decides nothing.

Works without scripts; nothing is loaded from anywhere, the style is inline and named by its hash.

Source: spec/beyond.md 2.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from fastapi import Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hitl.deadline import next_deadline
from hitl.form import Form, FormDefinition
from hitl.submission import resolved_for_get
from surfaces.form_markup import render_content

FILE_TYPES: Final = frozenset({"file", "file-list"})
_PAGES: Final = Path(__file__).parent / "pages"
_STYLE: Final = (_PAGES / "style.css").read_text(encoding="utf-8").strip()
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
_ENVIRONMENT: Final = Environment(
    loader=FileSystemLoader(_PAGES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


@dataclass(frozen=True, slots=True)
class Entered:
    """What a person has entered, to show it again, and why it was not taken. Empty at first."""

    values: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""


def page_headers() -> dict[str, str]:
    """Return the headers of every answer under ``/form``."""
    return dict(_HEADERS)


def form_page(
    form: Form, action: str, guard: str, entered: Entered, status: int = 200, page: str = "form.html", **around: Any
) -> Response:
    """Return the page on which a person answers ``form``.

    Args:
        form: the open form.
        action: the address that the answer is sent to.
        guard: the value by which the answer shows that it comes from this page.
        entered: what to fill in besides the defaults, and the reason for showing the page again.
        status: the HTTP status.
        page: the template, an extension of ``form.html``.
        around: what that template shows besides.
    """
    asked = form.definition
    values = {**default_values(asked), **entered.values}
    fields = {
        declared["output_variable_name"]: _field(number, declared, values, is_refused=bool(entered.reason))
        for number, declared in enumerate(asked.inputs, 1)
    }
    content, unplaced = render_content(asked.form_content, fields)
    due = datetime.fromtimestamp(next_deadline(form.expires_at, form.global_expires_at), UTC)
    html = _ENVIRONMENT.get_template(page).render(
        style=_STYLE,
        title=asked.node_title or "Your answer is needed",
        due=f"{due:%Y-%m-%d %H:%M} UTC",
        due_iso=f"{due:%Y-%m-%dT%H:%MZ}",
        reason=entered.reason,
        has_files=any(declared.get("type") in FILE_TYPES for declared in asked.inputs),
        action=action,
        guard=guard,
        content=content,
        unplaced=[fields[name] for name in unplaced],
        actions=[_button(each) for each in asked.actions],
        **around,
    )
    return _html(html, status)


def shown_page(page: str, status: int = 200, **shown: Any) -> Response:
    """Return the page that the template ``page`` makes of what is ``shown``."""
    return _html(_ENVIRONMENT.get_template(page).render(style=_STYLE, **shown), status)


def message_page(title: str, text: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Return a page that says one thing."""
    html = _ENVIRONMENT.get_template("message.html").render(style=_STYLE, title=title, text=text)
    return _html(html, status, headers)


def default_values(asked: FormDefinition) -> dict[str, str]:
    """Return input name -> the text that its field starts with: a resolved default, else a constant one."""
    values: dict[str, str] = {}
    for declared in asked.inputs:
        default = declared.get("default")
        if isinstance(default, Mapping) and default.get("type") == "constant":
            values[declared["output_variable_name"]] = str(default.get("value") or "")
    return values | resolved_for_get(asked)


def _field(number: int, declared: Mapping[str, Any], values: Mapping[str, str], is_refused: bool) -> str:
    name = declared["output_variable_name"]
    kind, options = declared.get("type", "paragraph"), (declared.get("option_source") or {}).get("value") or []
    value = values.get(name, "")
    is_wrong = is_refused and kind == "select" and value not in options
    return _ENVIRONMENT.get_template("field.html").render(
        id=f"field-{number}",
        name=name,
        label=shown_name(name),
        kind=kind,
        options=options,
        value=value,
        fault="Please choose one of the options." if is_wrong else "",
    )


def shown_name(name: str) -> str:
    """Return the name of an input as a person reads it: ``due_date`` is "Due date"."""
    words = " ".join(name.replace("_", " ").split())
    return words[:1].upper() + words[1:] or name


def _button(action: Mapping[str, Any]) -> dict[str, str]:
    style = action.get("button_style", "default")
    return {
        "id": action["id"],
        "title": action.get("title") or action["id"],
        "style": style if style in _BUTTON_STYLES else "default",
    }


def _html(html: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return Response(html, status, {**_HEADERS, **(headers or {})}, media_type="text/html")

"""The text of a mail about a form: the author's subject and body, or a short one of ours, for one recipient.

What authors, models and earlier people put into it is not trusted: the subject comes out as one line of text, the body
as text and, through markdown and a sanitiser with an allow-list, as a few harmless HTML elements.

Source: spec/hitl.md 6.2.
"""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from hitl.form import Form

MAX_SUBJECT_CHARS: Final = 200
_URL: Final = "{{#url#}}"
_NAMES: Final = (
    "url", "form_link", "form_token", "form_id", "form_content", "node_title", "workflow_run_id", "recipient_email",
)  # fmt: skip
_NAME: Final = re.compile(r"\{\{\s*(#?)\s*(" + "|".join(_NAMES) + r")\s*\1\s*\}\}")
_SECRET_NAMES: Final = frozenset({"url", "form_link", "form_token"})
"""They let their reader act; subjects are shown on locked screens and written into logs of mail servers."""
_UNSENDABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_FIELD: Final = re.compile(r"\{\{#\$output\.([A-Za-z_][A-Za-z0-9_]{0,29})#\}\}")
_PREFIX: Final[Mapping[str, str]] = {
    "reminder": "Reminder: ",
    "escalated": "Escalated: ",
    "transferred": "Handed over to you: ",
    "delivery_test": "Test: ",
}
_OUR_SUBJECT: Final = "{{#node_title#}}"
_OUR_BODY: Final = "{{#form_content#}}\n\n[Open the form]({{#url#}})"

_TAGS: Final = frozenset({
    "a", "br", "code", "em", "li", "ol", "p", "pre", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
})  # fmt: skip
_ATTRIBUTES: Final = {"a": {"href", "title"}, "td": {"align"}, "th": {"align"}}
_SCHEMES: Final = frozenset({"http", "https", "mailto"})


@dataclass(frozen=True, slots=True)
class MailText:
    """What one recipient is sent. ``text`` and ``html`` hold the link, so they do not show in ``repr``."""

    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)


def write_mail(
    template: Mapping[str, str] | None, occasion: str, form: Form, email: str, link: str, form_token: str
) -> MailText:
    """Return the mail to one recipient.

    Args:
        template: ``subject`` and ``body`` of the delivery method, variables filled in; None: a short text of ours.
        occasion: why it is sent: opened, reminder, escalated, transferred or delivery_test; all but the first say so
            in the subject.
        form: what is asked.
        email: the recipient's address.
        link: where the recipient answers.
        form_token: the recipient's token, "" for one who logs in.
    """
    values = {
        "form_id": form.form_id,
        "form_content": _FIELD.sub(lambda found: f"[{found[1]}]", form.definition.form_content),
        "form_token": form_token,
        "node_title": form.definition.node_title or form.node_id,
        "workflow_run_id": form.run_id or "",
        "recipient_email": email,
    }
    subject, body = (template["subject"], template["body"]) if template else (_OUR_SUBJECT, _OUR_BODY)
    body = _UNSENDABLE.sub("\ufffd", _filled(body, {**values, "url": _URL, "form_link": _URL}))
    hidden = dict.fromkeys(_SECRET_NAMES, "")
    line = one_line(_PREFIX.get(occasion, "") + _filled(subject, {**values, **hidden}))
    return MailText(line or one_line(values["node_title"]), body.replace(_URL, link), body_as_html(body, link))


def one_line(text: str) -> str:
    """Return ``text`` as a subject: without tags, line breaks and other control characters, spaces collapsed."""
    plain = html.unescape(nh3.clean(text, tags=set()))
    printable = "".join(each if each.isprintable() else " " for each in plain)
    return " ".join(printable.split())[:MAX_SUBJECT_CHARS]


def body_as_html(body: str, link: str) -> str:
    """Return a markdown body as HTML in which ``{{#url#}}``, bare or as the target of a link, leads to ``link``."""
    tokens = _MARKDOWN.parse(body)
    _adapt(tokens, link)
    rendered = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    return nh3.clean(
        rendered,
        tags=set(_TAGS),
        attributes=_ATTRIBUTES,
        url_schemes=set(_SCHEMES),
        url_relative="deny",
        link_rel="noopener noreferrer nofollow",
    )


def _filled(text: str, values: Mapping[str, str]) -> str:
    """Return ``text`` with its names filled in, once: what a value holds is not looked at again."""
    return _NAME.sub(lambda found: values[found[2]], text)


def _adapt(tokens: Iterable[Token], link: str) -> None:
    """Put the link in, and say what the allow-list has no word for in other words."""
    for token in tokens:
        token.content = token.content.replace(_URL, link)
        if token.attrGet("href") == _URL_AS_TARGET:
            token.attrSet("href", link)
        if token.type in ("heading_open", "heading_close"):
            token.tag = "p"
        style = token.attrGet("style")
        if token.type in ("th_open", "td_open") and isinstance(style, str):
            token.attrSet("align", style.removeprefix("text-align:"))
        _adapt(token.children or (), link)


def _url_rule(state: StateInline, silent: bool) -> bool:
    """Take a bare ``{{#url#}}`` as a link that shows its own address."""
    if not state.src.startswith(_URL, state.pos) or state.linkLevel:
        return False
    if not silent:
        state.push("link_open", "a", 1).attrSet("href", _URL_AS_TARGET)
        state.push("text", "", 0).content = _URL
        state.push("link_close", "a", -1)
    state.pos += len(_URL)
    return True


def _markdown() -> MarkdownIt:
    # Tags of the author reach the sanitiser, which takes them away, instead of showing as text.
    markdown = MarkdownIt("commonmark", {"html": True, "breaks": True}).enable("table")
    markdown.disable("image")
    markdown.inline.ruler.before("escape", "form_url", _url_rule)
    return markdown


_MARKDOWN: Final = _markdown()
_URL_AS_TARGET: Final = _MARKDOWN.normalizeLink(_URL)


def mail_templates(delivery_methods: Sequence[object]) -> dict[str, dict[str, str]]:
    """Return delivery method id -> ``subject`` and ``body`` of the e-mail methods that are on.

    Args:
        delivery_methods: the node's list as in its file; what has not the shape is left out.
    """
    templates: dict[str, dict[str, str]] = {}
    for method in delivery_methods:
        if isinstance(method, Mapping) and method.get("type") == "email" and method.get("enabled", True):
            config = method.get("config")
            config = config if isinstance(config, Mapping) else {}
            parts = {name: str(config.get(name) or "") for name in ("subject", "body")}
            templates[str(method.get("id") or "")] = parts
    return templates

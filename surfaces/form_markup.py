"""The content of a form as HTML: markdown through a sanitiser with an allow-list, input fields at their places.

What authors, models and earlier people put into the content is not trusted: it comes out as text and a few harmless
elements, whatever it holds. Nothing is loaded from anywhere.

Source: spec/hitl.md 2.3 and section 12 (inputs without a place come after the content), spec/beyond.md 2.
"""

import re
import secrets
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Final

import nh3
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

_OPENING: Final = "{{#$output."
_PLACEHOLDER: Final = re.compile(r"\{\{#\$output\.([A-Za-z_][A-Za-z0-9_]{0,29})#\}\}")
_CAPTION_ENDS: Final = (":", "：")
_TAGS: Final = frozenset({
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
})  # fmt: skip
_ATTRIBUTES: Final = {"a": {"href", "title"}, "ol": {"start"}}
_SCHEMES: Final = frozenset({"http", "https", "mailto"})


def render_content(content: str, fields: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return ``content`` as HTML with each field at its first placeholder, and the names that have no place.

    A placeholder in code or in a link stays text: a control cannot stand there. Where the line before a placeholder
    ends in a colon the author has named the field, and its control is wrapped in ``<span class="captioned">``.

    Args:
        content: markdown with variables filled in and input placeholders in place.
        fields: input name -> HTML of its control, phrasing content only.
    """
    # A mark that nobody who wrote the content can have guessed, so only the renderer puts it there; and it stands
    # in text only, so what replaces it after the sanitiser cannot end up in an attribute.
    mark = f"field{secrets.token_hex(16)}x"
    placed: list[tuple[str, bool]] = []
    html = _MARKDOWN.render(content, {"fields": fields, "mark": mark, "placed": placed})
    clean = nh3.clean(
        html,
        tags=set(_TAGS),
        attributes=_ATTRIBUTES,
        url_schemes=set(_SCHEMES),
        url_relative="deny",
        link_rel="noopener noreferrer nofollow",
    )
    names = {name for name, _ in placed}
    filled = re.sub(rf"{mark}(\d+)x", lambda found: _control(fields, *placed[int(found[1])]), clean)
    return filled, [name for name in fields if name not in names]


def _control(fields: Mapping[str, str], name: str, is_captioned: bool) -> str:
    return f'<span class="captioned">{fields[name]}</span>' if is_captioned else fields[name]


def _field_rule(state: StateInline, silent: bool) -> bool:
    """Take a placeholder of a declared input as one inline token, before its characters mean anything else."""
    if not state.src.startswith(_OPENING, state.pos) or state.linkLevel:
        return False
    found = _PLACEHOLDER.match(state.src, state.pos)
    if found is None or found[1] not in state.env["fields"]:
        return False
    if not silent:
        token = state.push("form_field", "", 0)
        line = state.src[: state.pos].rpartition("\n")[2]
        token.content, token.meta = found[1], {"is_captioned": line.rstrip(" *_").endswith(_CAPTION_ENDS)}
    state.pos = found.end()
    return True


def _render_field(
    _renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: MutableMapping[str, Any]
) -> str:
    name = tokens[index].content
    if any(name == placed for placed, _ in env["placed"]):
        return escapeHtml(name)
    env["placed"].append((name, tokens[index].meta["is_captioned"]))
    return f"{env['mark']}{len(env['placed']) - 1}x"


def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    markdown.disable("image")
    markdown.inline.ruler.before("escape", "form_field", _field_rule)
    markdown.add_render_rule("form_field", _render_field)
    return markdown


_MARKDOWN: Final = _markdown()

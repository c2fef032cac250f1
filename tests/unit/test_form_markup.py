"""Form content as HTML: where fields stand, and what is not let through."""

import pytest

from surfaces.form_markup import render_content

FIELDS = {"comment": "<textarea></textarea>", "_x_": "<b>X</b>", "other": "<i>O</i>"}


def test_field_stands_where_its_placeholder_was() -> None:
    """A placeholder becomes its control, also with underscores and inside emphasis."""
    html, unplaced = render_content("Say *{{#$output._x_#}}* and {{#$output.comment#}}", FIELDS)
    assert html == "<p>Say <em><b>X</b></em> and <textarea></textarea></p>\n"
    assert unplaced == ["other"]


def test_second_placeholder_of_a_name_is_text() -> None:
    """A control exists once; further placeholders show its name."""
    html, _ = render_content("{{#$output.comment#}} {{#$output.comment#}}", FIELDS)
    assert html == "<p><textarea></textarea> comment</p>\n"


def test_placeholder_of_an_undeclared_name_is_text() -> None:
    """A name that the form does not declare stays as written."""
    assert "{{#$output.nobody#}}" in render_content("{{#$output.nobody#}}", FIELDS)[0]


@pytest.mark.parametrize("caption", ["Comment: ", "**Comment:** ", "a: b\nyour *comment*: ", "意见："])
def test_field_behind_a_colon_is_captioned(caption: str) -> None:
    """Where the author's line names the field, its control is marked, so that its own label need not be seen."""
    html, _ = render_content(f"{caption}{{{{#$output.comment#}}}}", FIELDS)
    assert '<span class="captioned"><textarea></textarea></span>' in html


@pytest.mark.parametrize(
    "content",
    [
        "`{{#$output.comment#}}`",
        "```\n{{#$output.comment#}}\n```",
        "[a](http://x/{{#$output.comment#}})",
        '[a](http://x "{{#$output.comment#}}")',
        "[{{#$output.comment#}}](http://x)",
    ],
)
def test_no_control_stands_in_code_or_links(content: str) -> None:
    """A placeholder in code, an address, a link's title or its text makes no control there."""
    html, unplaced = render_content(content, FIELDS)
    assert "<textarea" not in html
    assert "comment" in unplaced


@pytest.mark.parametrize(
    "content",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "![x](https://evil.example/pixel.png)",
        "[x](javascript:alert(1))",
        "[x](data:text/html;base64,AAAA)",
        "<a href='javascript:alert(1)'>x</a>",
        '"><svg onload=alert(1)>',
        "<iframe src=//evil.example></iframe>",
        "<form action=//evil.example><input name=a></form>",
        "<style>*{display:none}</style>",
    ],
)
def test_nothing_active_gets_through(content: str) -> None:
    """Scripts, images, frames, forms, styles and odd link schemes come out as text or not at all."""
    html, _ = render_content(content, FIELDS)
    for bad in ("<script", "<img", "<svg", "<iframe", "<form", "<input", "<style", 'href="javascript', 'href="data'):
        assert bad not in html


def test_links_say_nothing_to_where_they_lead() -> None:
    """A link keeps its address and carries no referrer and no opener."""
    html, _ = render_content("[a](https://example.org/b)", FIELDS)
    assert html == '<p><a href="https://example.org/b" rel="noopener noreferrer nofollow">a</a></p>\n'


def test_mark_of_a_field_cannot_be_written_by_hand() -> None:
    """Text that looks like the renderer's own mark stays text."""
    html, _ = render_content("field0000x0x", FIELDS)
    assert html == "<p>field0000x0x</p>\n"

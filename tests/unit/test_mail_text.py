"""What a mail about a form says: the author's text, harmless whatever it holds."""

import pytest

from hitl.form import Form, FormDefinition, FormStatus
from hitl.mail_text import MAX_SUBJECT_CHARS, body_as_html, mail_templates, one_line, write_mail

LINK = "https://greenroom.example/form/TOKEN"
FORM = Form(
    "form-1", "ws", "app", "run-1", "node-1", "execution", "runtime",
    FormDefinition("Pay {{#$output.amount#}}?", node_title="Payment"), FormStatus.WAITING, 0.0, 60.0,
)  # fmt: skip


def written(subject: str, body: str, occasion: str = "opened"):
    """The mail of a template."""
    return write_mail({"subject": subject, "body": body}, occasion, FORM, "ann@example.com", LINK, "TOKEN")


def test_bare_url_becomes_a_link():
    """A bare ``{{#url#}}`` shows its address and leads there, in the text as well."""
    mail = written("S", "Go to {{#url#}} now.")
    assert f'<a href="{LINK}" rel="noopener noreferrer nofollow">{LINK}</a>' in mail.html
    assert mail.text == f"Go to {LINK} now."


def test_url_is_the_target_of_a_link():
    """``[text]({{#url#}})`` is a link of that text."""
    assert body_as_html("[Open]({{#url#}})", LINK).count(f'href="{LINK}"') == 1


def test_tables_keep_their_alignment():
    """Markdown tables are rendered, aligned as they say."""
    html = body_as_html("|a|b|\n|:-|-:|\n|1|2|", LINK)
    assert '<th align="left">a</th>' in html and '<td align="right">2</td>' in html


@pytest.mark.parametrize(
    "body",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "<a href='javascript:alert(1)'>x</a>",
        "<a href='https://x.example' onclick='alert(1)'>x</a>",
        "<svg/onload=alert(1)>",
        "<style>p{background:url(https://x.example)}</style>",
        "![pixel](https://x.example/pixel.png)",
        "<iframe src='https://x.example'></iframe>",
        "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    ],
)
def test_body_cannot_do_anything(body: str):
    """No script, handler, style, picture or frame of a body survives."""
    html = body_as_html(body, LINK).lower()
    # "[x](javascript:…)" stays as text, which does nothing.
    attributes = html.split("<", 1)[1] if "<" in html else ""
    assert not any(each in html for each in ("<script", "<img", "<svg", "<style", "<iframe", "onerror=", "onclick="))
    assert 'href="javascript' not in attributes and 'href="data' not in attributes


def test_subject_is_one_line_of_text():
    """Line breaks, tags and control characters leave a subject; what only looks like a tag stays."""
    assert (
        one_line("Pay\r\nBcc: eve@x.example <b>now</b>\x00 a < b &\u202e c") == "Pay Bcc: eve@x.example now a < b & c"
    )
    assert len(one_line("x" * 999)) == MAX_SUBJECT_CHARS


def test_subject_never_holds_the_link():
    """What lets a reader act does not stand in a subject, which others see."""
    mail = written("{{#url#}} {{form_link}} {{#form_token#}} {{#node_title#}}", "")
    assert mail.subject == "Payment"


def test_names_of_the_form_are_filled_in():
    """Both spellings of the names that a mail knows; the content names its fields."""
    mail = written("{{#node_title#}}", "{{form_id}}|{{#workflow_run_id#}}|{{ recipient_email }}|{{#form_content#}}")
    assert mail.text == "form-1|run-1|ann@example.com|Pay [amount]?"


def test_value_is_not_read_as_a_name():
    """What a name stands for is not filled in again."""
    form_of_eve = FormDefinition("{{#form_token#}}", node_title="{{#form_id#}}")
    form = Form("f", "ws", "app", None, "n", "e", "runtime", form_of_eve, FormStatus.WAITING, 0.0, 1.0)
    mail = write_mail({"subject": "{{#node_title#}}", "body": "{{#form_content#}}"}, "opened", form, "a@b.c", LINK, "T")
    assert (mail.subject, mail.text) == ("{{#form_id#}}", "{{#form_token#}}")


def test_body_holds_no_control_characters():
    """What no mail server takes is replaced; line breaks and tabs stay."""
    assert written("S", "a\x00b\x1b[31m\n\tc\ud800").text == "a\ufffdb\ufffd[31m\n\tc\ufffd"


def test_mail_without_a_template_shows_content_and_link():
    """A recipient whose delivery method wrote no text is sent one of ours."""
    mail = write_mail(None, "escalated", FORM, "ann@example.com", LINK, "")
    assert mail.subject == "Escalated: Payment"
    assert "Pay [amount]?" in mail.text and f'href="{LINK}"' in mail.html


def test_later_mails_say_why_they_come():
    """A reminder is told from the first mail by its subject."""
    assert written("Pay", "x", "reminder").subject == "Reminder: Pay"
    assert written("Pay", "x").subject == "Pay"


def test_mail_hides_its_link_in_repr():
    """The repr of a mail shows neither its link nor its token."""
    assert "TOKEN" not in repr(written("S", "{{#url#}}"))


def test_templates_are_those_of_mail_methods_that_are_on():
    """Other methods, and those that are off, have no text to keep."""
    on = {"id": "1", "type": "email", "config": {"subject": "S", "body": "B", "recipients": {}}}
    assert mail_templates([on, {**on, "id": "2", "enabled": False}, {"id": "3", "type": "webapp"}, "nonsense"]) == {
        "1": {"subject": "S", "body": "B"}
    }

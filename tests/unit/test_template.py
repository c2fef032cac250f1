"""Text with references to values of the run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.template import Template, parts_of
from graph.variable_pool import SecretText, VariablePool


def pool() -> VariablePool:
    """A pool with values of several types."""
    made = VariablePool()
    made.put("n1", {"text": "tea", "none": None, "list": ["a", "b"], "obj": {"k": {"d": 1}}, "flag": True})
    made.put("sys", {"query": "hi"})
    made.put("env", {"key": SecretText("hunter2")})
    made.put("with-dash", {"text": "dash"})
    return made


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"), ("", ""), ("a {{#n1.text#}} b", "a tea b"), ("{{#n1.none#}}|", "|"),
        ("{{#n1.obj.k.d#}}", "1"), ("{{#n1.flag#}}", "True"), ("{{#n1.list#}}", '["a", "b"]'),
        ("{{#n1.gone#}}", "n1.gone"), ("{{#n1.obj.k.x#}}", "n1.obj.k.x"), ("{{#n1#}}", "{{#n1#}}"),
        ("{{#with-dash.text#}}", "{{#with-dash.text#}}"), ("{{# n1.text #}}", "{{# n1.text #}}"),
        ("{{#n1.1st#}}", "{{#n1.1st#}}"), ("{{#sys.query#}}{{#n1.text#}}", "hitea"), ("{{n1.text}}", "{{n1.text}}"),
    ],
)  # fmt: skip
def test_references_resolve_to_text(text, expected):
    """A reference becomes its value's text; an unresolved one leaves its bare inner text."""
    assert Template(text).text(pool()) == expected


def test_literal_text_that_reads_like_a_selector_resolves():
    """Text between references that is nothing but an existing selector is looked up too, as in Dify."""
    assert Template("n1.text").text(pool()) == "tea"
    assert Template("with-dash.text{{#n1.text#}}").text(pool()) == "dashtea"
    assert Template("see n1.text").text(pool()) == "see n1.text"
    assert Template("example.com").text(pool()) == "example.com"


def test_markdown_shows_lists_as_lines():
    """The markdown form lists the elements, the text form gives JSON."""
    assert Template("{{#n1.list#}}").markdown(pool()) == "- a\n- b"


def test_log_masks_secrets():
    """The value of a secret appears in the text form only."""
    template = Template("key={{#env.key#}} q={{#sys.query#}} x={{#env.gone#}}")
    assert template.text(pool()).startswith("key=hunter2")
    assert template.log(pool()) == template.masked(pool()) == "key=************ q=hi x=env.gone"
    assert "hunter2" not in repr(pool().get(("env", "key")))


def test_parts_keep_text_and_selectors_in_order():
    """Response nodes stream the pieces: text as text, references as selectors, nothing empty."""
    assert parts_of("a{{#n1.text#}}{{#n1.obj.k#}}") == ["a", ("n1", "text"), ("n1", "obj", "k")]
    assert Template("{{#n1.a#}}{{#n1.b#}}{{#n1.a#}}").selectors == (("n1", "a"), ("n1", "b"))


def test_reference_limits_follow_the_pattern():
    """A node part has up to 50 characters, a name up to 30, and up to ten names follow."""
    assert parts_of("{{#" + "a" * 50 + ".b#}}") == [("a" * 50, "b")]
    for text in ("{{#" + "a" * 51 + ".b#}}", "{{#a." + "b" * 31 + "#}}", "{{#a" + ".b" * 11 + "#}}"):
        assert parts_of(text) == [text]
    assert parts_of("{{#a" + ".b" * 10 + "#}}") == [("a", *"b" * 10)]


@given(st.text(alphabet="ab.#{} \n1", max_size=40))
def test_any_text_renders(text):
    """No text makes compiling or rendering fail, and text without marks stays as it is."""
    rendered = Template(text).text(VariablePool())
    if "{{#" not in text:
        assert rendered == text

"""Jinja2 text: Dify's semantics, rendered only where the cost is bounded."""

import re
from typing import Any

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.errors import NodeError
from graph.jinja_fuel import MAX_LOOP_PASSES
from graph.jinja_template import JinjaTemplate

NEEDS_SANDBOX = "this template needs the code sandbox: "


def render(source: str, **values: Any) -> str:
    """Compile and render."""
    return JinjaTemplate(source).render(values)


@pytest.mark.parametrize(
    ("source", "values", "expected"),
    [
        ("{{ x }}", {"x": None}, "None"), ("[{{ gone }}]", {}, "[]"), ("a\n", {}, "a"), ("a\n\n", {}, "a\n"),
        ("a\r\nb\r\n", {}, "a\nb"), ("{{ x }}{{ x }}", {"x": True}, "TrueTrue"),
        ("{{ x }}", {"x": {"a": [1.0]}}, "{'a': [1.0]}"),
        ("{{ x.a[0].b }}", {"x": {"a": [{"b": "é"}]}}, "é"), ("{{ x.gone }}|", {"x": {}}, "|"),
        ('{{ xs | join("\\n") }}', {"xs": ["a", "b"]}, "a\nb"), ("{{ xs|length }}", {"xs": [1, 2]}, "2"),
        ("{% for x in xs -%}\n{{ loop.index }}{{ '' if loop.last else ',' }}\n{%- endfor %}", {"xs": [1, 2]}, "1,2"),
        ("{% for k, v in d.items() %}{{ k }}={{ v|tojson }};{% endfor %}", {"d": {"a": ["<"]}}, 'a=["\\u003c"];'),
        ("{% for x in xs if x > 1 %}{{ x }}{% else %}none{% endfor %}", {"xs": [1]}, "none"),
        ("{% for i in range(3) %}{{ i }}{% endfor %}", {}, "012"),
        ("{% set y = x ~ 1 ~ none %}{{ y }}", {"x": "a"}, "a1None"),
        ("{% if x is defined and x in [1, 2] %}yes{% elif y %}no{% endif %}", {"x": 2}, "yes"),
        ("{{ '-' * 3 }}{{ 2 ** 3 }}{{ 7 // 2 }}{{ 7 % 4 }}{{ -x }}{{ 1 + 1.5 }}", {"x": 2}, "---833-22.5"),
        ("{{ s.split(',')|map('upper')|join('-') }}{{ s.replace('a', 'c') }}", {"s": "a,b"}, "A-Bc,b"),
        ("{{ xs|selectattr('a', 'eq', 1)|map(attribute='b')|list }}", {"xs": [{"a": 1, "b": 2}, {"a": 2}]}, "[2]"),
        ("{{ x|default('d') }}{{ x|upper|lower|trim }}{{ [3, 1]|sort|first }}", {}, "d1"),
        ("{{ s[:2] }}{{ s[-1] }}", {"s": "abc"}, "abc"),
        ("{% with a = 1 %}{{ a }}{% endwith %}{# no #}{% raw %}{{ x }}{% endraw %}", {}, "1{{ x }}"),
        ("{{ d.get('k', 'none') }}{{ x|e }}{{ xs|sum }}", {"d": {}, "x": "<", "xs": [1, 2]}, "none&lt;3"),
    ],
)  # fmt: skip
def test_template_renders_as_in_dify(source, values, expected):
    """Undefined prints empty, null prints None, one trailing line break is dropped."""
    assert render(source, **values) == expected
    assert render(source, **values) == jinja2.Template(source).render(values)


@pytest.mark.parametrize(
    ("source", "construct"),
    [
        ("{% macro f() %}{% endmacro %}", "a macro at line 1"), ("a\n{% include 'x' %}", "an include at line 2"),
        ("{% import 'x' as y %}", "an import at line 1"), ("{% extends 'x' %}", "extends at line 1"),
        ("{% block a %}{% endblock %}", "a block at line 1"),
        ("{% filter upper %}{% endfilter %}", "a filter block at line 1"),
        ("{% set x %}a{% endset %}", "a set block at line 1"),
        ("\n{{ namespace(a=1) }}", "a call of 'namespace' at line 2"),
        ("{% for a in xs recursive %}{% endfor %}", "a recursive loop at line 1"),
        ("{{ cycler }}", "'cycler' at line 1"),
        ("{{ x.append(1) }}", "a call of 'append' at line 1"), ("{{ x.format(1) }}", "a call of 'format' at line 1"),
        ("{{ x['upper']() }}", "a call of 'a value' at line 1"), ("{{ x|attr('a') }}", "the filter 'attr' at line 1"),
        ("{{ '%s'|format(1) }}", "the filter 'format' at line 1"), ("{{ x|gone }}", "the filter 'gone' at line 1"),
        ("{{ x is callable }}", "the test 'callable' at line 1"),
        ("{{ xs|map(y)|list }}", "the filter 'map' with a name"),
        ("{{ xs|map('attr', 'a') }}", "the filter 'map' with a name"),
        ("{{ x.split(*y) }}", "an argument list of its own making"),
        ("{% for a in loop(x) %}{% endfor %}", "a call of 'loop' at line 1"), ("{{ self }}", "'self' at line 1"),
        ("{{" + "(" * 4000 + "1" + ")" * 4000 + "}}", "nesting of extreme depth"),
    ],
)  # fmt: skip
def test_construct_without_bound_is_named_with_its_line(source, construct):
    """What can blow up fails its node with the construct and its line."""
    with pytest.raises(NodeError, match=re.escape(NEEDS_SANDBOX + construct)):
        render(source, x="", xs=[], y=[])


BIG = "a" * 1_000_000
DOUBLED = "{% set x = 'aaaaaaaa' %}" + "{% set x = OP %}" * 60 + "{{ x|length }}"


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 1000000000 }}", "{{ 1000000000 * 'a' }}", "{{ [1] * 1000000000 }}", "{{ 9 ** 99999 }}",
        "{{ '%1000000000d' % 1 }}", "{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}",
        DOUBLED.replace("OP", "x ~ x"), DOUBLED.replace("OP", "x + x"), DOUBLED.replace("OP", "[x, x]"),
        DOUBLED.replace("OP", "{1: x, 2: x}"), DOUBLED.replace("OP", "[x, x]|join"), DOUBLED.replace("OP",
        "x.replace('a', 'aa')"),
        "{% set n = 99 %}" + "{% set n = n * n %}" * 40 + "{{ n }}", "{{ x|center(1000000000) }}",
        "{{ x|indent(1000000000) }}",
        "{{ big|replace('', big) }}", "{{ big|replace('a', big) }}", "{{ x.zfill(1000000000) }}", "{{ big.join(big) }}",
        "{{ [1]|batch(1000000000, 'x')|list }}", "{{ [1]|slice(1000000000)|list }}", "{{ range(1000000000)|list }}",
        "{{ range(1000000000)|sum }}", "{{ 'a' in range(1000000000) }}", "{% for i in range(10 ** 30) %}{% endfor %}",
        "{{ 1.5|round(100000000, 'ceil') }}", "{{ 1|round(-100000000) }}", "{{ [[1]]|sum(start=[]) }}",
        "{{ x|tojson(indent=99) }}",
        "{% for i in range(90000) %}{{ big == big2 }}{% endfor %}",
        "{% for i in range(90000) %}{% if i in many %}{% endif %}{% endfor %}",
        "{% for i in range(90000) %}{% set y = big|upper %}{% endfor %}",
        "{% for i in range(90000) %}{% set y = big[1:] %}{% endfor %}",
        "{{ many|select('in', many)|list|length }}",
        "{% for i in range(90000) %}{% set y = big.strip('b') %}{% endfor %}",
        "{% for i in range(90000) %}{% if big is eq(big2) %}{% endif %}{% endfor %}", "{{ big|trim(big) }}",
        "{% for i in range(90000) %}{% if loop.changed(many) %}{% endif %}{% endfor %}",
    ],
)  # fmt: skip
def test_work_beyond_the_budget_stops_early(source):
    """A template whose inputs or operators make too much work ends with the reason, and soon."""
    with pytest.raises(NodeError, match=re.escape(NEEDS_SANDBOX)):
        render(
            source,
            x="a",
            big=BIG,
            big2="a" * 999_999 + "b" if "eq" not in source else "a" * 1_000_000,
            many=list(range(100_000)),
        )


def test_loops_are_bounded_by_their_passes():
    """A hundred thousand passes are allowed, one more is not."""
    source = "{% for x in xs %}{% endfor %}"
    assert render(source, xs=[0] * MAX_LOOP_PASSES) == ""
    with pytest.raises(NodeError, match="loop passes"):
        render(source, xs=[0] * (MAX_LOOP_PASSES + 1))


@pytest.mark.parametrize(
    "source", ["{{ x }}{{ x }}", "{{ x|upper }}{{ x }}", "{% for i in range(90000) %}{{ x }}{% endfor %}"]
)
def test_output_beyond_the_limit_fails(source):
    """More than 400,000 characters are a failure, found while they come."""
    assert render("{{ x }}", x="a" * 400_000)
    with pytest.raises(NodeError, match="Output length exceeds 400000 characters"):
        render(source, x="a" * 200_001)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{% if %}", "the template has a fault at line 1"), ("{{ 1 / 0 }}", "the template failed: division by zero"),
        ("{{ gone.attribute }}", "the template failed: 'gone' is undefined"),
        ("{{ " + "1" * 5000 + " }}", "cannot be compiled"),
        ("{% for a in x %}" * 30 + "{% endfor %}" * 30, "cannot be compiled"), ("{{ ''.__class__.__mro__ }}", "unsafe"),
    ],
)  # fmt: skip
def test_faulty_template_fails_when_it_renders(source, message):
    """A fault is told by the run that renders the template, each time anew."""
    template = JinjaTemplate(source)
    for _ in range(2):
        with pytest.raises(NodeError, match=message):
            template.render({"x": []})


@settings(max_examples=50)
@given(
    st.lists(
        st.sampled_from(
            ["{{ a }}", "{{a}}", "{{ b }}", "{{  gone }}", "x", " ", "}}", "{", "%}", "\n", "\r\n", "\r", "#"]
        )
    ),
    st.sampled_from([None, "t", 1, True, [1], {"k": "v"}]),
)
def test_plain_templates_equal_jinja(pieces, value):
    """A template that only prints names renders without Jinja2 and gives the same text."""
    source = "".join(pieces)
    try:
        expected = jinja2.Template(source).render({"a": value, "b": "B"})
    except jinja2.TemplateSyntaxError:
        with pytest.raises(NodeError):
            render(source, a=value, b="B")
    else:
        assert render(source, a=value, b="B") == expected


@given(st.text(alphabet="{}%#x|~ .()[]'*+forinet1", max_size=30))
def test_any_text_renders_or_says_why(source):
    """No text at all makes compiling or rendering raise anything but a node error."""
    try:
        assert isinstance(render(source, x="v"), str)
    except NodeError:
        pass

"""The human-input node: the form it opens, and what it gives back for an answer or a passed deadline."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fakes import ListForms, effects
from graph.errors import NodeError
from graph.human_rules import FormRules
from graph.nodes.human_input import rendered_content, submitted_result, timed_out_result
from graph.nodes.kind import EffectContext, FormAsked
from graph.nodes.table import KINDS
from graph.variable_pool import VariablePool

ACTIONS = [{"id": "approve", "title": "Approve", "button_style": "primary"}, {"id": "reject", "title": "Reject"}]
FIELDS = [
    {"type": "paragraph", "output_variable_name": "comment"},
    {"type": "select", "output_variable_name": "choice", "option_source": {"type": "constant", "value": ["a", "b"]}},
    {"type": "file", "output_variable_name": "one", "allowed_file_types": ["image"]},
    {"type": "file-list", "output_variable_name": "many", "number_limits": 2},
]


def checked(**data: Any) -> Any:
    """Return checked data."""
    return KINDS["human-input"].data.model_validate({"type": "human-input", "title": "Review", **data})


async def ask(pool: dict[str, dict[str, Any]], **data: Any) -> FormAsked:
    """Run one node; return what it asked."""
    compile_effect = KINDS["human-input"].compile_effect
    assert compile_effect is not None
    values = VariablePool()
    for node_id, names in pool.items():
        values.put(node_id, names)
    forms = ListForms()
    context = EffectContext("run-1", "hi", "execution-1", effects(forms=forms), lambda *piece: None)
    asked = await compile_effect(checked(**data))(values, context)
    assert isinstance(asked, FormAsked) and forms.requests == [asked.request]
    return asked


async def test_form_carries_the_wire_shapes():
    """The request names run, node and execution, and holds fields and actions as the wire has them."""
    asked = await ask({}, inputs=FIELDS, user_actions=ACTIONS, timeout=2, timeout_unit="day")
    request = asked.request
    assert (request.run_id, request.node_id, request.execution_id, request.node_title) == (
        "run-1",
        "hi",
        "execution-1",
        "Review",
    )
    assert request.timeout_s == 172_800 and asked.opened.form_id == "form-1"
    assert request.actions[1] == {"id": "reject", "title": "Reject", "button_style": "default"}
    assert request.inputs == [
        {"type": "paragraph", "output_variable_name": "comment", "default": None},
        {
            "type": "select",
            "output_variable_name": "choice",
            "option_source": {"type": "constant", "selector": [], "value": ["a", "b"]},
        },
        {
            "type": "file",
            "output_variable_name": "one",
            "allowed_file_types": ["image"],
            "allowed_file_extensions": [],
            "allowed_file_upload_methods": [],
        },
        {
            "type": "file-list",
            "output_variable_name": "many",
            "allowed_file_types": [],
            "allowed_file_extensions": [],
            "allowed_file_upload_methods": [],
            "number_limits": 2,
        },
    ]


async def test_content_is_rendered_and_fields_stay():
    """References become markdown when the form opens; places of fields stay for the page."""
    content = "Write about {{#s.topics#}}?\n\n{{#$output.comment#}}"
    asked = await ask({"s": {"topics": ["tea"]}}, form_content=content)
    assert asked.request.form_content == "Write about - tea?\n\n{{#$output.comment#}}"


async def test_variable_defaults_are_resolved_and_constants_are_not():
    """Only defaults of type variable that exist are resolved."""

    def field(name: str, kind: str, selector: list[str]) -> dict[str, Any]:
        return {
            "type": "paragraph",
            "output_variable_name": name,
            "default": {"type": kind, "selector": selector, "value": "c"},
        }

    fields = [field("a", "variable", ["s", "x"]), field("b", "constant", []), field("c", "variable", ["s", "gone"])]
    asked = await ask({"s": {"x": {"k": 1}}}, inputs=fields)
    assert asked.request.resolved_default_values == {"a": {"k": 1}}
    assert asked.request.inputs[1]["default"] == {"type": "constant", "selector": [], "value": "c"}


async def test_variable_options_replace_the_configured_ones():
    """Options from a variable must be texts; a missing variable leaves the configured ones."""
    source = {"type": "variable", "selector": ["s", "options"], "value": ["configured"]}
    fields = [{"type": "select", "output_variable_name": "choice", "option_source": source}]
    asked = await ask({"s": {"options": ["x", "y"]}}, inputs=fields)
    assert asked.request.inputs[0]["option_source"] == {**source, "value": ["x", "y"]}
    assert (await ask({}, inputs=fields)).request.inputs[0]["option_source"] == source
    with pytest.raises(
        NodeError, match=r"'choice' come from s\.options, which is no array\[string\] but array\[number\]"
    ):
        await ask({"s": {"options": [1]}}, inputs=fields)


async def test_mail_body_is_filled_and_keeps_its_link():
    """References in a mail's body are filled when the form opens; the link's place stays for the mailer."""
    config = {"recipients": {"whole_workspace": True}, "subject": "Q", "body": "{{#s.q#}} {{#url#}}"}
    methods = [{"type": "webapp", "enabled": False}, {"type": "email", "id": "mail-1", "config": config}]
    asked = await ask({"s": {"q": "tea"}}, delivery_methods=methods, greenroom={"idempotent": True})
    webapp, mail = asked.request.delivery_methods
    assert mail["config"]["body"] == "tea {{#url#}}" and mail["config"]["recipients"] == {
        "whole_workspace": True,
        "items": [],
    }
    assert (mail["id"], webapp["enabled"], len(webapp["id"])) == ("mail-1", False, 36)
    assert asked.request.rules == FormRules(idempotent=True)


def test_newer_and_older_names_mean_the_same():
    """Both spellings of the recipients and of the text field are understood."""
    recipients = {
        "include_bound_group": True,
        "items": [{"type": "member", "reference_id": "m"}, {"type": "external", "email": "a@x.test"}],
    }
    data = checked(
        delivery_methods=[{"type": "email", "config": {"recipients": recipients, "subject": "", "body": ""}}],
        inputs=[{"type": "text-input", "output_variable_name": "a"}],
    )
    found = data.delivery_methods[0].config.recipients.model_dump()
    assert found == {
        "whole_workspace": True,
        "items": [{"type": "member", "user_id": "m"}, {"type": "external", "email": "a@x.test"}],
    }
    assert data.inputs[0].type == "paragraph"
    with pytest.raises(ValidationError):
        checked(delivery_methods=[{"type": "email", "config": {"recipients": {"odd": 1}, "subject": "", "body": ""}}])


DEFINITION = {
    "form_content": "Q?\n{{#$output.comment#}} {{#$output.choice#}} {{#$output.one#}} {{#$output.many#}}.",
    "inputs": FIELDS,
    "actions": ACTIONS,
}


def test_answer_gives_its_fields_and_the_action():
    """The exit is the action's id; outputs are the declared fields, the action and the filled content."""
    values = {"comment": "ok", "choice": "a", "one": {"type": "image"}, "many": [{}, {}], "odd": 1}
    result = submitted_result(DEFINITION, "reject", values)
    assert result.handle == "reject" and result.inputs == values
    assert result.outputs == {
        "comment": "ok",
        "choice": "a",
        "one": {"type": "image"},
        "many": [{}, {}],
        "__action_id": "reject",
        "__action_value": "Reject",
        "__rendered_content": "Q?\nok a [file] [2 files].",
    }


def test_passed_deadline_leaves_the_content_as_it_was_asked():
    """The exit is __timeout, the action is empty and the places of fields stay."""
    result = timed_out_result(DEFINITION)
    assert result.handle == "__timeout"
    assert result.outputs == {"__action_id": "", "__action_value": "", "__rendered_content": DEFINITION["form_content"]}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "|"), ({"comment": None}, "|"), ({"comment": ["a", {"b": "é"}]}, '["a", {"b": "é"}]|'),
        ({"comment": 5}, "5|"),
        ({"comment": "{{#$output.choice#}}", "choice": "a"}, "{{#$output.choice#}}|a"),
    ],
)  # fmt: skip
def test_values_fill_their_places_once(values, expected):
    """Missing and null are empty, other values JSON, and a value that looks like a place stays text."""
    assert rendered_content("{{#$output.comment#}}|{{#$output.choice#}}", FIELDS, values) == expected


def test_handles_are_the_actions_and_the_timeout():
    """Edges leave by action id or by __timeout."""
    handles = KINDS["human-input"].handles
    assert handles is not None and handles(checked(user_actions=ACTIONS)) == ["approve", "reject", "__timeout"]


@given(st.dictionaries(st.sampled_from(["comment", "choice", "odd"]), st.text() | st.none() | st.lists(st.integers())))
def test_any_answer_gives_a_result(values):
    """Whatever was submitted, the outputs hold each declared field that was given."""
    outputs = submitted_result(DEFINITION, "approve", values).outputs
    assert {name for name in outputs if not name.startswith("__")} == set(values) & {"comment", "choice"}

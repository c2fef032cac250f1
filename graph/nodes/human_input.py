"""human-input: asks a person and waits; goes on through the action taken, or through ``__timeout``.

The step only opens the form. When the answer or the deadline comes, ``submitted_result`` and ``timed_out_result``
say what the node gives back. Who may answer, through which link, is the part of ``hitl``.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graph.errors import NodeError
from graph.nodes.human_input_data import FormInput, HumanInputData, ParagraphInput, SelectInput
from graph.nodes.kind import EffectContext, EffectStep, FormAsked, NodeKind, NodeResult
from graph.ports import FormRequest
from graph.template import Template
from graph.value_types import ValueType, infer_type
from graph.variable_pool import MISSING, VariablePool

TIMEOUT_HANDLE = "__timeout"
_FIELD = re.compile(r"\{\{#\$output\.([A-Za-z_][A-Za-z0-9_]{0,29})#\}\}")


def _compile(data: HumanInputData) -> EffectStep:
    request_of = compile_request(data)

    async def step(pool: VariablePool, context: EffectContext) -> FormAsked:
        request = request_of(pool, context.run_id, context.node_id, context.execution_id)
        return FormAsked(request, await context.effects.forms.open_form(request))

    return step


def compile_request(data: HumanInputData) -> Callable[[VariablePool, str, str, str], FormRequest]:
    """Return what makes the node's question from a pool, a run id, a node id and an execution id.

    What it returns raises NodeError where a select's options are no list of texts.
    """
    content = Template(data.form_content)
    fields = [_compile_field(field) for field in data.inputs]
    actions = [action.model_dump() for action in data.user_actions]
    defaults = [
        (field.output_variable_name, tuple(field.default.selector))
        for field in data.inputs
        if isinstance(field, ParagraphInput) and field.default is not None and field.default.type == "variable"
    ]
    methods = [method.model_dump() for method in data.delivery_methods]
    mails = [_mail_templates(m) for m in methods]
    title, timeout_s, rules = data.title, data.timeout_s, data.greenroom

    def request_of(pool: VariablePool, run_id: str, node_id: str, execution_id: str) -> FormRequest:
        resolved = {name: value for name, selector in defaults if (value := pool.get(selector)) is not MISSING}
        return FormRequest(
            run_id=run_id,
            node_id=node_id,
            execution_id=execution_id,
            node_title=title,
            form_content=content.markdown(pool),
            inputs=[field(pool) for field in fields],
            actions=[dict(action) for action in actions],
            resolved_default_values=resolved,
            delivery_methods=[_with_mail(m, texts, pool) for m, texts in zip(methods, mails, strict=True)],
            timeout_s=timeout_s,
            rules=rules,
        )

    return request_of


def _mail_templates(method: dict[str, Any]) -> dict[str, Template]:
    if method["type"] != "email":
        return {}
    return {name: Template(method["config"][name]) for name in ("subject", "body")}


def _with_mail(method: dict[str, Any], texts: dict[str, Template], pool: VariablePool) -> dict[str, Any]:
    """Return the delivery method with its mail's references filled in; ``{{#url#}}`` stays for the mailer."""
    if not texts:
        return method
    return {**method, "config": {**method["config"], **{name: text.text(pool) for name, text in texts.items()}}}


def _compile_field(field: FormInput) -> Callable[[VariablePool], dict[str, Any]]:
    shape = field.model_dump()
    if not isinstance(field, SelectInput) or field.option_source.type != "variable":
        return lambda pool: shape
    selector = tuple(field.option_source.selector)

    def with_options(pool: VariablePool) -> dict[str, Any]:
        options = pool.get(selector)
        if options is MISSING:
            return shape
        if options != [] and infer_type(options) is not ValueType.ARRAY_STRING:
            raise NodeError(
                f"the options of {field.output_variable_name!r} come from {'.'.join(selector)}, "
                f"which is no array[string] but {infer_type(options)}",
                "ValueTypeError",
            )
        return {**shape, "option_source": {**shape["option_source"], "value": list(options)}}

    return with_options


def submitted_result(definition: Mapping[str, Any], action_id: str, values: Mapping[str, Any]) -> NodeResult:
    """Return what the node gives back for an answer.

    Args:
        definition: the form as it was opened (form_content, inputs, actions …).
        action_id: id of the action taken, one of the form's.
        values: field name -> submitted value; names of no field are recorded but give no output.
    """
    title = next(action["title"] for action in definition["actions"] if action["id"] == action_id)
    names = [field["output_variable_name"] for field in definition["inputs"]]
    outputs = {name: values[name] for name in names if name in values}
    outputs["__action_id"] = action_id
    outputs["__action_value"] = title
    outputs["__rendered_content"] = rendered_content(definition["form_content"], definition["inputs"], values)
    return NodeResult(outputs=outputs, inputs=dict(values), handle=action_id)


def timed_out_result(definition: Mapping[str, Any]) -> NodeResult:
    """Return what the node gives back when its deadline passed: the content as it was asked, placeholders included."""
    outputs = {"__action_id": "", "__action_value": "", "__rendered_content": definition["form_content"]}
    return NodeResult(outputs=outputs, handle=TIMEOUT_HANDLE)


def rendered_content(form_content: str, inputs: Sequence[Mapping[str, Any]], values: Mapping[str, Any]) -> str:
    """Return ``form_content`` with ``values`` in the place of its fields (spec/hitl.md 2.3).

    A value is put in as it is: what looks like a placeholder inside of it stays text.
    """
    types = {field["output_variable_name"]: field["type"] for field in inputs}
    return _FIELD.sub(lambda match: _value_text(types.get(match[1]), values.get(match[1])), form_content)


def _value_text(field_type: str | None, value: Any) -> str:
    if value is None:
        return ""
    if field_type == "file":
        return "[file]"
    if field_type == "file-list":
        return f"[{len(value)} files]"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _handles(data: HumanInputData) -> list[str]:
    return [*(action.id for action in data.user_actions), TIMEOUT_HANDLE]


KIND = NodeKind(type="human-input", data=HumanInputData, compile_effect=_compile, is_branch=True, handles=_handles)

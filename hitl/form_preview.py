"""Tries out one human-input node of a workflow document, without a run: what it would ask, what an answer would give.

Nothing is stored and nobody is asked. Variables of other nodes come from the caller.

Source: spec/http.md 7.3, spec/hitl.md 6.3.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from graph.errors import InvalidInputError, InvalidWorkflowError
from graph.nodes.human_input import compile_request, submitted_result
from graph.nodes.human_input_data import HumanInputData
from graph.parse_workflow import parse_document
from graph.ports import FormRequest
from graph.variable_pool import VariablePool
from graph.workflow import Workflow
from hitl.answer_file import OwnedFiles
from hitl.form import FormDefinition
from hitl.submission import validate_submission

_SHORTEST_SELECTOR = 2


def request_of_node(
    document: Mapping[str, Any], node_id: str, inputs: Mapping[str, Any], execution_id: str = ""
) -> FormRequest:
    """Return the question that a human-input node would ask; its run id is "".

    Args:
        document: the workflow file, read.
        node_id: the node.
        inputs: variable -> value, a variable written as ``node.name``, ``#node.name#`` or ``{{#node.name#}}``. What is
            not given stays as its name in the text.
        execution_id: of the question, where it is going to be asked.

    Raises:
        InvalidWorkflowError: the document cannot be read.
        InvalidInputError: there is no such node, it is of another kind, or a name in ``inputs`` is no variable.
        NodeError: the options of a select are no list of texts.
    """
    parsed = parse_document(dict(document))
    if parsed.workflow is None:
        raise InvalidWorkflowError(tuple(str(fault) for fault in parsed.faults))
    data = _data_of(parsed.workflow, node_id)
    return compile_request(data)(_pool(parsed.workflow, inputs), "", node_id, execution_id)


def preview(document: Mapping[str, Any], node_id: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the form that a node would open, as the editor shows it; arguments and errors of ``request_of_node``."""
    request = request_of_node(document, node_id, inputs)
    return {
        "TYPE": "human_input_required",
        "form_id": node_id,
        "form_content": request.form_content,
        "inputs": request.inputs,
        "actions": request.actions,
        "node_id": node_id,
        "node_title": request.node_title,
        "resolved_default_values": request.resolved_default_values,
    }


def outputs_of_answer(
    document: Mapping[str, Any],
    node_id: str,
    inputs: Mapping[str, Any],
    form_inputs: Mapping[str, Any],
    action: str,
    files: OwnedFiles,
) -> dict[str, Any]:
    """Return the outputs that a node would give for an answer; names that the form does not declare are kept.

    Args:
        document: the workflow file, read.
        node_id: the node.
        inputs: variable -> value, as for ``request_of_node``.
        form_inputs: input name -> submitted value.
        action: id of the chosen action.
        files: what the submitter may put into the answer.

    Raises:
        InvalidSubmissionError: the answer does not fit the form.
        GreenroomError: as ``request_of_node``.
    """
    request = request_of_node(document, node_id, inputs)
    definition = FormDefinition(request.form_content, request.inputs, request.actions)
    answer = validate_submission(definition, action, form_inputs, files)
    asked = {"form_content": request.form_content, "inputs": request.inputs, "actions": request.actions}
    return {**answer.values, **submitted_result(asked, answer.action_id, answer.values).outputs}


def _data_of(workflow: Workflow, node_id: str) -> HumanInputData:
    node = next((each for each in workflow.nodes if each.id == node_id), None)
    if node is None:
        raise InvalidInputError(f"there is no node {node_id!r} in this workflow")
    if node.type != "human-input":
        raise InvalidInputError(f"node {node_id!r} is of kind {node.type!r}, not human-input")
    try:
        return HumanInputData.model_validate({**node.data, "node_id": node_id})
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise InvalidInputError(f"{node.path}.data.{place}: {fault['msg']}") from error


def _pool(workflow: Workflow, inputs: Mapping[str, Any]) -> VariablePool:
    pool = VariablePool()
    pool.put("env", workflow.environment_values)
    pool.put("conversation", {variable.name: variable.value for variable in workflow.conversation})
    for name, value in inputs.items():
        selector = name.removeprefix("{{").removesuffix("}}").strip("#").split(".")
        if len(selector) < _SHORTEST_SELECTOR or not all(selector):
            raise InvalidInputError(f"inputs.{name}: write a variable as node.name or #node.name#")
        node_id, first, *path = selector
        for part in reversed(path):
            value = {part: value}
        pool.put(node_id, {first: value})
    return pool

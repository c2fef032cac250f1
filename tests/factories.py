"""Builds small workflows and plans for tests."""

from typing import Any

from graph.parse_workflow import parse_document
from graph.plan import Plan, compile_plan
from graph.workflow import Workflow


def node(node_id: str, kind: str, **data: Any) -> dict[str, Any]:
    """Return one node of a file; the title is its id unless ``data`` says otherwise."""
    return {"id": node_id, "data": {"type": kind, "title": node_id, **data}}


def edge(source: str, target: str, handle: str = "source") -> dict[str, Any]:
    """Return one edge of a file."""
    return {"id": f"{source}-{handle}-{target}", "source": source, "target": target, "sourceHandle": handle}


def start(*variables: str) -> dict[str, Any]:
    """Return a start node "start" with optional text inputs."""
    form = [{"variable": name, "label": name, "type": "text-input", "required": False} for name in variables]
    return node("start", "start", variables=form)


def end(node_id: str = "end", **outputs: list[str]) -> dict[str, Any]:
    """Return an end node whose outputs are the given selectors."""
    return node(node_id, "end", outputs=[{"variable": k, "value_selector": v} for k, v in outputs.items()])


def answer(node_id: str, text: str) -> dict[str, Any]:
    """Return an answer node that says ``text``."""
    return node(node_id, "answer", answer=text)


def template(node_id: str, text: str, **variables: list[str]) -> dict[str, Any]:
    """Return a template-transform node."""
    return node(
        node_id,
        "template-transform",
        template=text,
        variables=[{"variable": k, "value_selector": v} for k, v in variables.items()],
    )


def llm(node_id: str, prompt: str = "Say something.", model: str | None = None, **data: Any) -> dict[str, Any]:
    """Return an llm node; its model is named like the node unless ``model`` says otherwise."""
    return node(
        node_id,
        "llm",
        model={"provider": "scripted", "name": model or node_id, "mode": "chat", "completion_params": {}},
        prompt_template=[{"role": "user", "text": prompt}],
        **data,
    )


def human(
    node_id: str = "human", content: str = "Well?", actions: tuple[str, ...] = ("approve", "reject"), **data: Any
):
    """Return a human-input node with one paragraph input ``comment`` and the given actions."""
    return node(
        node_id,
        "human-input",
        form_content=content,
        inputs=data.pop("inputs", [{"type": "paragraph", "output_variable_name": "comment"}]),
        user_actions=[{"id": action, "title": action.title(), "button_style": "default"} for action in actions],
        delivery_methods=data.pop("delivery_methods", [{"type": "webapp", "enabled": True, "id": "web-1"}]),
        **data,
    )


def document(nodes: list[dict[str, Any]], edges: list[dict[str, Any]], mode: str = "workflow") -> dict[str, Any]:
    """Return a whole app file as a mapping."""
    return {
        "version": "0.6.0",
        "kind": "app",
        "app": {"name": "test", "mode": mode},
        "workflow": {"graph": {"nodes": nodes, "edges": edges}, "features": {}},
    }


def workflow(nodes: list[dict[str, Any]], edges: list[dict[str, Any]], mode: str = "workflow") -> Workflow:
    """Return the parsed workflow of the given graph."""
    return workflow_of(document(nodes, edges, mode))


def workflow_of(file: dict[str, Any]) -> Workflow:
    """Return the parsed workflow of a whole app file."""
    parsed = parse_document(file)
    assert parsed.workflow is not None, parsed.faults
    return parsed.workflow


def plan(nodes: list[dict[str, Any]], edges: list[dict[str, Any]], mode: str = "workflow") -> Plan:
    """Return the compiled plan of the given graph."""
    return compile_plan(workflow(nodes, edges, mode))


def iteration(
    node_id: str, items: list[str], output: list[str], *inner: dict[str, Any], **data: Any
) -> list[dict[str, Any]]:
    """Return an iteration node with its start node ``<node_id>start`` and the ``inner`` nodes."""
    selectors = {"iterator_selector": items, "output_selector": output}
    return _container(node_id, "iteration", inner, **selectors, **data)


def loop(node_id: str, count: int, *inner: dict[str, Any], **data: Any) -> list[dict[str, Any]]:
    """Return a loop node with its start node ``<node_id>start`` and the ``inner`` nodes."""
    return _container(node_id, "loop", inner, loop_count=count, **data)


def _container(node_id: str, kind: str, inner: tuple[dict[str, Any], ...], **data: Any) -> list[dict[str, Any]]:
    first = node(f"{node_id}start", f"{kind}-start")
    children = [{**each, "parentId": each.get("parentId", node_id)} for each in (first, *inner)]
    return [node(node_id, kind, start_node_id=first["id"], **data), *children]


def variable(label: str, var_type: str, value: Any, value_type: str = "constant") -> dict[str, Any]:
    """Return a loop variable."""
    return {"id": label, "label": label, "var_type": var_type, "value_type": value_type, "value": value}


def condition(selector: list[str], operator: str, value: str) -> dict[str, Any]:
    """Return one comparison, for a break condition or a case."""
    return {"variable_selector": selector, "comparison_operator": operator, "value": value}


def assigner(node_id: str, *items: tuple[list[str], str, Any], **data: Any) -> dict[str, Any]:
    """Return an assigner of version 2 with items (selector, operation, value); a list is the selector of its input."""
    shapes = [
        {
            "variable_selector": selector,
            "operation": operation,
            "input_type": "variable" if isinstance(value, list) or value is None else "constant",
            "value": value,
        }
        for selector, operation, value in items
    ]
    return node(node_id, "assigner", version="2", items=shapes, **data)

"""Code nodes behind made-up values: where their code cannot work on them, they give values of their declared types.

A mocked tool says "mocked tool output" where a real one gives JSON, so the code behind it fails though nothing is wrong
with it. Code that nothing made-up can reach, and code that lacks a package, fails as it does in earnest.

Source: spec/graph.md 7.1.
"""

from collections.abc import Callable

from cli.simulation_script import Script
from graph.errors import NodeError
from graph.nodes.code import CodeData
from graph.nodes.code_outputs import DeclaredOutput
from graph.nodes.kind import EffectContext, EffectStep, FormAsked, NodeResult
from graph.plan import CONTAINER_KINDS, Plan, PlanNode
from graph.variable_pool import VariablePool

_MADE_UP_KINDS = frozenset(
    {
        "agent", "document-extractor", "http-request", "knowledge-retrieval", "knowledge-retrieval-v2", "llm",
        "parameter-extractor", "question-classifier", "tool",
    }
)  # fmt: skip
_NO_PACKAGE = ("ModuleNotFoundError", "ImportError")
_SAMPLES: dict[str, object] = {
    "number": 42,
    "boolean": True,
    "object": {"key": "value"},
    "array[string]": ["item1", "item2"],
    "array[number]": [1, 2, 3],
    "array[boolean]": [True, False],
    "array[object]": [{"key": "value1"}, {"key": "value2"}],
}


def fed_by_made_up_values(plan: Plan, script: Script) -> set[str]:
    """Return the ids of the nodes that a value can reach which neither the script nor the workflow has made."""
    scopes = plan.scopes
    found = [
        (container, node.index)
        for container, scope in scopes.items()
        for node in scope.nodes
        if node.type in _MADE_UP_KINDS and not _is_given(script, node.id)
    ]
    places = {node.id: (container, node.index) for container, scope in scopes.items() for node in scope.nodes}
    reached = set(found)
    while found:
        container, index = found.pop()
        scope = scopes[container]
        node = scope.nodes[index]
        after = [(container, scope.edges[edge].target) for edge in node.outgoing]
        if container:
            after.append(places[container])
        if node.type in CONTAINER_KINDS:
            after += [(node.id, each.index) for each in scopes[node.id].nodes]
        fresh = [place for place in after if place not in reached]
        reached.update(fresh)
        found += fresh
    return {scopes[container].nodes[index].id for container, index in reached}


def _is_given(script: Script, node_id: str) -> bool:
    scripted = script.nodes.get(node_id)
    if scripted is None:
        return False
    calls = [call for _, call in scripted.each("")]
    return all(call.outputs is not None or call.chunks is not None or call.error is not None for call in calls)


def forgiving(node: PlanNode, own: EffectStep, note: Callable[[str], None]) -> EffectStep:
    """Return the step of a code node that gives values of its declared types where its code fails.

    Args:
        node: the code node.
        own: its own step.
        note: hears that it happened, and why.
    """
    data = node.data
    assert isinstance(data, CodeData)
    declared = data.outputs

    async def step(pool: VariablePool, context: EffectContext) -> NodeResult | FormAsked:
        try:
            return await own(pool, context)
        except NodeError as error:
            # A cause is a fault of the sandbox, not of the code.
            if error.__cause__ is not None or error.message.startswith(_NO_PACKAGE):
                raise
            reason = f"its code fails on made-up values ({error}); it gives values of its declared types instead"
            note(f"{node.title} ({node.id}): {reason}")
            return NodeResult({name: declared_sample(name, output) for name, output in declared.items()})

    return step


def declared_sample(name: str, output: DeclaredOutput) -> object:
    """Return a value of the type of ``output``, which is called ``name``."""
    if output.type == "object" and output.children:
        return {member: declared_sample(member, child) for member, child in output.children.items()}
    return _SAMPLES.get(output.type, f"mocked_{name}")

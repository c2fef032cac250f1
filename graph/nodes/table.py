"""Every node kind: those that run, and those of Dify that are recognised but do not run yet."""

from graph.nodes import (
    answer,
    end,
    human_input,
    if_else,
    llm,
    start,
    template_transform,
    variable_aggregator,
)
from graph.nodes.kind import NodeKind

KINDS: dict[str, NodeKind] = {
    kind.type: kind
    for kind in (
        start.KIND,
        end.KIND,
        answer.KIND,
        if_else.KIND,
        template_transform.KIND,
        llm.KIND,
        variable_aggregator.KIND,
        variable_aggregator.LEGACY_KIND,
        human_input.KIND,
    )
}
"""Type name of a file -> the kind that runs it."""

RECOGNISED: frozenset[str] = frozenset(
    {
        "agent", "assigner", "code", "datasource", "document-extractor", "http-request", "iteration", "iteration-start",
        "knowledge-index", "knowledge-retrieval", "knowledge-retrieval-v2", "list-operator", "loop", "loop-end",
        "loop-start", "parameter-extractor", "question-classifier", "tool", "trigger-plugin", "trigger-schedule",
        "trigger-webhook",
    }
)  # fmt: skip
"""Kinds of Dify that cannot run yet: a run that reaches one fails by its name."""

"""Every node kind: those that run, and those of Dify that are recognised but do not run yet."""

from graph.nodes import (
    answer,
    assigner,
    code,
    document_extractor,
    end,
    http_request,
    human_input,
    if_else,
    iteration,
    list_operator,
    llm,
    loop,
    parameter_extractor,
    question_classifier,
    start,
    template_transform,
    tool,
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
        parameter_extractor.KIND,
        question_classifier.KIND,
        tool.KIND,
        code.KIND,
        assigner.KIND,
        iteration.KIND,
        iteration.START_KIND,
        loop.KIND,
        loop.START_KIND,
        loop.END_KIND,
        list_operator.KIND,
        document_extractor.KIND,
        http_request.KIND,
    )
}
"""Type name of a file -> the kind that runs it."""

RECOGNISED: frozenset[str] = frozenset(
    {
        "agent", "datasource", "knowledge-index", "knowledge-retrieval", "knowledge-retrieval-v2", "trigger-plugin",
        "trigger-schedule", "trigger-webhook",
    }
)  # fmt: skip
"""Kinds of Dify that cannot run yet: a run that reaches one fails by its name."""

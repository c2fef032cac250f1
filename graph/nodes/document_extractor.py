"""document-extractor: the text of one document or of each of a list.

What kinds of documents there are and how they are read is the file port's part.

Source: spec/graph.md 2.16.
"""

import asyncio

from pydantic import Field

from graph.errors import NodeError
from graph.nodes.kind import EffectContext, EffectStep, NodeData, NodeKind, NodeResult
from graph.variable_pool import MISSING, VariablePool, is_file


class DocumentExtractorData(NodeData):
    """Data of a document-extractor node."""

    variable_selector: list[str] = Field(default_factory=list)


def _compile(data: DocumentExtractorData) -> EffectStep:
    selector = tuple(data.variable_selector)

    async def step(pool: VariablePool, context: EffectContext) -> NodeResult:
        value = pool.get(selector)
        if value is MISSING:
            raise NodeError(f"File variable not found for selector: {data.variable_selector}", "DocumentExtractorError")
        files = value if isinstance(value, list) else [value]
        if not all(is_file(each) for each in files):
            raise NodeError(f"Variable {data.variable_selector} is not a file or a list of files",
                            "DocumentExtractorError")  # fmt: skip
        work = [asyncio.ensure_future(context.effects.files.extract_text(each)) for each in files]
        try:
            texts = await asyncio.gather(*work)
        finally:
            # One document that cannot be read fails the node; the others need not be read on.
            for each in work:
                each.cancel()
        return NodeResult(
            outputs={"text": list(texts) if isinstance(value, list) else texts[0]},
            inputs={"variable_selector": data.variable_selector},
            process_data={"documents": files},
        )

    return step


KIND = NodeKind(type="document-extractor", data=DocumentExtractorData, compile_effect=_compile)

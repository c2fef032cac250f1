"""The document-extractor node: one document or several."""

from typing import Any

import pytest

import fakes
from graph.errors import NodeError
from graph.file_value import stored_file
from graph.nodes.kind import EffectContext, NodeResult
from graph.nodes.table import KINDS
from graph.ports import Effects
from graph.variable_pool import VariablePool

KIND = KINDS["document-extractor"]


class NamedTexts:
    """Gives the name of a file as its text; a file named "bad" cannot be read."""

    async def extract_text(self, file: dict[str, Any]) -> str:
        """Return the name."""
        if file["filename"] == "bad":
            raise NodeError("broken", "TextExtractionError")
        return file["filename"]


def file(name: str) -> dict[str, Any]:
    """Return a stored file."""
    return stored_file(name, name, "text/plain", 1, "", kind="document")


async def run(value: Any) -> NodeResult:
    """Run the node over ``value``."""
    known, pool = fakes.effects(), VariablePool()
    effects = Effects(known.chat, known.forms, files=NamedTexts())  # pyrefly: ignore
    pool.put("m", {"x": value})
    assert KIND.compile_effect is not None
    step = KIND.compile_effect(KIND.data.model_validate({"type": KIND.type, "variable_selector": ["m", "x"]}))
    result = await step(pool, EffectContext("run", "n", "e", effects, lambda *_: None))
    assert isinstance(result, NodeResult)
    return result


async def test_text_has_the_shape_of_the_input():
    """A file gives a text, a list gives a list in its order, an empty list an empty one."""
    assert (await run(file("a"))).outputs == {"text": "a"}
    result = await run([file("a"), file("b")])
    assert result.outputs == {"text": ["a", "b"]}
    assert result.process_data == {"documents": [file("a"), file("b")]}
    assert (await run([])).outputs == {"text": []}


@pytest.mark.parametrize("value", ["text", None, ["a"], [file("a"), 1], {"k": 1}])
async def test_what_is_no_file_fails(value):
    """Only files have text here."""
    with pytest.raises(NodeError, match="is not a file or a list of files"):
        await run(value)


async def test_one_broken_document_fails_the_node():
    """The reason is that of the document."""
    with pytest.raises(NodeError, match="broken") as failed:
        await run([file("a"), file("bad")])
    assert failed.value.error_type == "TextExtractionError"

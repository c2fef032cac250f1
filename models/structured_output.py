"""How a model is made to answer by a JSON schema: by the engine where it can, else by telling it to.

Whoever asked still checks what comes back: only ``json_schema`` holds a model to the schema.
"""

import json
from dataclasses import replace
from typing import Literal

from graph.ports import ChatMessage, ChatRequest

SchemaSupport = Literal["json_schema", "json_object", "instruct"]
"""What a target does with a schema: holds the answer to it, holds it to JSON, or nothing."""

_INSTRUCTION = (
    "Answer with one JSON object and nothing else: no explanation, no code fence. It has to be valid against this "
    "JSON schema:\n{schema}"
)


def with_schema(request: ChatRequest, support: SchemaSupport) -> ChatRequest:
    """Return ``request`` in the words of a target that supports ``support``; unchanged when it wants free text.

    Completion models have no response format and are told.
    """
    if request.schema is None:
        return request
    parameters = {key: value for key, value in request.parameters.items() if key not in _OVERRIDDEN}
    if request.mode == "completion" or support == "instruct":
        return replace(request, messages=_told(request), parameters=parameters)
    if support == "json_object":
        return replace(request, messages=_told(request), parameters={**parameters, "response_format": "json_object"})
    wrapped = {"name": "answer", "schema": request.schema}
    response_format = {"type": "json_schema", "json_schema": wrapped}
    return replace(request, parameters={**parameters, "response_format": response_format})


_OVERRIDDEN = frozenset({"response_format", "json_schema"})


def _told(request: ChatRequest) -> tuple[ChatMessage, ...]:
    instruction = _INSTRUCTION.format(schema=json.dumps(request.schema, ensure_ascii=False))
    messages = request.messages
    if request.mode == "completion":
        return (*messages, ChatMessage("user", f"{instruction}\nJSON:"))
    if messages and messages[0].role == "system":
        first = replace(messages[0], text=f"{messages[0].text}\n\n{instruction}")
        return (first, *messages[1:])
    return (ChatMessage("system", instruction), *messages)

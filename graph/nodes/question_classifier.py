"""question-classifier: a chat model says which class a text belongs to; the node takes that class's exit.

An answer that names no known class takes the first one.
Source: spec/graph.md 2.14.
"""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from graph.errors import NodeError
from graph.nodes.json_answer import json_object_in
from graph.nodes.kind import EffectContext, EffectStep, NodeData, NodeKind, NodeResult
from graph.nodes.model_call import ModelCall, ModelData, VisionData, ask, cost_of, usage_of
from graph.nodes.prompt_draft import complete, task_drafts, with_files
from graph.nodes.prompt_memory import MemoryData, history_text
from graph.template import Template
from graph.value_types import text_of
from graph.variable_pool import MISSING, VariablePool

_TASK = (
    "You sort texts into classes. Read the text and choose the one class that fits it best, also when none fits well. "
    'Answer with one JSON object of the form {"category_id": "…", "category_name": "…"}, with the id and the name '
    "exactly as listed, and nothing else."
)
_CLASSES = "The classes:\n{classes}"
_HISTORY = "What was said before:\n{history}"
_INSTRUCTION = "How to choose, by the workflow's author:\n{instruction}"


class ClassData(BaseModel):
    """One class; its id is the exit that it takes."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    id: str
    name: str = ""
    label: str | None = None


class QuestionClassifierData(NodeData):
    """Data of a question-classifier node."""

    query_variable_selector: list[str] = Field(default_factory=list)
    model: ModelData
    classes: list[ClassData] = Field(default_factory=list)
    instruction: str | None = None
    memory: MemoryData | None = None
    vision: VisionData = Field(default_factory=VisionData)

    @field_validator("query_variable_selector", "vision", mode="before")
    @classmethod
    def _null_is_default(cls, value: Any, info: Any) -> Any:
        return cls.model_fields[info.field_name].get_default(call_default_factory=True) if value is None else value


class _Named(BaseModel):
    """A class with its name as this run shows it."""

    id: str
    name: str
    label: str


def _compile(data: QuestionClassifierData) -> EffectStep:
    call = ModelCall(data.model)
    instruction = Template(data.instruction or "")
    names = [Template(each.name) for each in data.classes]

    async def step(pool: VariablePool, context: EffectContext) -> NodeResult:
        if not names:
            raise NodeError("the node has no classes to choose from", "ValueError")
        value = pool.get(data.query_variable_selector)
        query = None if value is MISSING else value
        classes = [
            _Named(id=each.id, name=name.text(pool), label=each.label or f"CLASS {number}")
            for number, (each, name) in enumerate(zip(data.classes, names, strict=True), 1)
        ]
        system = _system_text(classes, history_text(data.memory, pool), instruction.text(pool))
        parameters = call.parameters(pool)
        drafts = with_files(task_drafts(data.model.mode, system, text_of(query)), data.vision.files(pool))
        messages = await complete(drafts, context.effects, data.vision.detail)
        answer = await ask(context, call.request(messages, parameters, context.execution_id, _schema(classes)))
        chosen = _chosen(classes, await json_object_in(answer.text) or {})
        usage = usage_of(answer.usage)
        return NodeResult(
            outputs={
                "class_name": chosen.name,
                "class_label": chosen.label,
                "class_id": chosen.id,
                "usage": usage,
            },
            inputs={"query": query, "model_provider": data.model.provider, "model_name": data.model.name},
            handle=chosen.id,
            process_data=call.record(messages, answer),
            metadata=cost_of(answer.usage),
            total_tokens=usage["total_tokens"],
        )

    return step


def _system_text(classes: list[_Named], history: str, instruction: str) -> str:
    listed = [{"category_id": each.id, "category_name": each.name} for each in classes]
    parts = [_TASK, _CLASSES.format(classes=json.dumps(listed, ensure_ascii=False))]
    if history:
        parts.append(_HISTORY.format(history=history))
    if instruction.strip():
        parts.append(_INSTRUCTION.format(instruction=instruction))
    return "\n\n".join(parts)


def _schema(classes: list[_Named]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "category_id": {"type": "string", "enum": [each.id for each in classes]},
            "category_name": {"type": "string"},
        },
        "required": ["category_id", "category_name"],
    }


def _chosen(classes: list[_Named], found: dict[str, Any]) -> _Named:
    if "category_name" in found and "category_id" in found:
        for each in classes:
            if each.id == str(found["category_id"]):
                return each
    return classes[0]


def _handles(data: QuestionClassifierData) -> list[str]:
    return [each.id for each in data.classes]


KIND = NodeKind(
    type="question-classifier",
    data=QuestionClassifierData,
    compile_effect=_compile,
    is_branch=True,
    handles=_handles,
)

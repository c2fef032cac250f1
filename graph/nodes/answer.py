"""answer: a text for the reader of a chatflow."""

from graph.nodes.kind import NodeData, NodeKind, NodeResult, PureStep
from graph.template import Part, Template, parts_of
from graph.variable_pool import VariablePool


class AnswerData(NodeData):
    """Data of an answer node. ``answer``: text with references."""

    answer: str


def _compile(data: AnswerData) -> PureStep:
    template = Template(data.answer)

    def step(pool: VariablePool) -> NodeResult:
        return NodeResult(outputs={"answer": template.markdown(pool), "files": template.files(pool)})

    return step


def _parts(data: AnswerData) -> list[Part]:
    return parts_of(data.answer)


KIND = NodeKind(type="answer", data=AnswerData, role="response", compile_pure=_compile, parts=_parts)

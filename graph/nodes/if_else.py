"""if-else: takes the exit of the first case that holds, else ``false``."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from graph.condition import ConditionData, case_holds, compile_case
from graph.nodes.kind import NodeData, NodeKind, NodeResult, PureStep
from graph.variable_pool import VariablePool

_ELSE = "false"


class IfElseCase(BaseModel):
    """One case: its conditions and the exit it takes."""

    model_config = ConfigDict(extra="ignore")

    case_id: str
    logical_operator: Literal["and", "or"]
    conditions: list[ConditionData] = Field(default_factory=list)

    @field_validator("case_id", mode="before")
    @classmethod
    def _bare_word(cls, value: Any) -> Any:
        return str(value).lower() if isinstance(value, bool) else value  # an unquoted true is a boolean in YAML


class IfElseData(NodeData):
    """Data of an if-else node. ``conditions`` beside no ``cases`` is the first versions' single case."""

    cases: list[IfElseCase] | None = None
    conditions: list[ConditionData] | None = None
    logical_operator: Literal["and", "or"] | None = "and"

    def all_cases(self) -> list[IfElseCase]:
        """Return the cases of either version."""
        if self.cases:
            return self.cases
        operator = self.logical_operator or "and"
        return [IfElseCase(case_id="true", logical_operator=operator, conditions=self.conditions or [])]


def _compile(data: IfElseData) -> PureStep:
    cases = [
        (case, case.logical_operator, compile_case(case.conditions, case.logical_operator), case.model_dump())
        for case in data.all_cases()
    ]

    def step(pool: VariablePool) -> NodeResult:
        seen: list[dict[str, Any]] = []
        results: list[dict[str, Any]] = []
        taken = _ELSE
        for case, operator, evaluate, shown in cases:
            made = evaluate(pool)
            holds = case_holds(made, operator)
            seen = [
                {
                    "actual_value": compared.actual,
                    "expected_value": compared.expected,
                    "comparison_operator": condition.comparison_operator,
                }
                for compared, condition in zip(made, case.conditions, strict=False)
            ]
            results.append({"group": shown, "results": [c.holds for c in made], "final_result": holds})
            if holds:
                taken = case.case_id
                break
        return NodeResult(
            outputs={"result": bool(results and results[-1]["final_result"]), "selected_case_id": taken},
            inputs={"conditions": seen},
            handle=taken,
            process_data={"condition_results": results},
        )

    return step


def _handles(data: IfElseData) -> list[str]:
    return [*(case.case_id for case in data.all_cases()), _ELSE]


KIND = NodeKind(type="if-else", data=IfElseData, compile_pure=_compile, is_branch=True, handles=_handles)

"""What a simulation's script says: how scripted nodes and people behave.

Script (YAML or JSON): ``nodes``: node id -> behaviour, ``default``: auto | fail (what nodes that reach outside do when
the script does not name them). A behaviour is a mapping; its keys combine, in this order:

  calls: [behaviour, …]         one for each call, over the keys beside it; the last one stays
  delay_s: seconds              before anything else
  chunks: [text, …]             the node streams these as its ``text``
  error: text, error_type: name the node fails
  outputs: {name: value}        the node succeeds with these
  pause: true                   nobody answers the form: the simulation ends paused
  timeout: true                 the form's deadline passes
  action: id, inputs: {â¦}       a person answers the form so; where it needs approvers, they have decided so
  votes: [{by, action, inputs}] approvers vote in this order; what does not suffice leaves the form open
  after: 26h                    so long after the form opened; the deadline passes if it comes first

An empty behaviour does what ``auto`` does, also where the default is fail.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from graph.errors import RefusedError
from graph.human_rules import Duration
from graph.nodes.human_input_data import HumanInputData
from graph.nodes.if_else import IfElseData
from graph.nodes.question_classifier import QuestionClassifierData
from graph.plan import CONTAINER_KINDS, CONTAINER_START_KINDS, Plan, PlanNode
from graph.read_document import UnreadableError, read_document

_OF_FORMS = frozenset({"action", "inputs", "after", "timeout", "pause", "votes"})
_OF_OTHERS = frozenset({"outputs", "chunks"})


class InvalidScriptError(RefusedError):
    """A simulation script does not have the expected shape; its author fixes the named place."""

    code = "invalid_script"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return f"the script: {self.message}"


class ScriptedVote(BaseModel):
    """What one approver says. ``by``: the e-mail address of the account."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    by: str = Field(min_length=1)
    action: str
    inputs: dict[str, Any] = Field(default_factory=dict)


class Behaviour(BaseModel):
    """How one call of one node goes; every key is optional."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    outputs: dict[str, Any] | None = None
    chunks: list[str] | None = None
    error: str | None = None
    error_type: str = "ScriptedError"
    delay_s: float = Field(0.0, ge=0, allow_inf_nan=False)
    calls: list["Behaviour"] | None = Field(default=None, min_length=1)
    action: str | None = None
    inputs: dict[str, Any] | None = None
    after: Duration | None = None
    timeout: bool = False
    pause: bool = False
    votes: list[ScriptedVote] | None = None

    def call(self, number: int) -> "Behaviour":
        """Return the behaviour of call ``number``, counted from 0."""
        if self.calls is None:
            return self
        one = self.calls[min(number, len(self.calls) - 1)].call(0)
        beside = {name: value for name, value in self if name in self.model_fields_set and name != "calls"}
        own = {name: value for name, value in one if name in one.model_fields_set and name != "calls"}
        return Behaviour.model_construct(_fields_set={*beside, *own}, **{**beside, **own})

    def each(self, place: str) -> Iterator[tuple[str, "Behaviour"]]:
        """Yield each call with its place in the script."""
        if self.calls is None:
            yield place, self
        for number in range(len(self.calls or ())):
            yield f"{place}.calls[{number}]", self.call(number)

    @property
    def is_answer(self) -> bool:
        """Whether it says how a person answers a form."""
        return self.action is not None or self.inputs is not None


class Script(BaseModel):
    """A whole script."""

    model_config = ConfigDict(extra="forbid")

    nodes: dict[str, Behaviour] = Field(default_factory=dict)
    default: Literal["auto", "fail"] = "auto"

    @field_validator("nodes", mode="before")
    @classmethod
    def _null_is_empty(cls, value: Any) -> Any:
        if value is None:
            return {}
        return {key: {} if one is None else one for key, one in value.items()} if isinstance(value, dict) else value

    @classmethod
    def read(cls, path: Path | None) -> Self:
        """Return the script in ``path``; without a path the empty one.

        Raises:
            InvalidScriptError: the file cannot be read, is no YAML, or has an unknown key or a wrong value.
        """
        if path is None:
            return cls()
        try:
            document = read_document(path.read_bytes())
        except OSError as error:
            raise InvalidScriptError(f"{path.name} cannot be read: {error.strerror}") from None
        except UnreadableError as error:
            raise InvalidScriptError(f"{path.name} {error}") from None
        return cls.parse({} if document is None else document, path.name)

    @classmethod
    def parse(cls, document: Any, name: str = "file") -> Self:
        """Return the script that ``document`` is; ``name``: what the text of an error calls it.

        Raises:
            InvalidScriptError: it has an unknown key or a wrong value; all are listed.
        """
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            faults = [f"{_path(problem['loc']) or name}: {problem['msg']}" for problem in error.errors()]
            raise InvalidScriptError("\n".join(faults)) from None

    def check(self, plan: Plan) -> None:
        """Hold the script against the workflow that it is for.

        Raises:
            InvalidScriptError: it names a node, an action or a field that is not there, or says of a node what cannot
                happen to it; all are listed.
        """
        nodes = {node.id: node for scope in plan.scopes.values() for node in scope.nodes}
        faults: list[str] = []
        for node_id, behaviour in self.nodes.items():
            if node_id not in nodes:
                faults.append(f"nodes.{node_id}: the workflow has no node of this id")
                continue
            for place, call in behaviour.each(f"nodes.{node_id}"):
                faults += [f"{place}{fault}" for fault in _faults(nodes[node_id], call)]
        if faults:
            raise InvalidScriptError("\n".join(faults))


def _path(location: Sequence[str | int]) -> str:
    """Return a place as people write it: ``nodes.review.calls[0].action``."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location]
    return "".join(parts).removeprefix(".")


def _faults(node: PlanNode, call: Behaviour) -> Iterator[str]:
    """Yield what is wrong with one call of ``node``, beginning with the place below the call."""
    wrong = call.model_fields_set & (_OF_OTHERS if node.opens_form else _OF_FORMS)
    if wrong:
        what = "asks people" if node.opens_form else "asks nobody"
        yield from (f".{key}: {node.id!r} is a node that {what}" for key in sorted(wrong))
    elif node.type in CONTAINER_START_KINDS:
        yield ": this node only marks where its container begins"
    elif node.type in CONTAINER_KINDS and (call.chunks is not None or (call.outputs is None and call.error is None)):
        yield ": a container is given outputs or an error, or its inner nodes are scripted"
    elif isinstance(node.data, IfElseData) and call.outputs is not None and exit_named(node, call.outputs) is None:
        yield f".outputs.selected_case_id: must be one of {', '.join(_handles(node))}"
    elif isinstance(node.data, QuestionClassifierData) and _names_no_class(node, call.outputs or {}):
        yield f".outputs.class_id: must be one of {', '.join(_handles(node))}"
    elif isinstance(node.data, HumanInputData):
        yield from _form_faults(node.data, call)
        yield from _vote_faults(node.data, call)


def _form_faults(data: HumanInputData, call: Behaviour) -> Iterator[str]:
    actions = [action.id for action in data.user_actions]
    if call.action is not None and call.action not in actions:
        yield f".action: the form has no action {call.action!r}; it has {', '.join(actions) or 'none'}"
    names = [field.output_variable_name for field in data.inputs]
    for name in call.inputs or ():
        if name not in names:
            yield f".inputs.{name}: the form has no such field; it has {', '.join(names) or 'none'}"


def _vote_faults(data: HumanInputData, call: Behaviour) -> Iterator[str]:
    if call.votes is None:
        return
    if data.greenroom.approval is None:
        yield ".votes: the form has no approval rules, so the first answer decides; give an action instead"
    beside = sorted(call.model_fields_set & (_OF_FORMS - {"votes"}))
    yield from (f".{key}: cannot stand beside votes" for key in beside)
    for index, vote in enumerate(call.votes):
        for fault in _form_faults(data, Behaviour(action=vote.action, inputs=vote.inputs)):
            yield f".votes[{index}]{fault}"


def exit_named(node: PlanNode, outputs: dict[str, Any]) -> str | None:
    """Return the exit of a branch node that its scripted ``outputs`` name; None where they name none."""
    if isinstance(node.data, QuestionClassifierData):
        ids = {each.name: each.id for each in reversed(node.data.classes)}
        named = outputs.get("class_id", ids.get(str(outputs.get("class_name"))))
    else:
        named = outputs.get("selected_case_id", outputs.get("result"))
    text = str(named).lower() if isinstance(named, bool) else str(named)
    return text if text in _handles(node) else None


def _names_no_class(node: PlanNode, outputs: dict[str, Any]) -> bool:
    """Whether outputs of a classifier name a class that it does not have; naming none is the first one."""
    return bool({"class_id", "class_name"} & outputs.keys()) and exit_named(node, outputs) is None


def _handles(node: PlanNode) -> list[str]:
    kind = node.kind
    return kind.handles(node.data) if kind is not None and kind.handles is not None else []

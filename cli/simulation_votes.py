"""Scripted approvers: their votes are checked and counted as the server does it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cli.simulation_ports import AnyFile
from cli.simulation_script import InvalidScriptError, ScriptedVote
from graph.human_rules import Approval, AppRules
from hitl.approval import Decided, Refusal, Refused, Terms, Vote, approval_of, ruling_on
from hitl.errors import InvalidSubmissionError
from hitl.form import FormDefinition
from hitl.submission import Submission, validate_submission

_WHY: dict[Refusal, str] = {
    "not_an_approver": "is none of the approvers",
    "self_approval": "has started the run",
    "already_voted": "has voted already",
}


def decided_by(
    votes: Sequence[ScriptedVote],
    definition: FormDefinition,
    rules: Approval,
    app: AppRules,
    defaults: dict[str, Any],
    node_id: str,
) -> Submission | None:
    """Return the answer that ``votes`` decide for, or None where they leave the form open.

    Args:
        votes: in the order in which they are given.
        definition: the form.
        rules: who decides.
        app: of the file, for its groups.
        defaults: what a voter submits who changes nothing.
        node_id: named in errors.

    Raises:
        InvalidScriptError: a vote does not fit the form, does not count, or comes after the decision.
    """
    terms = Terms.of(replace(definition, approval=approval_of(rules, app, None, "")))
    assert terms is not None
    counted: list[Vote] = []
    decision: Submission | None = None
    for index, scripted in enumerate(votes):
        place = f"nodes.{node_id}.votes[{index}]"
        if decision is not None:
            raise InvalidScriptError(f"{place}: votes[{index - 1}] has decided the form")
        try:
            answer = validate_submission(definition, scripted.action, defaults | scripted.inputs, AnyFile())
        except InvalidSubmissionError as error:
            raise InvalidScriptError(f"{place}: {error}") from error
        address = scripted.by.strip().lower()
        vote = Vote(address, address, answer)
        ruling = ruling_on(terms, counted, vote)
        if isinstance(ruling, Refused):
            raise InvalidScriptError(f"{place}: {scripted.by} {_WHY[ruling.reason]}")
        counted.append(vote)
        decision = answer if isinstance(ruling, Decided) else None
    return decision

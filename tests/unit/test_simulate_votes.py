"""Scripted approvers: the example with a quorum, and votes that a script cannot mean."""

from pathlib import Path
from typing import Any

import pytest

import factories as f
from cli.simulation_script import InvalidScriptError
from simulated import simulated
from test_simulate_command import ROOT, simulate

PAYMENT, SCRIPT = ROOT / "examples" / "payment.yml", ROOT / "examples" / "payment.script.yml"
INPUTS = ("--inputs", '{"payee": "Tea Ltd", "amount": 12}')
RULES = {"approval": {"approvers": ["group:board"], "quorum": 2, "reject": ["reject"]}}
EDGES = [f.edge("start", "human"), *(f.edge("human", "end", action) for action in ("approve", "reject"))]
ANNA, BERT = ({"by": f"{name}@x.org", "action": "approve", "inputs": {"comment": name}} for name in ("anna", "bert"))


def asking(rules: Any = RULES) -> dict[str, Any]:
    """A file that asks the board of three."""
    nodes = [f.start(), f.human(greenroom=rules), f.end(out=["human", "comment"], did=["human", "__action_id"])]
    return {**f.document(nodes, EDGES), "greenroom": {"groups": {"board": ["anna@x.org", "bert@x.org", "cleo@x.org"]}}}


def test_example_is_decided_by_accounting_and_the_board() -> None:
    """The example of examples/README.md runs to its end."""
    ended = simulate(PAYMENT, *INPUTS, "--script", SCRIPT)
    outputs = {"decision": "Approve", "payee": "Tea Ltd"}
    assert (ended.exit_code, ended.outcome["outputs"], ended.told) == (0, outputs, "")


@pytest.mark.parametrize(
    ("votes", "status"),
    [
        ("[{by: ada@example.com, action: approve}, {by: alan@example.com, action: approve}]", "paused"),
        ("[{by: ada@example.com, action: approve}, {by: grace@example.com, action: reject}]", "succeeded"),
        ("[]", "paused"),
    ],
)
def test_example_needs_one_of_each_group_or_one_rejection(tmp_path: Path, votes: str, status: str) -> None:
    """Two of one group do not suffice; one rejection does."""
    script = tmp_path / "s.yml"
    script.write_text(f"nodes: {{approval: {{votes: {votes}}}}}", encoding="utf-8")
    assert simulate(PAYMENT, *INPUTS, "--script", script).outcome["status"] == status


async def test_values_of_the_deciding_vote_are_the_outputs() -> None:
    """What earlier voters entered is kept with their votes and reaches no node."""
    ended = await simulated(asking(), {"nodes": {"human": {"votes": [ANNA, {**BERT, "by": " Bert@X.org"}]}}})
    assert (ended.status, ended.outputs) == ("succeeded", {"out": "bert", "did": "approve"})


async def test_action_stands_for_the_decision_of_all() -> None:
    """Who does not test the votes names the decision, as for any other form."""
    ended = await simulated(asking(), {"nodes": {"human": {"action": "reject"}}})
    assert ended.outputs["did"] == "reject"


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ({"votes": [{**ANNA, "by": "dora@x.org"}]}, "nodes.human.votes[0]: dora@x.org is none of the approvers"),
        ({"votes": [ANNA, ANNA]}, "nodes.human.votes[1]: anna@x.org has voted already"),
        ({"votes": [ANNA, BERT, ANNA]}, "nodes.human.votes[2]: votes[1] has decided the form"),
        ({"votes": [{**ANNA, "action": "dance"}]}, "nodes.human.votes[0].action: the form has no action 'dance'"),
        ({"votes": [{**ANNA, "inputs": {"x": 1}}]}, "nodes.human.votes[0].inputs.x: the form has no such field"),
        ({"votes": [{**ANNA, "inputs": {"comment": 1}}]}, "nodes.human.votes[0]: Invalid value for paragraph input"),
        ({"votes": [ANNA], "action": "approve"}, "nodes.human.action: cannot stand beside votes"),
        ({"votes": [{"by": "anna@x.org"}]}, "nodes.human.votes[0].action: Field required"),
    ],
)
async def test_vote_that_cannot_be_meant_is_refused_with_its_place(behaviour: Any, reason: str) -> None:
    """A script that would not go like this in earnest is wrong."""
    with pytest.raises(InvalidScriptError) as refused:
        await simulated(asking(), {"nodes": {"human": behaviour}})
    assert reason in str(refused.value)


async def test_votes_need_approval_rules() -> None:
    """Where the first answer decides, nobody votes."""
    with pytest.raises(InvalidScriptError, match="has no approval rules"):
        await simulated(asking({}), {"nodes": {"human": {"votes": [ANNA]}}})

"""What is wrong with names and numbers in what a file says about people."""

from typing import Any

import pytest

import factories as f
from graph.parse_workflow import parse_document

GROUPS = {"board": ["anna@x.org", "bert@x.org"], "nobody": []}


def faults(rules: dict[str, Any], groups: Any = GROUPS) -> dict[str, str]:
    """Place -> what it blocks, of a file whose human-input node has ``rules``."""
    nodes = [f.start(), f.human(greenroom=rules), f.end()]
    document = f.document(
        nodes, [f.edge("start", "human"), *(f.edge("human", "end", a) for a in ("approve", "reject"))]
    )
    document["greenroom"] = {"groups": groups}
    return {fault.path.rpartition("greenroom.")[2]: fault.blocks for fault in parse_document(document).faults}


def approval(**rules: Any) -> dict[str, Any]:
    """Rules of a node that needs approvers."""
    return {"approval": rules}


@pytest.mark.parametrize(
    "rules",
    [
        {},
        approval(),
        approval(quorum=5),
        approval(approvers=["group:board"], quorum=2, each_group=True, reject=["reject"]),
        {"escalation": [{"after": "2h", "to": ["group:board"]}], "stand_ins": {"anna@x.org": "group:board"}},
    ],
)
def test_rules_that_can_be_met_have_no_fault(rules: dict[str, Any]) -> None:
    """Every name leads somewhere; how many accounts the workspace has is not known here."""
    assert faults(rules) == {}


@pytest.mark.parametrize(
    ("rules", "place", "blocks"),
    [
        (approval(reject=["refuse"]), "approval.reject[0]", "import"),
        (approval(approvers=["anna@x.org", "group:bored"]), "approval.approvers[1]", "import"),
        (approval(approvers=["anna"]), "approval.approvers[0]", "import"),
        ({"escalation": [{"after": "2h", "to": ["group:bored"]}]}, "escalation[0].to[0]", "import"),
        ({"stand_ins": {"anna@x.org": "bert"}}, "stand_ins.anna@x.org", "import"),
        (approval(approvers=["group:board", "anna@x.org"], quorum=3), "approval.quorum", "nothing"),
        (approval(approvers=["Anna@x.org", "anna@x.org"], quorum=2), "approval.quorum", "nothing"),
        (approval(approvers=["anna@x.org"], each_group=True), "approval.each_group", "nothing"),
        (approval(approvers=["group:board", "group:nobody"], each_group=True), "approval.each_group", "nothing"),
    ],
)
def test_name_or_number_that_cannot_be_meant_is_a_fault(rules: dict[str, Any], place: str, blocks: str) -> None:
    """A name that leads nowhere blocks the import; what nobody can meet is a warning."""
    assert faults(rules) == {place: blocks}


def test_group_holds_addresses_only() -> None:
    """No group within a group, and no bare names."""
    assert faults({}, {"a": ["group:b", "anna"], "b": ["x@x.org"]}) == {
        "groups.a[0]": "import",
        "groups.a[1]": "import",
    }


def test_content_hash_covers_the_groups() -> None:
    """Other groups are another version; a file that says nothing about people has the hash it always had."""
    graph = [f.start(), f.end()], [f.edge("start", "end")]

    def hash_with(**more: Any) -> str:
        workflow = parse_document({**f.document(*graph), **more}).workflow
        assert workflow is not None
        return workflow.content_hash

    plain = hash_with()
    assert hash_with(greenroom={}) == hash_with(greenroom=None) == plain
    one, other = ({"groups": {"board": [name]}} for name in ("anna@x.org", "bert@x.org"))
    assert len({plain, hash_with(greenroom=one), hash_with(greenroom=other)}) == 3


@pytest.mark.parametrize("name", ["GREENROOM_SMTP_PASSWORD", "AWS_SECRET_ACCESS_KEY", "GREENROOM_WEBHOOK_", "X"])
def test_webhook_is_signed_with_a_secret_of_its_own_kind(name: str) -> None:
    """A file cannot have another secret of the environment used as a key that its author then tries to find out."""
    document = f.document([f.start(), f.end()], [f.edge("start", "end")])
    hook = {"url": "https://x.example/hook", "events": ["run.finished"], "secret_env": name}
    parsed = parse_document({**document, "greenroom": {"webhooks": [hook]}})
    assert parsed.workflow is None
    assert [fault.path for fault in parsed.faults] == ["greenroom.webhooks[0].secret_env"]
    good = parse_document({**document, "greenroom": {"webhooks": [{**hook, "secret_env": "GREENROOM_WEBHOOK_A"}]}})
    assert not good.faults

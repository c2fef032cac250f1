"""What is wrong with what a file says about people, beyond its shape: names that lead nowhere, rules nobody can meet.

Source: spec/beyond.md 1, row 5.
"""

from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from graph.human_rules import Approval, AppRules, group_of
from graph.nodes.human_input_data import HumanInputData
from graph.workflow import Fault, Node


def human_faults(nodes: Sequence[Node], app: AppRules) -> Iterator[Fault]:
    """Yield every fault, the groups of the file first. What has not its shape is left to whoever checks that."""
    for name, people in app.groups.items():
        for index, person in enumerate(people):
            yield from _person_faults(person, f"greenroom.groups.{name}[{index}]", None)
    for node in nodes:
        if node.type != "human-input" or not node.data.get("greenroom"):
            continue
        try:
            data = HumanInputData.model_validate(node.data)
        except ValidationError:
            continue
        yield from _node_faults(data, f"{node.path}.data.greenroom", app)


def _node_faults(data: HumanInputData, path: str, app: AppRules) -> Iterator[Fault]:
    rules = data.greenroom
    named = [(f"stand_ins.{person}", each) for person, other in rules.stand_ins.items() for each in (person, other)]
    for index, step in enumerate(rules.escalation):
        named += [(f"escalation[{index}].to[{place}]", person) for place, person in enumerate(step.to)]
    if rules.approval is not None:
        named += [(f"approval.approvers[{place}]", person) for place, person in enumerate(rules.approval.approvers)]
        yield from _approval_faults(rules.approval, data, f"{path}.approval", app)
    for place, person in named:
        yield from _person_faults(person, f"{path}.{place}", app)


def _approval_faults(rules: Approval, data: HumanInputData, path: str, app: AppRules) -> Iterator[Fault]:
    actions = [action.id for action in data.user_actions]
    for index, action in enumerate(rules.reject):
        if action not in actions:
            has = ", ".join(actions) or "none"
            yield Fault(f"{path}.reject[{index}]", f"the form has no action {action!r}; it has {has}", "import")
    groups = [name for name in map(group_of, rules.approvers) if name is not None]
    if rules.each_group and not groups:
        yield Fault(f"{path}.each_group", "approvers name no group, so this asks for nothing", "nothing")
    for name in groups:
        if rules.each_group and app.groups.get(name) == ():
            yield Fault(f"{path}.each_group", f"group {name!r} has nobody, so nothing can be approved", "nothing")
    people = _known_people(rules, app)
    if rules.approvers and len(people) < rules.quorum:
        message = f"needs {rules.quorum} people, and approvers are {len(people)}: the form can only time out"
        yield Fault(f"{path}.quorum", message, "nothing")


def _known_people(rules: Approval, app: AppRules) -> set[str]:
    known: set[str] = set()
    for person in rules.approvers:
        group = group_of(person)
        known.update(each.strip().lower() for each in ((person,) if group is None else app.groups.get(group, ())))
    return known


def _person_faults(person: str, path: str, app: AppRules | None) -> Iterator[Fault]:
    """Yield what is wrong with the name of a person; ``app`` None: a group cannot stand here."""
    group = group_of(person)
    if group is None:
        if "@" not in person:
            yield Fault(path, f"{person!r} is no e-mail address, and no group:NAME", "import")
    elif app is None:
        yield Fault(path, "a group holds e-mail addresses, no other group", "import")
    elif group not in app.groups:
        known = ", ".join(app.groups) or "none"
        yield Fault(path, f"the file has no group {group!r} under greenroom.groups; it has {known}", "import")

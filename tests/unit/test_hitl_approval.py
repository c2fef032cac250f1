"""Approval rules: who may vote, when enough have, and that nobody counts twice."""

from itertools import combinations, permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.human_rules import Approval, AppRules
from hitl.approval import Decided, Refused, StillOpen, Terms, Vote, approval_of, refusal_error, ruling_on
from hitl.form import FormDefinition
from hitl.submission import Submission

GROUPS = {"legal": ("lea@x.org", "lou@x.org"), "money": ("max@x.org", "lou@x.org")}


def terms(user: str = "", account_id: str | None = None, **rules: Any) -> Terms:
    """The terms of a form with ``rules``, as they come back from the store."""
    kept = approval_of(Approval.model_validate(rules), AppRules(groups=GROUPS), account_id, user)
    found = Terms.of(FormDefinition("Well?", approval=kept))
    assert found is not None
    return found


def vote(name: str, action: str = "approve") -> Vote:
    """A vote of the account ``name``."""
    return Vote(f"id of {name}", f"{name}@x.org", Submission(action, action.title()))


def outcome(of: Terms, *votes: Vote) -> Any:
    """What the last of ``votes`` means; those before it count and leave the form open."""
    *earlier, last = votes
    for number, each in enumerate(earlier):
        assert ruling_on(of, earlier[:number], each) == StillOpen()
    return ruling_on(of, earlier, last)


def test_form_without_rules_has_no_terms() -> None:
    """Without approval rules the first answer decides, as in Dify."""
    assert approval_of(None, AppRules(), "id", "user") is None
    assert Terms.of(FormDefinition("Well?")) is None


def test_rules_without_approvers_let_every_account_decide() -> None:
    """An empty list of approvers means the whole workspace."""
    assert outcome(terms(), vote("anna")) == Decided("approve")


def test_quorum_needs_that_many_people_for_one_action() -> None:
    """People who choose different actions do not add up."""
    of = terms(approvers=["anna@x.org", "bert@x.org", "cleo@x.org"], quorum=2)
    assert outcome(of, vote("anna"), vote("bert")) == Decided("approve")
    assert outcome(of, vote("anna"), vote("bert", "later")) == StillOpen()
    assert outcome(of, vote("anna"), vote("bert", "later"), vote("cleo", "later")) == Decided("later")


def test_one_of_the_approvers_decides_whatever_the_case_of_the_address() -> None:
    """Addresses are compared as accounts keep them."""
    of = terms(approvers=[" Anna@X.org", "group:legal"])
    assert outcome(of, vote("anna")) == outcome(of, vote("lea")) == Decided("approve")
    assert outcome(of, vote("bert")) == Refused("not_an_approver")


def test_person_counts_once() -> None:
    """A second vote of an account is refused, also for another action."""
    of = terms(quorum=2)
    assert outcome(of, vote("anna"), vote("anna")) == Refused("already_voted")
    assert outcome(of, vote("anna"), vote("anna", "reject")) == Refused("already_voted")


def test_initiator_may_be_kept_from_deciding() -> None:
    """By account, and by the name under which an end user started the run; only where the rules say so."""
    assert outcome(terms(account_id="id of anna"), vote("anna")) == Decided("approve")
    for of in (terms(account_id="id of anna", self_approval=False), terms("Anna@x.org", self_approval=False)):
        assert outcome(of, vote("anna")) == Refused("self_approval")
        assert outcome(of, vote("bert")) == Decided("approve")


def test_rejection_decides_at_once_unless_it_counts() -> None:
    """One rejection is enough, or needs the quorum too."""
    rules: dict[str, Any] = {"quorum": 2, "reject": ["reject"]}
    assert outcome(terms(**rules), vote("anna"), vote("bert", "reject")) == Decided("reject")
    of = terms(**rules, first_rejection="counts")
    assert outcome(of, vote("anna"), vote("bert", "reject")) == StillOpen()
    assert outcome(of, vote("anna", "reject"), vote("bert", "reject")) == Decided("reject")


def test_each_group_is_represented_by_a_person_of_its_own() -> None:
    """Who is in two groups stands for one of them; rejecting needs no groups."""
    of = terms(approvers=["group:legal", "group:money"], each_group=True, reject=["no"], first_rejection="counts")
    assert outcome(of, vote("lou")) == StillOpen()
    assert outcome(of, vote("lou"), vote("lea")) == Decided("approve")
    assert outcome(of, vote("lou"), vote("max")) == Decided("approve")
    assert outcome(of, vote("lea"), vote("max")) == Decided("approve")
    assert outcome(of, vote("lou", "no")) == Decided("no")


def test_group_without_people_lets_nothing_be_approved() -> None:
    """A group that has nobody is never represented."""
    of = terms(approvers=["group:legal", "group:nobody"], each_group=True)
    assert outcome(of, vote("lea"), vote("lou")) == StillOpen()


NAMES = ["lea", "lou", "max", "anna", "bert"]
RULES = st.fixed_dictionaries(
    {
        "approvers": st.lists(st.sampled_from(["group:legal", "group:money", "anna@x.org"]), unique=True),
        "quorum": st.integers(1, 4),
        "each_group": st.booleans(),
        "reject": st.sampled_from([[], ["reject"]]),
        "first_rejection": st.sampled_from(["decides", "counts"]),
        "self_approval": st.booleans(),
    }
)
BALLOTS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(["approve", "reject"])), max_size=12)


def may_vote(name: str, rules: dict[str, Any]) -> bool:
    """A second opinion on who is an approver; ``max`` has started the run."""
    people = {each for person in rules["approvers"] for each in GROUPS.get(person.removeprefix("group:"), (person,))}
    return (not rules["approvers"] or f"{name}@x.org" in people) and (name != "max" or rules["self_approval"])


def is_enough(names: list[str], action: str, rules: dict[str, Any]) -> bool:
    """A second opinion on whether these people decide, which tries all ways to seat them."""
    is_rejection = action in rules["reject"]
    if is_rejection and rules["first_rejection"] == "decides":
        return bool(names)
    groups = [GROUPS[p.removeprefix("group:")] for p in rules["approvers"] if p.startswith("group:")]
    needed = groups if rules["each_group"] and not is_rejection else []
    seatings = permutations([f"{name}@x.org" for name in names], len(needed))
    return len(names) >= rules["quorum"] and any(
        all(person in group for person, group in zip(seated, needed, strict=True)) for seated in seatings
    )


@given(RULES, BALLOTS)
def test_form_is_decided_by_enough_distinct_approvers_and_not_before(
    rules: dict[str, Any], ballots: list[tuple[str, str]]
) -> None:
    """Whatever is tried in whatever order, the first action that enough people have chosen wins, and no other."""
    of, counted = terms(account_id="id of max", **rules), []
    for name, action in ballots:
        ruling = ruling_on(of, counted, vote(name, action))
        has_voted = any(each.account_id == f"id of {name}" for each in counted)
        assert isinstance(ruling, Refused) == (has_voted or not may_vote(name, rules))
        if isinstance(ruling, Refused):
            continue
        counted.append(vote(name, action))
        agreeing = [each.email.partition("@")[0] for each in counted if each.submission.action_id == action]
        assert isinstance(ruling, Decided) == is_enough(agreeing, action, rules)
        if isinstance(ruling, Decided):
            assert ruling.action_id == action
            return


@given(RULES, st.lists(st.sampled_from(NAMES), unique=True))
def test_order_of_approvals_does_not_matter(rules: dict[str, Any], names: list[str]) -> None:
    """The same people approving in any order decide or do not decide together."""
    allowed = [name for name in names if may_vote(name, rules)]
    of = terms(account_id="id of max", **rules)
    results = {
        any(
            isinstance(ruling_on(of, [vote(each) for each in order[:place]], vote(name)), Decided)
            for place, name in enumerate(order)
        )
        for order in (allowed, allowed[::-1])
    }
    assert len(results) == 1
    subsets = (subset for size in range(len(allowed) + 1) for subset in combinations(allowed, size))
    assert results == {any(is_enough(list(subset), "approve", rules) for subset in subsets)}


@pytest.mark.parametrize("reason", ["not_an_approver", "self_approval", "already_voted"])
def test_every_refusal_has_its_error(reason: Any) -> None:
    """What is told of a refusal names the form."""
    assert "form_id=f1" in str(refusal_error(reason, "f1"))

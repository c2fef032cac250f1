"""Whom the rules of a workflow mean: groups, stand-ins, approvers, and who is reminded."""

from graph.human_rules import FormRules
from hitl.addressing import account_of, addresses, asked_accounts, people_specs, to_remind, with_stand_ins
from hitl.recipient import Member, Recipient, RecipientSpec, RecipientType

GROUPS = {"legal": ("lea@example.org", "lou@example.org"), "empty": ()}
MEMBERS = [Member("acc-ann", "Ann@example.org"), Member("acc-lea", "lea@example.org"), Member("acc-bob", "bob@x.org")]
ANN = RecipientSpec(RecipientType.EMAIL_MEMBER, {"user_id": "acc-ann", "email": "Ann@example.org"})


def further(**parts) -> list[tuple[str, dict]]:
    """The recipients that rules add to a form that asks Ann by mail."""
    specs = people_specs([ANN], FormRules.model_validate(parts), GROUPS, MEMBERS)
    return [(str(spec.type), spec.payload) for spec in specs]


def test_groups_stand_for_their_addresses():
    """People are named one by one or by group, and each counts once; a group the file lacks is nobody."""
    named = addresses([" Lou@Example.org", "group:legal", "group:empty", "group:none"], GROUPS)
    assert named == ("lou@example.org", "lea@example.org")


def test_stand_ins_join_those_they_stand_in_for():
    """A stand-in is asked when the person is, also as one of a group, and does not bring a stand-in of its own."""
    stand_ins = {"group:legal": "bob@x.org", "bob@x.org": "carl@x.org", "dora@x.org": "eva@x.org"}
    assert with_stand_ins(["lea@example.org"], stand_ins, GROUPS) == ("lea@example.org", "bob@x.org")
    assert with_stand_ins(["ann@example.org"], stand_ins, GROUPS) == ("ann@example.org",)


def test_stand_in_of_an_addressed_person_is_a_recipient():
    """A member who stands in gets a mail with a link of its own; an address without an account is left out."""
    bob = ("email_member", {"user_id": "acc-bob", "email": "bob@x.org"})
    assert further(stand_ins={"ann@example.org": "bob@x.org"}) == [bob]
    assert further(stand_ins={"ann@example.org": "nobody@x.org"}) == []
    assert further(stand_ins={"bob@x.org": "lea@example.org"}) == []


def test_approvers_and_their_stand_ins_are_asked_in_the_console():
    """Where only people who have logged in count, those asked get no link."""
    approval = {"approvers": ["group:legal", "ann@example.org"]}
    assert further(approval=approval, stand_ins={"group:legal": "bob@x.org"}) == [
        ("console", {"account_id": "acc-lea", "email": "lea@example.org"}),
        ("console", {"account_id": "acc-bob", "email": "bob@x.org"}),
    ]


def recipient(type: RecipientType, **payload) -> Recipient:
    """A recipient named after its type."""
    return Recipient(f"r-{type}-{len(payload)}", "form", type, payload=payload)


def test_form_asks_members_and_whoever_runs_it_in_the_console():
    """The inbox of the workspace and outside addresses ask no account in person; revoked recipients ask nobody."""
    recipients = [
        recipient(RecipientType.EMAIL_MEMBER, user_id="a", email="a@x.org"),
        recipient(RecipientType.EMAIL_EXTERNAL, email="b@x.org"),
        recipient(RecipientType.CONSOLE, account_id="c"),
        recipient(RecipientType.BACKSTAGE, account_id="d"),
        recipient(RecipientType.STANDALONE_WEB_APP),
        Recipient("r", "form", RecipientType.EMAIL_MEMBER, "revoked", payload={"user_id": "e"}),
    ]
    assert [account_of(each) for each in recipients] == ["a", None, "c", None, None, "e"]
    assert asked_accounts(recipients) == ("a", "c")


def test_reminders_go_to_living_addresses_that_have_not_put_the_form_away():
    """Nobody is reminded without an address, after being revoked, or while the form is put away."""
    away = recipient(RecipientType.EMAIL_MEMBER, user_id="a", email="a@x.org")
    outside = recipient(RecipientType.EMAIL_EXTERNAL, email="b@x.org")
    page = recipient(RecipientType.STANDALONE_WEB_APP)
    gone = Recipient("r", "form", RecipientType.EMAIL_EXTERNAL, "revoked", payload={"email": "c@x.org"})
    assert to_remind([away, outside, page, gone], ()) == [away, outside]
    assert to_remind([away, outside, page, gone], {"a"}) == [outside]

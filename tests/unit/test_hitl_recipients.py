"""Kinds of recipients with their channels, and which recipients a form gets."""

import pickle

import pytest

from hitl.recipient import (
    ActingAccount,
    ApprovalChannel,
    ChannelledType,
    Member,
    Recipient,
    RecipientSpec,
    RecipientType,
    display_in_ui,
    recipients_for,
)

ANN = Member("acc-ann", "ann@example.com")
BEN = Member("acc-ben", "ben@example.com")
NO_MAIL = Member("acc-none", "  ")
MEMBERS = [ANN, BEN, NO_MAIL]
ANN_ACTS = ActingAccount("acc-ann")

WEB_APP = {"id": "1", "type": "webapp", "enabled": True, "config": {}}
TO_ANN = {"type": "member", "user_id": "acc-ann"}
TO_OUTSIDE = {"type": "external", "email": "eve@outside.example"}

W = RecipientSpec(RecipientType.STANDALONE_WEB_APP)
SENT = {"delivery_method_id": "2"}
EM_ANN = RecipientSpec(RecipientType.EMAIL_MEMBER, {"user_id": "acc-ann", "email": "ann@example.com", **SENT})
EM_BEN = RecipientSpec(RecipientType.EMAIL_MEMBER, {"user_id": "acc-ben", "email": "ben@example.com", **SENT})
EX = RecipientSpec(RecipientType.EMAIL_EXTERNAL, {"email": "eve@outside.example", **SENT})
C_ANN = RecipientSpec(RecipientType.CONSOLE, {"account_id": "acc-ann"})
B_ANN = RecipientSpec(RecipientType.BACKSTAGE, {"account_id": "acc-ann"})
B_NOBODY = RecipientSpec(RecipientType.BACKSTAGE, {"account_id": None})


def email(*items, enabled=True, debug_mode=False, **addressed):
    """Return an e-mail method that addresses ``items``."""
    config = {"recipients": {"items": list(items), **addressed}, "debug_mode": debug_mode}
    return {"id": "2", "type": "email", "enabled": enabled, "config": config}


def types(specs):
    """Return the types of the recipients, in order."""
    return [spec.type for spec in specs]


@pytest.mark.parametrize(
    ("value", "channel"),
    [
        ("email_member", "email"),
        ("email_external", "email"),
        ("standalone_web_app", "web_app"),
        ("console", "console"),
        ("backstage", "console"),
    ],
)
def test_recipient_type_names_its_channel(value, channel):
    """Table 1.1: each type has exactly one approval channel, and both are plain strings outside."""
    assert RecipientType(value).channel == channel
    assert str(RecipientType(value)) == value


def test_recipient_types_are_all_listed():
    """No type exists beside the five of table 1.1."""
    assert len(RecipientType) == 5
    assert set(ApprovalChannel) == {"console", "email", "web_app"}


def test_recipient_type_cannot_be_declared_without_its_channel():
    """A member without a channel fails when its class is created, so a module that has one cannot be imported."""
    with pytest.raises((TypeError, RuntimeError)):

        class Forgetful(ChannelledType):
            CARRIER_PIGEON = "carrier_pigeon"


def test_recipient_type_cannot_be_declared_with_an_unknown_channel():
    """The channel must be one that callers know."""
    with pytest.raises((ValueError, RuntimeError)):

        class Inventive(ChannelledType):
            CARRIER_PIGEON = "carrier_pigeon", "sky"


def test_recipient_type_can_be_declared_with_its_channel():
    """The same declaration with its channel is a class like any other."""

    class Complete(ChannelledType):
        CARRIER_PIGEON = "carrier_pigeon", ApprovalChannel.EMAIL

    assert Complete("carrier_pigeon").channel == "email"


@pytest.mark.parametrize("recipient_type", RecipientType)
def test_recipient_type_survives_the_way_between_processes(recipient_type):
    """A type arrives in another process as the same member."""
    assert pickle.loads(pickle.dumps(recipient_type)) is recipient_type


def test_recipient_is_active_until_revoked():
    """A revoked recipient is not active."""
    assert Recipient("r", "f", RecipientType.CONSOLE).is_active
    assert not Recipient("r", "f", RecipientType.CONSOLE, state="revoked").is_active


@pytest.mark.parametrize(
    ("methods", "specs"),
    [
        ([WEB_APP], [W, B_NOBODY]),
        ([email(TO_ANN, TO_OUTSIDE)], [EM_ANN, EX, B_NOBODY]),
        ([WEB_APP, email(TO_ANN)], [W, EM_ANN, B_NOBODY]),
        ([], [B_NOBODY]),
    ],
)
def test_published_run_gets_what_its_author_configured_and_backstage(methods, specs):
    """Second table of 1.11: the configured recipients, and backstage always."""
    assert recipients_for(methods, "service-api", None, MEMBERS) == specs


@pytest.mark.parametrize("source", ["debugger", "explore"])
def test_web_app_methods_are_dropped_inside_the_console(source):
    """Step 1: no web-app recipient for runs of the debugger and of explore."""
    assert RecipientType.STANDALONE_WEB_APP not in types(recipients_for([WEB_APP], source, ANN_ACTS, MEMBERS))


@pytest.mark.parametrize(
    ("source", "debug_mode", "actor", "addressed"),
    [
        ("debugger", True, ANN_ACTS, [EM_ANN]),
        ("debugger", True, None, []),
        ("debugger", True, ActingAccount("acc-elsewhere"), []),
        ("debugger", False, ANN_ACTS, [EM_BEN, EX]),
        ("service-api", True, ANN_ACTS, [EM_BEN, EX]),
    ],
)
def test_debug_mode_mails_the_acting_account_alone(source, debug_mode, actor, addressed):
    """Step 2: in the debugger, debug mode replaces all addressees by the acting account, or by nobody."""
    method = email({"type": "member", "user_id": "acc-ben"}, TO_OUTSIDE, debug_mode=debug_mode)
    specs = recipients_for([method], source, actor, MEMBERS)
    assert [spec for spec in specs if spec.type.channel == "email"] == addressed


def test_debug_mode_ignores_the_whole_workspace():
    """Step 2: debug mode does not mail the workspace either."""
    specs = recipients_for([email(whole_workspace=True, debug_mode=True)], "debugger", ANN_ACTS, MEMBERS)
    assert [spec for spec in specs if spec.type.channel == "email"] == [EM_ANN]


def test_each_web_app_method_makes_one_recipient():
    """Step 3: one web-app recipient for each method."""
    specs = recipients_for([WEB_APP, WEB_APP], "service-api", None, MEMBERS)
    assert specs == [W, W, B_NOBODY]


@pytest.mark.parametrize(
    ("method", "addressed"),
    [
        (email(TO_OUTSIDE, TO_ANN), [EM_ANN, EX]),
        (email(TO_ANN, TO_ANN, TO_OUTSIDE, TO_OUTSIDE), [EM_ANN, EX]),
        (email(TO_ANN, {"type": "external", "email": "ann@example.com"}), [EM_ANN]),
        (email({"type": "member", "user_id": "acc-none"}), []),
        (email({"type": "external", "email": ""}, {"type": "external", "email": " "}), []),
        (email({"type": "external", "email": None}, {"type": "external"}), []),
        (email({"type": "member", "user_id": "acc-stranger"}), []),
        (email({"type": "member", "reference_id": "acc-ben"}), [EM_BEN]),
        (email(TO_ANN, whole_workspace=True), [EM_ANN, EM_BEN]),
        (email(TO_ANN, include_bound_group=True), [EM_ANN, EM_BEN]),
        (email(TO_OUTSIDE, whole_workspace=True), [EM_ANN, EM_BEN, EX]),
        ({"type": "email"}, []),
        ({"type": "email", "config": {"recipients": {"items": ["ann", None]}}}, []),
    ],
)
def test_email_method_addresses_members_then_outsiders_once(method, addressed):
    """Step 4: members before outside addresses, blanks and repeats skipped, only true members of the workspace."""
    assert recipients_for([method], "service-api", None, MEMBERS) == [*addressed, B_NOBODY]


def test_each_email_method_addresses_on_its_own():
    """Step 4: an address is skipped only when the same method has it already."""
    specs = recipients_for([email(TO_ANN), email(TO_ANN)], "service-api", None, MEMBERS)
    assert specs == [EM_ANN, EM_ANN, B_NOBODY]


@pytest.mark.parametrize(
    ("source", "methods", "has_console"),
    [
        ("debugger", [], True),
        ("debugger", [WEB_APP], True),
        ("explore", [WEB_APP], True),
        ("explore", [], False),
        ("explore", [{**WEB_APP, "enabled": False}], False),
        ("service-api", [WEB_APP], False),
        ("openapi", [WEB_APP], False),
        ("web-app", [WEB_APP], False),
        (None, [WEB_APP], False),
    ],
)
def test_console_recipient_belongs_to_runs_inside_the_console(source, methods, has_console):
    """Step 5: the debugger always, explore only with web-app delivery, other sources never; and only one."""
    specs = recipients_for(methods, source, ANN_ACTS, MEMBERS)
    assert [spec for spec in specs if spec.type == RecipientType.CONSOLE] == ([C_ANN] if has_console else [])


@pytest.mark.parametrize(
    ("source", "actor", "backstage"),
    [
        ("service-api", None, [B_NOBODY]),
        ("service-api", ANN_ACTS, [B_ANN]),
        (None, ANN_ACTS, [B_ANN]),
        (None, None, []),
    ],
)
def test_backstage_recipient_is_there_when_anything_is_known_of_the_start(source, actor, backstage):
    """Step 6: a runtime form has backstage once, unless neither source nor account of its run is known."""
    assert recipients_for([], source, actor, MEMBERS) == backstage


@pytest.mark.parametrize("source", ["debugger", "explore", "service-api"])
def test_delivery_test_gets_neither_console_nor_backstage(source):
    """A delivery test reaches only the addressees of its methods."""
    specs = recipients_for([WEB_APP, email(TO_ANN)], source, ANN_ACTS, MEMBERS, kind="delivery_test")
    assert not {RecipientType.CONSOLE, RecipientType.BACKSTAGE} & set(types(specs))
    assert EM_ANN in specs


def test_methods_that_are_off_reach_nobody():
    """Only enabled methods count, and a method is enabled unless it says otherwise."""
    off = [{**WEB_APP, "enabled": False}, email(TO_ANN, enabled=False)]
    assert recipients_for(off, "service-api", None, MEMBERS) == [B_NOBODY]
    assert recipients_for([{"type": "webapp"}], "service-api", None, MEMBERS) == [W, B_NOBODY]


@pytest.mark.parametrize(
    ("source", "methods", "shown"),
    [
        ("debugger", [], True),
        ("debugger", [email(TO_ANN)], True),
        ("service-api", [WEB_APP], True),
        ("explore", [WEB_APP], True),
        ("service-api", [{**WEB_APP, "enabled": False}], False),
        ("service-api", [email(TO_ANN)], False),
        ("explore", [], False),
        (None, [], False),
    ],
)
def test_form_is_displayed_in_the_debugger_or_with_web_app_delivery(source, methods, shown):
    """1.12: shown for runs of the debugger, otherwise exactly with an enabled web-app method."""
    assert display_in_ui(methods, source) is shown

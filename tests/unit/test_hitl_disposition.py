"""Dispositions: which token a surface shows, which channels it names, and that it accepts what it shows."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitl.disposition import Disposition, disposition_for_surface, dispositions, enrich_reason
from hitl.form_token import Purpose, TokenKey, derive_token
from hitl.policy import is_accepted, may_act
from hitl.recipient import ActingAccount, Member, Recipient, RecipientState, RecipientType, recipients_for
from hitl.surface import Surface

W = RecipientType.STANDALONE_WEB_APP
C = RecipientType.CONSOLE
B = RecipientType.BACKSTAGE
EM = RecipientType.EMAIL_MEMBER
EX = RecipientType.EMAIL_EXTERNAL
KEY = TokenKey(b"k" * 32)


def recipients_of(form_id, *kinds, state: RecipientState = "active"):
    """Return one recipient of the form for each kind."""
    return [Recipient(f"{form_id}-{number}", form_id, kind, state) for number, kind in enumerate(kinds)]


def token_of(recipient, surface):
    """Return the submit token of ``recipient`` for ``surface``."""
    return derive_token(KEY, Purpose.SUBMIT, recipient.form_id, recipient.recipient_id, surface, recipient.generation)


@pytest.mark.parametrize(
    ("recipients", "token"),
    [
        ([(W, "web-token"), (C, "console-token"), (B, "backstage-token")], "backstage-token"),
        ([(B, ""), (C, "console-token")], "console-token"),
        ([(EM, "mail-token")], None),
        ([(C, "first"), (C, "second")], "first"),
    ],
)
def test_preferred_token_follows_the_priority(recipients, token):
    """Matrix 8.2: backstage before console before web app; empty tokens and e-mail never; the first of equals."""
    assert disposition_for_surface(recipients, None).form_token == token


DISPOSITIONS = [
    # Matrix 8.3.
    ([(B, "tok_b"), (W, "tok_web")], "openapi", "tok_web", ["console"]),
    ([(EM, "t1"), (EX, "t2")], "openapi", None, ["email"]),
    ([(EM, "t1"), (B, "tok_b")], "openapi", None, ["console", "email"]),
    ([(C, "tok_c"), (W, "tok_web")], "console", "tok_c", ["web_app"]),
    ([(W, "tok_web")], "console", None, ["web_app"]),
    ([(B, "tok_b")], None, "tok_b", []),
    ([(W, "tok_web"), (EM, "t1")], None, "tok_web", []),
    # Matrix 8.6.
    ([(W, "")], "openapi", None, []),
    ([(W, ""), (B, "tok_b")], "service_api", None, ["console"]),
    ([(EM, ""), (B, "")], "openapi", None, ["console", "email"]),
    ([(B, "tok_b"), (C, "tok_c")], "console", "tok_b", []),
    ([(B, ""), (C, "tok_c")], "console", "tok_c", []),
    ([(EM, "t1")], "console", None, ["email"]),
    ([(W, "tok"), (EM, "t1"), (EX, "t2"), (B, "tok_b"), (C, "tok_c")], "openapi", "tok", ["console", "email"]),
    ([(W, "w"), (EM, "e"), (C, "c"), (B, "tok_b")], "console", "tok_b", ["email", "web_app"]),
    ([(EM, "t1")], None, None, []),
    ([(W, "tok"), (EM, "t1"), (B, "b")], "web", "tok", ["console", "email"]),
    ([(W, ""), (EM, "t1"), (EX, "t2"), (B, "b")], "web", None, ["console", "email"]),
    *(([], surface, None, []) for surface in (*Surface, None)),
]


@pytest.mark.parametrize(("recipients", "surface", "token", "channels"), DISPOSITIONS)
def test_disposition_shows_the_usable_token_and_the_other_channels(recipients, surface, token, channels):
    """Matrices 8.3 and 8.6: the best token the surface emits, and the sorted labels of all other recipients."""
    found = disposition_for_surface(recipients, None if surface is None else Surface(surface))
    assert found == Disposition(token, channels)


PUBLISHED = [
    ([{"type": "webapp"}], True, ["console"]),
    ([{"type": "email", "config": {"recipients": {"whole_workspace": True}}}], False, ["console", "email"]),
    (
        [{"type": "webapp"}, {"type": "email", "config": {"recipients": {"whole_workspace": True}}}],
        True,
        ["console", "email"],
    ),
    ([], False, ["console"]),
]


@pytest.mark.parametrize("surface", [Surface.SERVICE_API, Surface.OPENAPI])
@pytest.mark.parametrize(("methods", "has_token", "channels"), PUBLISHED)
def test_published_run_shows_what_its_author_configured(methods, has_token, channels, surface):
    """Second table of 1.11: from configuration to what a token surface shows."""
    specs = recipients_for(methods, surface, ActingAccount("acc-1"), [Member("acc-1", "ann@example.com")])
    recipients = {"f": [Recipient(f"r{number}", "f", spec.type) for number, spec in enumerate(specs)]}
    found = dispositions(recipients, surface, KEY)["f"]
    assert (found.form_token is not None, found.approval_channels) == (has_token, channels)


LOADER_ROWS = {
    "form-1": [(W, "web-token"), (C, "console-token"), (B, "backstage-token")],
    "form-2": [(B, "decoy-token")],
}


@pytest.mark.parametrize(
    ("rows", "surface", "token", "channels"),
    [
        (LOADER_ROWS["form-1"], None, "backstage-token", []),
        (LOADER_ROWS["form-1"], Surface.SERVICE_API, "web-token", ["console"]),
        ([(EM, "email-token"), (C, "")], None, None, []),
        ([(W, "web-token"), (B, "backstage-token")], Surface.OPENAPI, "web-token", ["console"]),
        ([(B, "backstage-token")], Surface.OPENAPI, None, ["console"]),
    ],
)
def test_rows_of_one_form_give_its_disposition(rows, surface, token, channels):
    """Matrix 8.4 over given tokens: a form without a usable token is not given another form's."""
    by_form = {
        form_id: disposition_for_surface(pairs, surface) for form_id, pairs in {**LOADER_ROWS, "form-1": rows}.items()
    }
    assert by_form["form-1"] == Disposition(token, channels)


def test_loader_derives_the_tokens_of_the_asking_surface():
    """Matrix 8.4 over stored recipients: each form by itself, with the token of its own web-app recipient."""
    stored = {"form-1": recipients_of("form-1", W, B), "form-2": recipients_of("form-2", B), "form-3": []}
    web = stored["form-1"][0]
    assert dispositions(stored, Surface.OPENAPI, KEY) == {
        "form-1": Disposition(token_of(web, Surface.OPENAPI), ["console"]),
        "form-2": Disposition(None, ["console"]),
    }


def test_loader_gives_each_surface_another_token():
    """The same recipient is shown under a token of its own on every surface."""
    stored = {"f": recipients_of("f", W, B)}
    tokens = {dispositions(stored, surface, KEY)["f"].form_token for surface in Surface}
    assert len(tokens) == len(Surface)


def test_loader_gives_the_same_token_again():
    """Live stream and reconnect show the same token."""
    stored = {"f": recipients_of("f", W, B)}
    assert dispositions(stored, Surface.WEB, KEY) == dispositions(stored, Surface.WEB, KEY)


def test_revoked_recipient_gives_neither_token_nor_channel():
    """A revoked recipient is as good as absent, on every surface."""
    stored = {"f": [*recipients_of("f", W, EM, B, state="revoked"), *recipients_of("f", C)]}
    assert dispositions(stored, Surface.SERVICE_API, KEY)["f"] == Disposition(None, ["console"])
    assert dispositions({"f": stored["f"][:3]}, Surface.SERVICE_API, KEY) == {"f": Disposition(None, [])}


def test_reissued_recipient_gives_another_token():
    """A higher generation changes the token that is shown."""
    first, second = (
        dispositions({"f": [Recipient("r", "f", W, generation=generation)]}, Surface.WEB, KEY)["f"].form_token
        for generation in (1, 2)
    )
    assert first != second


def test_disposition_hides_its_token_in_repr():
    """A disposition in a log line or an error does not give its token away."""
    assert "tok_web" not in repr(Disposition("tok_web", ["console"]))


REASON = {"TYPE": "human_input_required", "form_id": "f1", "node_id": "n"}


@pytest.mark.parametrize(
    ("by_form", "token", "channels"),
    [
        ({"f1": Disposition(None, ["console", "email"])}, None, ["console", "email"]),
        ({"f1": Disposition("tok", [])}, "tok", []),
        ({}, None, []),
        ({"f1": Disposition(None, ["console"]), "f2": Disposition("tok", [])}, None, ["console"]),
    ],
)
def test_reason_is_enriched_with_its_form(by_form, token, channels):
    """Matrix 8.5: both keys are always there, null and empty where the form is unknown."""
    assert enrich_reason(REASON, by_form, {}) == {**REASON, "form_token": token, "approval_channels": channels}


@pytest.mark.parametrize(
    "reason",
    [
        {"TYPE": "something_else", "form_id": "f1"},
        {"TYPE": "scheduled_pause", "message": "later"},
        {"TYPE": "human_input_required", "form_id": None},
        {"TYPE": "human_input_required"},
        {"form_id": "f1"},
    ],
)
def test_other_reasons_pass_unchanged(reason):
    """Matrix 8.5: a reason that asks for no form comes out as it went in, with neither key."""
    before = dict(reason)
    assert enrich_reason(reason, {"f1": Disposition("tok", [])}, {"f1": 5.0}) == before


def test_reason_is_given_its_expiration_when_known():
    """The node deadline is added in whole seconds for the forms that have one listed."""
    assert enrich_reason(REASON, {}, {"f1": 1700000000.9})["expiration_time"] == 1700000000
    assert "expiration_time" not in enrich_reason(REASON, {}, {"f2": 1.0})


def test_enriching_changes_neither_reason_nor_disposition():
    """The reason is copied and its list of channels is fresh, so that one reply cannot change another."""
    source, reason = Disposition(None, ["console"]), dict(REASON)
    enrich_reason(reason, {"f1": source}, {})["approval_channels"].append("email")
    assert reason == REASON
    assert source.approval_channels == ["console"]


PAIRS = st.lists(st.tuples(st.sampled_from(RecipientType), st.sampled_from(["", "t0", "t1", "t2", "t3"])))


@settings(deadline=None)
@given(PAIRS, st.sampled_from(Surface))
def test_surface_accepts_every_token_it_shows(recipients, surface):
    """Whatever recipients a form has: every owner of a token that comes out is accepted on that surface."""
    numbered = [(kind, token and f"{token}-{number}") for number, (kind, token) in enumerate(recipients)]
    token = disposition_for_surface(numbered, surface).form_token
    owners = [kind for kind, each in numbered if token is not None and each == token]
    assert token is None or owners
    assert all(is_accepted(owner, surface) and may_act(owner, surface, surface) for owner in owners)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(RecipientType), st.sampled_from(["active", "revoked"]), st.booleans())),
    st.data(),
)
def test_derived_token_belongs_to_an_active_recipient_the_surface_accepts(rows, data):
    """Over stored recipients: the shown token is that of an active recipient which may act on the surface."""
    surface = data.draw(st.sampled_from(Surface))
    stored = [
        Recipient(f"r{number}", "f", kind, state, payload={"mcp_link": True} if is_marked else {})
        for number, (kind, state, is_marked) in enumerate(rows)
    ]
    found = dispositions({"f": stored}, surface, KEY).get("f", Disposition())
    owners = [each for each in stored if token_of(each, surface) == found.form_token]
    assert (found.form_token is None) == (not owners)
    assert all(each.is_active and may_act(each.type, surface, surface) for each in owners)
    assert surface is not Surface.MCP or all(each.is_for_agents for each in owners)


def test_agent_is_told_the_channel_of_a_link_that_it_may_not_have():
    """Through MCP a web-app recipient is a channel like any other, and a token only where it is marked for agents."""
    marked = Recipient("w", "f", W, payload={"mcp_link": True})
    stored = {"plain": recipients_of("plain", W, EM, B), "marked": [marked, *recipients_of("f", EM, B)]}
    assert dispositions(stored, Surface.MCP, KEY) == {
        "plain": Disposition(None, ["console", "email", "web_app"]),
        "marked": Disposition(token_of(marked, Surface.MCP), ["console", "email"]),
    }


@settings(deadline=None)
@given(PAIRS, st.sampled_from(Surface))
def test_every_recipient_is_reachable_or_named(recipients, surface):
    """A recipient with a token either could supply the surface's token or has its channel named, never neither."""
    found = disposition_for_surface(recipients, surface)
    for kind, token in recipients:
        named = kind.channel in found.approval_channels
        assert named or not token or found.form_token is not None
    assert found.approval_channels == sorted(set(found.approval_channels))

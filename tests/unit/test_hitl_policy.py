"""The policy table: what each surface emits and accepts, and that an unsound table cannot be imported."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

from hitl.errors import UnsoundPolicyError
from hitl.policy import (
    POLICY,
    accepts,
    check_policy,
    emits,
    is_accepted,
    is_emitted,
    is_shown,
    may_act,
    tells_elsewhere,
    token_surfaces,
)
from hitl.recipient import Recipient, RecipientType
from hitl.surface import Surface

W = RecipientType.STANDALONE_WEB_APP
C = RecipientType.CONSOLE
B = RecipientType.BACKSTAGE
EM = RecipientType.EMAIL_MEMBER
EX = RecipientType.EMAIL_EXTERNAL

ACCEPTED = {
    Surface.SERVICE_API: {W},
    Surface.OPENAPI: {W},
    Surface.CONSOLE: {C, B},
    Surface.WEB: {W, EM, EX},
    Surface.MCP: {W},
}
EMITTED = {
    Surface.SERVICE_API: {W},
    Surface.OPENAPI: {W},
    Surface.CONSOLE: {C, B},
    Surface.WEB: {W},
    Surface.MCP: {W},
}
PAIRS = list(itertools.product(RecipientType, Surface))


@pytest.mark.parametrize(("recipient_type", "surface"), PAIRS)
def test_policy_accepts_exactly_the_listed_types(recipient_type, surface):
    """Matrix 8.1: a surface accepts the types listed for it and no others."""
    assert is_accepted(recipient_type, surface) is (recipient_type in ACCEPTED[surface])


@pytest.mark.parametrize(("recipient_type", "surface"), PAIRS)
def test_policy_emits_exactly_the_listed_types(recipient_type, surface):
    """A surface emits the types listed for it and no others; e-mail types are emitted nowhere."""
    assert is_emitted(recipient_type, surface) is (recipient_type in EMITTED[surface])


def test_service_api_is_pinned():
    """The API-key surface acts for the web app alone, whatever the other surfaces come to allow."""
    assert emits(Surface.SERVICE_API) == accepts(Surface.SERVICE_API) == {W}


def test_openapi_is_pinned():
    """The bearer surface acts for the web app alone, whatever the other surfaces come to allow."""
    assert emits(Surface.OPENAPI) == accepts(Surface.OPENAPI) == {W}


@pytest.mark.parametrize("surface", Surface)
def test_only_openapi_tells_of_tokens_of_other_surfaces(surface):
    """Elsewhere a token of another surface is not found, whoever holds it."""
    assert tells_elsewhere(surface) is (surface is Surface.OPENAPI)


@pytest.mark.parametrize("surface", Surface)
def test_policy_emits_only_what_it_accepts(surface):
    """Every type that a surface emits is one it accepts."""
    assert emits(surface) <= accepts(surface)


@pytest.mark.parametrize("surface", Surface)
def test_policy_allows_nothing_for_a_missing_type(surface):
    """A recipient without a type is neither emitted nor accepted, and cannot act."""
    assert not is_accepted(None, surface)
    assert not is_emitted(None, surface)
    assert not may_act(None, surface, surface)


@pytest.mark.parametrize(
    ("recipient_type", "surfaces"),
    [
        (W, (Surface.SERVICE_API, Surface.OPENAPI, Surface.WEB)),
        (C, (Surface.CONSOLE,)),
        (B, (Surface.CONSOLE,)),
        (EM, (Surface.WEB,)),
        (EX, (Surface.WEB,)),
    ],
)
def test_tokens_are_minted_for_each_surface_that_may_act(recipient_type, surfaces):
    """A recipient has a token per surface that emits its type; an e-mail recipient has the one of the web."""
    assert token_surfaces(Recipient("r", "f", recipient_type)) == surfaces


def test_agents_are_shown_what_is_marked_for_them_alone():
    """A web-app recipient has a token for agents, and shows it to them, only where it is marked for them."""
    plain, marked = Recipient("r", "f", W), Recipient("r", "f", W, payload={"mcp_link": True})
    assert [is_shown(each, Surface.MCP) for each in (plain, marked)] == [False, True]
    assert Surface.MCP not in token_surfaces(plain)
    assert set(token_surfaces(marked)) == {*token_surfaces(plain), Surface.MCP}
    for other in (each for each in Surface if each is not Surface.MCP):
        assert is_shown(plain, other) is is_shown(marked, other) is is_emitted(W, other)
    for kind in (C, B, EM, EX):
        assert not is_shown(Recipient("r", "f", kind, payload={"mcp_link": True}), Surface.MCP)


HONOURED = {
    Surface.SERVICE_API: {Surface.SERVICE_API, Surface.WEB},
    Surface.OPENAPI: {Surface.OPENAPI, Surface.WEB},
    Surface.WEB: {Surface.WEB},
    Surface.CONSOLE: {Surface.CONSOLE},
    Surface.MCP: {Surface.MCP, Surface.WEB},
}


@pytest.mark.parametrize(("minted_for", "at"), list(itertools.product(Surface, Surface)))
def test_web_app_token_works_where_its_surface_is_honoured(minted_for, at):
    """A token works on the surface it was minted for, and tokens of the API surfaces on the public page too."""
    expected = at in HONOURED[minted_for] and W in ACCEPTED[at]
    assert may_act(W, minted_for, at) is expected


@pytest.mark.parametrize("recipient_type", RecipientType)
def test_every_minted_token_works_on_its_own_surface(recipient_type):
    """Whatever surface a token is minted for accepts it."""
    surfaces = token_surfaces(Recipient("r", "f", recipient_type, payload={"mcp_link": True}))
    assert surfaces
    assert all(may_act(recipient_type, surface, surface) for surface in surfaces)


@pytest.mark.parametrize("recipient_type", [C, B])
def test_console_tokens_are_refused_on_the_public_page(recipient_type):
    """What needs a login in the console cannot be done on the unauthenticated page."""
    assert not any(may_act(recipient_type, minted_for, Surface.WEB) for minted_for in Surface)


def unsound(surface, **changes):
    """Return the table with one row changed."""
    return {**POLICY, surface: replace(POLICY[surface], **changes)}


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (unsound(Surface.OPENAPI, emits=frozenset({W, B})), "openapi emits backstage that openapi does not accept"),
        (unsound(Surface.WEB, accepts=frozenset({W}), emits=frozenset({W})), "is accepted nowhere"),
        (unsound(Surface.WEB, honours=frozenset(Surface)), "console emits backstage, console that web"),
        (unsound(Surface.WEB, honours=frozenset()), "web does not honour its own tokens"),
        ({Surface.WEB: POLICY[Surface.WEB]}, "surface service_api has no row"),
    ],
)
def test_policy_check_refuses_an_unsound_table(table, fault):
    """A table that emits what is not accepted, or leaves something out, is a defect that the import reports."""
    with pytest.raises(UnsoundPolicyError) as caught:
        check_policy(table)
    assert fault in str(caught.value)


def test_policy_table_cannot_be_changed():
    """The table is read-only: nothing widens a surface at run time."""
    table: Any = POLICY
    with pytest.raises(TypeError):
        table[Surface.WEB] = table[Surface.CONSOLE]

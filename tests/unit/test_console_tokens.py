"""Access and CSRF tokens of the console: what they say, when they end, and that nothing else passes for one."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitl.form_token import TokenKey
from surface_world import SetClock
from surfaces.console_tokens import ACCESS_LIFETIME_S, Bearer, ConsoleTokens

BEARER = Bearer("login", "account")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def made(clock: SetClock | None = None, key: bytes = b"k") -> ConsoleTokens:
    """Return what makes and reads tokens."""
    return ConsoleTokens(TokenKey(key * 32), clock or SetClock())


def part(value: Any) -> str:
    """Return a JSON value as a part of a JWT."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_token_names_its_login_for_an_hour() -> None:
    """Both kinds end on the second."""
    clock = SetClock()
    tokens = made(clock)
    access, csrf = tokens.access(BEARER), tokens.csrf(BEARER)
    clock.at += ACCESS_LIFETIME_S - 1
    assert tokens.read_access(access) == BEARER and tokens.is_csrf(csrf, BEARER)
    clock.at += 1
    assert tokens.read_access(access) is None and not tokens.is_csrf(csrf, BEARER)


def test_kinds_of_tokens_are_not_each_other() -> None:
    """An access token is no CSRF token, and the other way round; each belongs to its login and its account."""
    tokens = made()
    access, csrf = tokens.access(BEARER), tokens.csrf(BEARER)
    assert tokens.read_access(csrf) is None and not tokens.is_csrf(access, BEARER)
    for other in (Bearer("other", "account"), Bearer("login", "other")):
        assert not tokens.is_csrf(csrf, other)


def test_tokens_of_another_installation_are_none() -> None:
    """Another key reads nothing of this one's."""
    assert made(key=b"x").read_access(made().access(BEARER)) is None


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_changed_token_is_none(cut: int) -> None:
    """A token with one part of another is none."""
    tokens = made()
    parts, others = tokens.access(BEARER).split("."), tokens.access(Bearer("x", "y")).split(".")
    parts[cut] = others[cut] if cut else part({"alg": "HS512"})
    assert tokens.read_access(".".join(parts)) is None


@given(st.text())
def test_any_text_is_no_token(text: str) -> None:
    """Whatever is sent is refused without failing."""
    assert made().read_access(text) is None and not made().is_csrf(text, BEARER)


@given(JSON, JSON, st.text(max_size=9))
def test_any_jwt_is_no_token(head: Any, body: Any, signature: str) -> None:
    """Parts that are JSON of any shape are refused without failing."""
    assert made().read_access(f"{part(head)}.{part(body)}.{signature}") is None


@given(st.dictionaries(st.sampled_from(["alg", "typ", "crit", "b64", "kid", "zip", "enc"]), JSON), JSON)
def test_any_head_is_no_token(head: dict[str, Any], body: Any) -> None:
    """Nor does a head of known names with odd values."""
    for alg in ({}, {"alg": "HS256"}, {"alg": "none"}):
        assert made().read_access(f"{part(head | alg)}.{part(body)}.AAAA") is None
    own = made().access(BEARER).split(".")
    assert made().read_access(f"{own[0]}.{part(body)}.{own[2]}") is None

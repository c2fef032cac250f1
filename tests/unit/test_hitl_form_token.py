"""Form tokens: their form, what they depend on, and what keeps the key to itself."""

import itertools
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitl.errors import ShortTokenKeyError
from hitl.form_token import Purpose, TokenKey, derive_token, hash_token, is_well_formed, key_id
from hitl.surface import Surface

SECRET = bytes(range(32))
KEY = TokenKey(SECRET)
PLAIN: dict[str, Any] = {
    "key": KEY,
    "purpose": Purpose.SUBMIT,
    "form_id": "form-1",
    "recipient_id": "recipient-1",
    "surface": Surface.SERVICE_API,
    "generation": 1,
}


def derive(**changes: Any):
    """Return the token of PLAIN with some parts changed."""
    return derive_token(**(PLAIN | changes))


@settings(deadline=None)
@given(form_id=st.text(), recipient_id=st.text(), generation=st.integers(1, 10**9))
def test_token_is_43_letters_and_digits(form_id, recipient_id, generation):
    """Every token has the one length and alphabet, so none starts with a sign that a command line takes as a flag."""
    token = derive_token(KEY, Purpose.SUBMIT, form_id, recipient_id, Surface.WEB, generation)
    assert len(token) == 43
    assert token.isascii()
    assert token.isalnum()
    assert is_well_formed(token)


def test_token_holds_all_256_bits():
    """43 characters are enough for every MAC, and 42 would not be."""
    assert 62**43 > 2**256 > 62**42


def test_token_is_the_same_on_every_call():
    """Reconnecting shows the same token again: the same parts under the same key give the same text."""
    assert derive() == derive()
    assert derive(key=TokenKey(SECRET)) == derive()


def test_token_of_fixed_parts_never_changes():
    """Links in mails outlive a release: the derivation of version 1 is pinned."""
    assert derive() == "ZgmlfLiIU8PiERhH4WXxAiTW4J9zoVp7xNXgriXNcQM"


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("key", TokenKey(bytes(range(1, 33)))),
        ("purpose", Purpose.UPLOAD),
        ("form_id", "form-2"),
        ("recipient_id", "recipient-2"),
        ("surface", Surface.OPENAPI),
        ("surface", Surface.WEB),
        ("surface", Surface.CONSOLE),
        ("generation", 2),
    ],
)
def test_token_differs_in_every_part(part, other):
    """A token stands for one key, purpose, form, recipient, surface and generation."""
    assert derive(**{part: other}) != derive()


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (("ab", "c"), ("a", "bc")),
        (("", "abc"), ("abc", "")),
        (("a\x00", "b"), ("a", "\x00b")),
        (("a\x00\x00\x00\x01b", ""), ("a", "b")),
    ],
)
def test_token_tells_shifted_parts_apart(one, two):
    """Each part is framed by its length, so moving characters between form and recipient gives another token."""
    first, second = (
        derive_token(KEY, Purpose.SUBMIT, form_id, recipient_id, Surface.WEB, 1) for form_id, recipient_id in (one, two)
    )
    assert first != second


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(Purpose),
            st.text("ab1\x00", max_size=3),
            st.text("ab1\x00", max_size=3),
            st.sampled_from(Surface),
            st.integers(1, 11),
        ),
        unique=True,
        max_size=20,
    )
)
def test_tokens_of_different_parts_differ(parts):
    """No two different sets of parts share a token."""
    tokens = {derive_token(KEY, *each) for each in parts}
    assert len(tokens) == len(parts)


def test_hash_is_32_bytes_and_not_the_token():
    """What the database holds has a fixed size and does not contain the token."""
    token = derive()
    assert len(hash_token(token)) == 32
    assert hash_token(token) == hash_token(str(token))
    assert token.encode() not in hash_token(token)


@settings(deadline=None)
@given(st.text(st.characters(codec=None)))
def test_hash_takes_any_text(text):
    """A malformed token is looked up like any other and simply not found: no text breaks the hash."""
    assert len(hash_token(text)) == 32


@pytest.mark.parametrize(
    "text",
    [
        "", "a" * 42, "a" * 44, "-" + "a" * 42, "a" * 42 + "\n", "a" * 43 + "\n", "é" + "a" * 42, "٣" * 43,
        "hitl_upload_" + "a" * 31, None, 43, b"a" * 43,
    ],
)  # fmt: skip
def test_malformed_token_is_recognised(text):
    """Only 43 ASCII letters and digits look like a token."""
    assert not is_well_formed(text)


def test_key_does_not_show_itself():
    """Neither repr nor str nor a format of the key reveals a byte of it."""
    shown = f"{KEY!r} {KEY} {KEY!s} {[KEY]}"
    assert "TokenKey(***)" in shown
    assert SECRET.hex() not in shown
    assert repr(SECRET)[2:-1] not in shown


def test_key_refuses_to_leave_its_process():
    """A key cannot be pickled into a message or a file by accident."""
    with pytest.raises(TypeError):
        pickle.dumps(KEY)


@pytest.mark.parametrize("size_bytes", [0, 16, 31])
def test_short_key_is_refused(size_bytes):
    """A key has at least 32 bytes; the error names the size and nothing of the key."""
    with pytest.raises(ShortTokenKeyError) as caught:
        TokenKey(b"\x07" * size_bytes)
    assert str(size_bytes) in str(caught.value)


def test_key_id_names_the_key_without_revealing_it():
    """Equal keys have equal ids, other keys others, and the id is no token."""
    other = TokenKey(bytes(range(1, 33)))
    assert key_id(KEY) == key_id(TokenKey(SECRET)) != key_id(other)
    assert len(key_id(KEY)) == 16
    assert SECRET.hex()[:16] != key_id(KEY)


def test_tokens_of_a_form_are_all_different():
    """Over purposes, surfaces, recipients and generations of one form no token comes twice."""
    every = list(itertools.product(Purpose, ["f"], ["r1", "r2"], Surface, [1, 2]))
    assert len({derive_token(KEY, *each) for each in every}) == len(every)

"""What columns keep is small, comes back as it was, and is read by every later version."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from store.compression import compress, decompress

FACTS = (
    b'[1,[["RunStarted",1795518903.5,{"q":"hello"},{"files":[],"user_id":"somebody","workflow_run_id":"run",'
    b'"timestamp":1795518903},{}],["NodeStarted",1795518903.5,"start","e1",1,""],'
    b'["RunPaused",1795518904.0,["form"],{},0.25,0,2,null]]]'
)
STORED = bytes.fromhex(
    "5ac39e334c0d2d2c0d8cf540a9ab106865462ab0fd813bab14e7e7a626e5038b486c5902988ac041"
    "81927020e6e3cc1870ebe1493fd510e815ecbe032b36d10316e1e01402f3a69129b23715280400"
)


@given(st.binary(max_size=3000).map(lambda data: b"{" + data))
def test_bytes_come_back_as_they_were(data: bytes):
    """Whatever is compressed, or is left alone, is given back."""
    assert decompress(compress(data)) == data
    assert compress(data) == compress(data)


def test_facts_take_a_third_of_their_length():
    """The names that every run stores cost next to nothing."""
    facts = FACTS + b" " * 64
    assert len(compress(facts)) < len(facts) / 3


@pytest.mark.parametrize("data", [b"{}", b"[" + bytes(range(256))])
def test_what_would_not_shrink_is_left_alone(data: bytes):
    """Short and incompressible bytes are stored as they are."""
    assert compress(data) == data


def test_stored_bytes_of_an_earlier_version_are_read():
    """The dictionary is part of the stored format: with a changed one this cannot be read."""
    assert decompress(STORED) == FACTS + b" " * 64

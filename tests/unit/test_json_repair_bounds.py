"""Text that is nearly JSON is read, and nothing takes long."""

import sys
import time

import pytest

from graph.json_repair_bounds import MAX_REPAIR_CHARS, repaired_json


@pytest.mark.parametrize(
    ("text", "value"),
    [("{a: 1, 'b': [1, 2,", {"a": 1, "b": [1, 2]}), ('```json\n{"a": tea}\n```', {"a": "tea"}), ("[1, 2", [1, 2])],
)
def test_small_faults_are_repaired(text, value):
    """Missing quotes, commas and brackets are put in."""
    assert repaired_json(text) == value


@pytest.mark.parametrize(
    "text",
    ["no json", "", "[" * 100_000, '["a" ' * 3000, "x" * (MAX_REPAIR_CHARS + 1)],
    ids=lambda text: f"{text[:12]}-{len(text)}",
)
def test_hopeless_text_is_given_up_soon(text):
    """What means nothing, or would take minutes, is refused after seconds of work, and the thread is as before."""
    before, began = sys.gettrace(), time.thread_time()
    with pytest.raises(ValueError):
        repaired_json(text)
    assert time.thread_time() - began < 10
    assert sys.gettrace() is before

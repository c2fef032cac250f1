"""The variable pool: selectors, layers over layers, and what an update reaches."""

from typing import Any

import pytest

from graph.variable_pool import (
    FILE_MARK,
    FILE_MARK_VALUE,
    MISSING,
    SecretText,
    VariablePool,
    file_attribute,
    is_file,
)

FILE = {
    FILE_MARK: FILE_MARK_VALUE, "type": "image", "size": 5, "filename": "a.png", "mime_type": "image/png",
    "transfer_method": "remote_url", "url": "https://sample.invalid/a.png", "extension": ".png", "related_id": "r",
}  # fmt: skip


def pool_of(parent: VariablePool | None = None, *, writes_through: bool = False, **nodes: dict[str, Any]):
    """Return a pool with values by node id and name."""
    pool = VariablePool(parent, writes_through=writes_through)
    for node_id, values in nodes.items():
        pool.put(node_id, values)
    return pool


@pytest.mark.parametrize(
    ("selector", "value"),
    [
        (["n", "text"], "tea"), (["n", "null"], None), (["n", "deep"], {"a": {"b": [1]}}),
        (["n", "deep", "a"], {"b": [1]}), (["n", "deep", "a", "b"], [1]), (["n", "deep", "a", "b", "0"], MISSING),
        (["n", "deep", "x"], MISSING), (["n", "text", "x"], MISSING), (["n", "null", "x"], MISSING),
        (["n", "gone"], MISSING), (["m", "text"], MISSING), (["n"], MISSING), ([], MISSING), (["n", "file"], FILE),
        (["n", "file", "name"], "a.png"), (["n", "file", "name", "ignored"], "a.png"),
        (["n", "file", "colour"], MISSING), (["n", "files", "0"], MISSING),
    ],
)  # fmt: skip
def test_selector_gives_the_value_or_nothing(selector: list[str], value: Any) -> None:
    """The first two parts name a value; further ones go into objects and files, never into lists or text."""
    pool = pool_of(n={"text": "tea", "null": None, "deep": {"a": {"b": [1]}}, "file": FILE, "files": [FILE]})
    found = pool.get(selector)
    assert found is MISSING if value is MISSING else found == value


def test_put_keeps_other_values_and_a_copy_of_its_own() -> None:
    """A second put replaces values of the same name only; the mapping that was put stays the caller's."""
    given = {"a": 1, "b": 1}
    pool = pool_of(n=given)
    pool.put("n", {"b": 2, "c": 2})
    assert pool.names("n") == {"a": 1, "b": 2, "c": 2}
    assert given == {"a": 1, "b": 1}


def test_child_reads_through_and_keeps_what_is_put() -> None:
    """Reads fall through all layers, the nearest one wins; a put stays in the child."""
    top = pool_of(n={"a": "top", "b": "top"}, m={"x": 1})
    middle = pool_of(top, n={"b": "middle"})
    child = pool_of(middle, n={"c": "child"}, k={"y": 2})
    assert [child.get(["n", name]) for name in "abc"] == ["top", "middle", "child"]
    assert child.get(["n", "d"]) is MISSING
    assert child.names("n") == {"a": "top", "b": "middle", "c": "child"}
    assert child.names("gone") == {}
    assert (dict(child.own("n")), dict(child.own("m"))) == ({"c": "child"}, {})
    assert child.node_ids() == ["n", "m", "k"]
    assert top.get(["n", "c"]) is MISSING
    assert child.holds(["n", "c"]) and not child.holds(["n", "a"]) and not child.holds(["m", "x"])


def test_update_stays_in_a_layer_that_does_not_write_through() -> None:
    """An item of an iteration has a value of its own from then on."""
    top = pool_of(conversation={"v": "old"})
    child = VariablePool(top)
    child.update(["conversation", "v"], "new")
    assert (child.get(["conversation", "v"]), top.get(["conversation", "v"])) == ("new", "old")


def test_update_reaches_the_layer_that_holds_the_variable() -> None:
    """A round of a loop writes through, over several layers, but not past a value of its own."""
    top = pool_of(conversation={"v": "old"})
    middle = pool_of(top, writes_through=True)
    child = pool_of(middle, writes_through=True)
    child.update(["conversation", "v"], "new")
    assert top.get(["conversation", "v"]) == "new"
    assert not child.holds(["conversation", "v"]) and not middle.holds(["conversation", "v"])
    child.put("conversation", {"v": "own"})
    child.update(["conversation", "v"], "later")
    assert (child.get(["conversation", "v"]), top.get(["conversation", "v"])) == ("later", "new")


def test_update_writes_a_null_through() -> None:
    """A present null is a value: its update reaches the layer that has it."""
    top = pool_of(conversation={"v": None})
    child = pool_of(top, writes_through=True)
    child.update(["conversation", "v"], "new")
    assert top.get(["conversation", "v"]) == "new"


def test_update_of_a_new_variable_stays_in_its_layer() -> None:
    """What no layer holds begins where it is written."""
    top = pool_of(conversation={"v": "old"})
    child = pool_of(top, writes_through=True)
    child.update(["conversation", "w"], "new")
    assert child.get(["conversation", "w"]) == "new"
    assert top.get(["conversation", "w"]) is MISSING


def test_update_stops_at_the_layer_that_keeps_its_own() -> None:
    """A loop inside an iteration writes into its item, not out of it."""
    top = pool_of(conversation={"v": "old"})
    item = pool_of(top)
    child = pool_of(item, writes_through=True)
    child.update(["conversation", "v"], "new")
    assert (item.get(["conversation", "v"]), top.get(["conversation", "v"])) == ("new", "old")


def test_dump_and_load_carry_one_layer() -> None:
    """A snapshot holds the values of the layer alone."""
    top = pool_of(m={"x": 1})
    child = pool_of(top, n={"a": 1})
    assert child.dump() == {"n": {"a": 1}}
    restored = VariablePool(top)
    restored.load(child.dump())
    assert restored.get(["n", "a"]) == 1 and restored.get(["m", "x"]) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("type", "image"), ("size", 5), ("name", "a.png"), ("mime_type", "image/png"),
        ("transfer_method", "remote_url"), ("url", "https://sample.invalid/a.png"), ("extension", ".png"),
        ("related_id", "r"), ("filename", MISSING), (FILE_MARK, MISSING),
    ],
)  # fmt: skip
def test_file_has_the_attributes_of_the_language(name: str, value: Any) -> None:
    """Attributes have the names of the workflow language; others do not exist."""
    assert file_attribute(FILE, name) == value


def test_absent_attribute_of_a_file_is_null() -> None:
    """A known attribute that the file does not have is null, not missing."""
    assert file_attribute({FILE_MARK: FILE_MARK_VALUE}, "url") is None


@pytest.mark.parametrize("value", [{}, {FILE_MARK: "other"}, {"type": "image"}, [FILE], "file", None])
def test_only_the_mark_makes_a_file(value: Any) -> None:
    """A mapping is a file by its mark alone."""
    assert is_file(FILE) and not is_file(value)


def test_missing_is_false_and_says_what_it_is() -> None:
    """Nothing found is false in conditions and readable in messages."""
    assert not MISSING
    assert repr(MISSING) == "MISSING"


def test_secret_is_a_text_that_hides_itself() -> None:
    """A secret works like its text; its repr does not show it."""
    secret = SecretText("hunter2")
    assert secret == "hunter2" and f"{secret}" == "hunter2"
    assert repr(secret) == "SecretText(***)"

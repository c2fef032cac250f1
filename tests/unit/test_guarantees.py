"""docs/guarantees.md names tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", (ROOT / "docs/guarantees.md").read_text("utf-8"))))


def test_guarantees_are_tested() -> None:
    """The page names its tests."""
    assert len(NAMED) > 15


@pytest.mark.parametrize(("path", "name"), NAMED, ids=lambda part: part)
def test_named_test_exists(path: str, name: str) -> None:
    """A test that a guarantee points to is there under that name."""
    assert re.search(rf"^(?:async )?def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE)

"""docs/guarantees.md and docs/security.md name tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = {"guarantees": 15, "security": 100}
"""Page -> the least number of tests that it names."""
NAMED = {
    page: sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", (ROOT / f"docs/{page}.md").read_text("utf-8"))))
    for page in PAGES
}


@pytest.mark.parametrize("page", PAGES)
def test_page_names_its_tests(page: str) -> None:
    """What is promised is pinned by tests, and their names are spelled so that they are found."""
    assert len(NAMED[page]) > PAGES[page]


@pytest.mark.parametrize(
    "threat", re.findall(r"^\| (.+)$", (ROOT / "docs/security.md").read_text("utf-8"), re.MULTILINE)
)
def test_every_defence_is_shown(threat: str) -> None:
    """Each row of the threat model names a test."""
    assert "`tests/" in threat or threat.startswith("threat |")


@pytest.mark.parametrize(("path", "name"), sorted({each for named in NAMED.values() for each in named}))
def test_named_test_exists(path: str, name: str) -> None:
    """A test that a page points to is there under that name."""
    assert re.search(rf"^(?:async )?def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE)

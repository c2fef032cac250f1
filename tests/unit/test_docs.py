"""The docs list what exists: every setting, every error code, and links that lead somewhere."""

import re
from pathlib import Path

import pytest

from actors.settings import Settings
from graph.errors import GreenroomError
from project_classes import ERRORS

ROOT = Path(__file__).resolve().parents[2]
OF_SCRIPTS = {"GREENROOM_PYTHON", "GREENROOM_FIXTURES"}
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/*.md"), *ROOT.glob("examples/*.md")],
    key=lambda page: page.relative_to(ROOT).as_posix(),
)


def first_cells(page: str) -> set[str]:
    """The code words in the first column of the tables of a page."""
    return set(re.findall(r"^\| `([^`]+)`", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE))


def test_docs_list_every_setting() -> None:
    """docs/settings.md lists exactly the settings that are read."""
    read = {f"GREENROOM_{name.upper()}" for name in Settings.model_fields}
    assert first_cells("docs/settings.md") == read | OF_SCRIPTS


def test_docs_list_every_error_code() -> None:
    """docs/errors.md lists every code that an error of ours can carry."""
    codes = {error.code for error in ERRORS if error is not GreenroomError}
    assert codes - first_cells("docs/errors.md") == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file that exists."""
    links = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if not (page.parent / link).exists()]

"""Where the workflow files of other people lie; they are read in place and never copied into the project."""

import os
from pathlib import Path

import pytest

_PROJECT = Path(__file__).resolve().parent.parent


def fixtures_path() -> Path | None:
    """Return the folder, or None where the default one is absent.

    Raises:
        FileNotFoundError: GREENROOM_FIXTURES names a folder that is missing.
    """
    named = os.environ.get("GREENROOM_FIXTURES")
    folder = (_PROJECT / (named or "../shared/fixtures")).resolve()
    if folder.is_dir():
        return folder
    if named:
        raise FileNotFoundError(f"GREENROOM_FIXTURES names {named!r}, which is no folder")
    return None


def workflow_files(group: str) -> list[object]:
    """Return one pytest parameter per file of ``group`` (dify or community); a skipped one where they are absent."""
    folder = fixtures_path()
    if folder is None:
        reason = "the workflow files are absent; set GREENROOM_FIXTURES to their folder"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason), id=group)]
    return [pytest.param(path, id=path.stem) for path in sorted((folder / group).glob("*.yml"))]

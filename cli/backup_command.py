"""``greenroom backup FOLDER``: copies database, files and secrets while Greenroom serves."""

import os
import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy import make_url

from actors.settings import Settings
from cli.errors import BackupFolderError
from cli.installation import read_settings
from store.database import sqlite_path
from store.sqlite_copy import copy_sqlite


def backup(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new or empty folder.")],
    without_secrets: Annotated[bool, typer.Option("--without-secrets", help="Leave the secrets file out.")] = False,
) -> None:
    """Copy what a Greenroom needs to go on elsewhere into FOLDER; what lies on other machines is named instead."""
    settings = read_settings()
    console = Console(soft_wrap=True, highlight=False)
    for line in back_up(settings, folder, has_secrets=not without_secrets):
        console.print(line, markup=False)


def back_up(settings: Settings, folder: Path, *, has_secrets: bool) -> list[str]:
    """Copy the parts that lie on this machine; return what was done and what is left to do, a line each.

    The database goes first: what it refers to is in the files by then, and stays there.

    Raises:
        BackupFolderError: the folder has something in it, or cannot be written.
        DatabaseCopyError: the database cannot be copied.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise BackupFolderError(str(folder), "it is not empty")
        lines = [_database(settings, folder), _files(settings, folder)]
        if has_secrets:
            lines.append(_secrets(settings, folder))
    except OSError as error:
        raise BackupFolderError(str(folder), error.strerror or str(error)) from None
    return lines


def _database(settings: Settings, folder: Path) -> str:
    source = sqlite_path(make_url(settings.database_url))
    if source is None:
        return "not copied: the PostgreSQL database; run pg_dump now, before anything else (docs/backup.md)"
    copy_sqlite(source, folder / "greenroom.db")
    return f"copied: the database {source}"


def _files(settings: Settings, folder: Path) -> str:
    if settings.files_url:
        return "not copied: the object store of GREENROOM_FILES_URL; copy or version it there"
    if settings.files_dir.exists():
        shutil.copytree(settings.files_dir, folder / "files", copy_function=_copy_if_there)
    return f"copied: the files in {settings.files_dir}"


def _copy_if_there(source: str, target: str) -> str:
    """Copy a file, unless a sweep has taken it away meanwhile: then nothing in the database refers to it."""
    try:
        return shutil.copy2(source, target)
    except FileNotFoundError:
        return target


def _secrets(settings: Settings, folder: Path) -> str:
    assert settings.secrets_file is not None
    if not settings.secrets_file.exists():
        return f"not copied: there is no secrets file {settings.secrets_file} yet"
    descriptor = os.open(folder / "secrets.json", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with open(descriptor, "wb") as file:
        file.write(settings.secrets_file.read_bytes())
    return "copied: the secrets file; whoever has it and the database can answer every form"

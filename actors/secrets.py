"""The secrets of an installation: one JSON file that only its owner may read, made on first start.

Only the HITL actor and the HTTP replicas read it; run actors never do. With more than one node it is a secret
mount with the same content everywhere: the key id in the database makes a process with another key refuse to start.
"""

import json
import os
import secrets as entropy
import stat
import tempfile
from pathlib import Path
from typing import NoReturn

from actors.errors import SecretsFileError
from hitl.form_token import MIN_KEY_BYTES, TokenKey

_FORBIDDEN_MODE = stat.S_IRWXG | stat.S_IRWXO


class Secrets:
    """What the secrets file holds. Shows nothing in ``repr`` and cannot be pickled."""

    __slots__ = ("token_key",)

    def __init__(self, token_key: TokenKey) -> None:
        self.token_key = token_key
        """Form tokens are derived from it."""

    def __repr__(self) -> str:
        return "Secrets(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("secrets do not leave their process")


def load_secrets(path: Path) -> Secrets:
    """Return the secrets in the file ``path``; the file is made, with new ones, if it does not exist.

    May be called by many processes at once: one file wins, and all return what it holds.

    Raises:
        SecretsFileError: others than the owner may read the file, or its content is not what it should be.
    """
    try:
        content = _read(path)
    except FileNotFoundError:
        _make(path)
        content = _read(path)
    try:
        return Secrets(TokenKey(bytes.fromhex(json.loads(content)["token_key"])))
    except (ValueError, KeyError, TypeError):
        # Not chained: the cause's text could quote the content.
        raise SecretsFileError(str(path), "it is not JSON with a hexadecimal token_key") from None


def _read(path: Path) -> str:
    with open(path, encoding="utf-8") as file:
        mode = os.fstat(file.fileno()).st_mode
        if mode & _FORBIDDEN_MODE:
            raise SecretsFileError(str(path), f"its mode is {stat.S_IMODE(mode):o}; run `chmod 600` on it")
        return file.read()


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp makes it 0600; the link makes the finished file appear at once, and fails if another process was faster.
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".secrets-")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump({"token_key": entropy.token_hex(MIN_KEY_BYTES)}, file)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
    finally:
        os.unlink(draft)

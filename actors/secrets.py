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
from hitl.receipt_key import RECEIPT_KEY_BYTES, ReceiptKey

_FORBIDDEN_MODE = stat.S_IRWXG | stat.S_IRWXO


class Secrets:
    """What the secrets file holds. Shows nothing in ``repr`` and cannot be pickled."""

    __slots__ = ("receipt_key", "token_key")

    def __init__(self, token_key: TokenKey, receipt_key: ReceiptKey) -> None:
        self.token_key = token_key
        """Form tokens are derived from it."""
        self.receipt_key = receipt_key
        """Receipts are signed with it."""

    def __repr__(self) -> str:
        return "Secrets(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("secrets do not leave their process")


def load_secrets(path: Path) -> Secrets:
    """Return the secrets in the file ``path``; the file is made, with new ones, if it does not exist.

    May be called by many processes at once: one file wins, and all return what it holds. A file without a receipt
    key stays as it is, as it may be a read-only copy on each machine: that key is then derived from the token key.

    Raises:
        SecretsFileError: others than the owner may read the file, or its content is not what it should be.
    """
    try:
        content = _read(path)
    except FileNotFoundError:
        _make(path)
        content = _read(path)
    try:
        held = json.loads(content)
        token_key, own = TokenKey(bytes.fromhex(held["token_key"])), held.get("receipt_key")
        receipt_key = ReceiptKey.derived_from(token_key) if own is None else ReceiptKey(bytes.fromhex(own))
    except (ValueError, KeyError, TypeError, AttributeError):
        # Not chained: the cause's text could quote the content.
        fault = "it is not JSON with a hexadecimal token_key, and a receipt_key of 64 hexadecimal digits or none"
        raise SecretsFileError(str(path), fault) from None
    return Secrets(token_key, receipt_key)


def existing_secrets(path: Path) -> Secrets:
    """Return the secrets in the file ``path``, which must exist: new ones would not be those of the installation.

    Raises:
        SecretsFileError: there is no such file, or as ``load_secrets``.
    """
    if not path.exists():
        raise SecretsFileError(str(path), "it does not exist; it is made when Greenroom starts for the first time")
    return load_secrets(path)


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
            made = {"token_key": MIN_KEY_BYTES, "receipt_key": RECEIPT_KEY_BYTES}
            json.dump({name: entropy.token_hex(size_bytes) for name, size_bytes in made.items()}, file)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
    finally:
        os.unlink(draft)

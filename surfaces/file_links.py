"""Links to stored files: signed, short-lived, made when a reader is told of a file.

A file value holds the address without a signature, or with one that is old; what goes out gets a fresh one. The key
belongs to one app, so what a workflow makes up about files of another app opens nothing.

Source: spec/http.md 1.8; the key is our own.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode

from graph.file_value import file_address
from graph.ports import Clock
from hitl.form_token import TokenKey

_VERSION: Final = b"greenroom file link 1 "
_MARK: Final = "/file-preview"
_NONCE_BYTES: Final = 16


class FileLinks:
    """Signs and checks the links of an installation."""

    def __init__(self, key: TokenKey, public_url: str, clock: Clock, lifetime_s: float) -> None:
        """Prepare.

        Args:
            key: the installation's.
            public_url: how people reach it.
            clock: the time.
            lifetime_s: how long a link opens its file.
        """
        self._key = key
        self._base = public_url.rstrip("/")
        self._clock = clock
        self._lifetime_s = lifetime_s
        self._pattern = re.compile(
            re.escape(f"{self._base}/files/") + r"([0-9a-f-]{36})/file-preview(?:\?timestamp=[\w%=&.-]*)?"
        )

    def address(self, file_id: str) -> str:
        """Return where a file is, without a signature."""
        return file_address(self._base, file_id)

    def link(self, app_id: str, file_id: str) -> str:
        """Return the address of a file of ``app_id``, signed now."""
        timestamp, nonce = str(int(self._clock.now())), secrets.token_hex(_NONCE_BYTES)
        query = {"timestamp": timestamp, "nonce": nonce, "sign": self._sign(app_id, file_id, timestamp, nonce)}
        return f"{self.address(file_id)}?{urlencode(query)}"

    def is_valid(self, app_id: str, file_id: str, timestamp: str, nonce: str, sign: str) -> bool:
        """Whether a link to a file of ``app_id`` is one of ours and not too old."""
        expected = self._sign(app_id, file_id, timestamp, nonce)
        if not hmac.compare_digest(sign.encode(), expected.encode()) or not timestamp.isdecimal():
            return False
        return int(timestamp) <= self._clock.now() + 1 and self._clock.now() - int(timestamp) <= self._lifetime_s

    def _sign(self, app_id: str, file_id: str, timestamp: str, nonce: str) -> str:
        key = self._key.sign(_VERSION + app_id.encode())
        message = f"file-preview|{file_id}|{timestamp}|{nonce}".encode()
        return base64.urlsafe_b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()

    def refreshed(self, value: Any, app_id: str) -> Any:
        """Return a JSON value in which each link to a file is signed now; the value itself stays as it is."""
        return self._replaced(value, lambda file_id: self.link(app_id, file_id))

    def unsigned(self, value: Any) -> Any:
        """Return a JSON value without the signatures of its links, to compare it."""
        return self._replaced(value, self.address)

    def _replaced(self, value: Any, address: Callable[[str], str]) -> Any:
        if isinstance(value, str):
            return self._pattern.sub(lambda found: address(found.group(1)), value) if _MARK in value else value
        if isinstance(value, dict):
            return {name: self._replaced(inner, address) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._replaced(inner, address) for inner in value]
        return value

    def refreshed_frame(self, event: dict[str, Any], app_id: str, write: Callable[[dict[str, Any]], bytes]) -> bytes:
        """Return ``event`` as ``write`` puts it, its links signed now. An event without any costs one look at it."""
        frame = write(event)
        return write(self.refreshed(event, app_id)) if _MARK.encode() in frame else frame

"""What the store of sites gives: the web address of an app."""

import secrets
import string
from dataclasses import dataclass
from typing import Final

_LETTERS: Final = string.ascii_letters + string.digits
_CODE_LENGTH: Final = 16


@dataclass(frozen=True, slots=True)
class Site:
    """Where people reach an app without an account. ``code``: public, unique; ``is_open``: whether it is served."""

    app_id: str
    code: str
    is_open: bool
    created_at: float


def new_code() -> str:
    """Return a new site code: 16 random letters and digits."""
    return "".join(secrets.choice(_LETTERS) for _ in range(_CODE_LENGTH))

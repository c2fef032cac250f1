"""What the store of MCP servers gives: through which address agents may call an app."""

import hashlib
import secrets
import string
from dataclasses import dataclass, field
from typing import Final

_LETTERS: Final = string.ascii_letters + string.digits
_CODE_LENGTH: Final = 32


@dataclass(frozen=True, slots=True)
class McpServer:
    """An app as a tool for agents. Whoever has its code may call it; the store has the code's SHA-256 only.

    ``description``: what agents are told that it is for; ``parameters``: start input -> what they are told of it.
    ``is_active``: whether calls are taken.
    """

    server_id: str
    app_id: str
    description: str
    parameters: dict[str, str] = field(default_factory=dict)
    is_active: bool = True
    created_at: float = 0.0
    updated_at: float = 0.0


def new_server_code() -> str:
    """Return a new code: 32 random letters and digits."""
    return "".join(secrets.choice(_LETTERS) for _ in range(_CODE_LENGTH))


def hash_server_code(code: str) -> bytes:
    """Return the 32 bytes under which a code is looked up; any text has one."""
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()

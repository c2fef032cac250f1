"""What a source of tools is, and what all sources need."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from effects.tools.catalog import SecretRef
from effects.tools.errors import ToolSourceError
from graph.ports import ToolMessage


@dataclass(frozen=True, slots=True)
class Request:
    """One call of a tool at its source. ``depth``: how many workflows are around it."""

    provider: str
    tool: str
    parameters: Mapping[str, Any]
    idempotency_key: str = ""
    depth: int = 0


class ToolSource(Protocol):
    """Calls the tools of one source."""

    def call(self, request: Request) -> AsyncIterator[ToolMessage]:
        """Yield what the tool gives.

        Raises:
            NodeError: there is no such tool, its parameters do not fit, or it failed.
        """
        ...


Environment = Callable[[str], str | None]
"""Environment variable -> its value, or None."""


def secret_of(source: str, secret: SecretRef, environment: Environment) -> str:
    """Return a secret with its prefix. Hand it to the call only; never show it.

    Raises:
        ToolSourceError: this process does not have it.
    """
    value = environment(secret.env)
    if not value:
        raise ToolSourceError(source, f"set the environment variable {secret.env} where Greenroom starts")
    return f"{secret.prefix}{value}"

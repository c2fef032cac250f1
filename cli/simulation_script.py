"""What a simulation's script says: how scripted nodes and people behave.

Script (YAML or JSON): ``nodes``: node id -> behaviour, ``default``: auto | fail (what nodes with effects do that the
script does not name). A behaviour is a mapping; its keys combine:

  outputs: {name: value}        the node succeeds with these
  chunks: [text, …]             the node streams these as its ``text``
  error: text, error_type: name the node fails
  delay_s: seconds              before anything else
  calls: [behaviour, …]         one for each call; the last one stays
  action: id, inputs: {…}       a person answers the form so
  timeout: true                 the form's deadline passes
  pause: true                   nobody answers: the simulation ends paused
"""

from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from graph.errors import RefusedError


class InvalidScriptError(RefusedError):
    """A simulation script does not have the expected shape; its author fixes the named place."""

    code = "invalid_script"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return f"the script: {self.message}"


class Behaviour(BaseModel):
    """How one call of one node goes; every key is optional."""

    model_config = ConfigDict(extra="forbid")

    outputs: dict[str, Any] | None = None
    chunks: list[str] | None = None
    error: str | None = None
    error_type: str = "ScriptedError"
    delay_s: float = Field(0.0, ge=0)
    calls: list["Behaviour"] = Field(default_factory=list)
    action: str | None = None
    inputs: dict[str, Any] | None = None
    timeout: bool = False
    pause: bool = False

    def call(self, number: int) -> "Behaviour":
        """Return the behaviour of call ``number``, counted from 0."""
        return self.calls[min(number, len(self.calls) - 1)] if self.calls else self


class Script(BaseModel):
    """A whole script."""

    model_config = ConfigDict(extra="forbid")

    nodes: dict[str, Behaviour] = Field(default_factory=dict)
    default: Literal["auto", "fail"] = "auto"

    @classmethod
    def read(cls, path: Path | None) -> Self:
        """Return the script in ``path``; without a path the empty one.

        Raises:
            InvalidScriptError: the file cannot be read, is no YAML, or has an unknown key or a wrong value.
        """
        if path is None:
            return cls()
        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
        except OSError as error:
            raise InvalidScriptError(f"{path.name} cannot be read: {error.strerror}") from None
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or path.name
            raise InvalidScriptError(f"{place}: {first['msg']}") from None
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            # The last two: no UTF-8, numbers of thousands of digits, endless nesting.
            raise InvalidScriptError(f"{path.name} is neither YAML nor JSON: {error}") from None

"""Bodies and queries of the endpoints of conversations.

Source: spec/http.md 3.10.
"""

from typing import Any, Literal
from uuid import UUID

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from surfaces.errors import InvalidParamError
from surfaces.schemas import WorkflowRunPayload

NAME_LENGTH = 255
"""Characters of the name of a conversation."""


class ChatRequestPayload(WorkflowRunPayload):
    """A message.

    ``conversation_id`` empty or null: a new conversation; ``workflow_id``: another version than the published one.
    """

    query: str
    inputs: dict[str, Any] = Field(default_factory=dict)
    conversation_id: str | None = None
    auto_generate_name: bool = True
    workflow_id: str | None = None

    @field_validator("query")
    @classmethod
    def _says_something(cls, value: str) -> str:
        if not value.replace("\0", "").strip():
            raise ValueError("query is required")
        return value.replace("\0", "")

    @field_validator("conversation_id", mode="before")
    @classmethod
    def _is_an_id(cls, value: Any) -> str | None:
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        try:
            return str(UUID(str(value)))
        except ValueError:
            raise ValueError("conversation_id must be a valid UUID") from None


class ConversationRenamePayload(BaseModel):
    """A name for a conversation, or the wish for one made from its first question."""

    model_config = ConfigDict(extra="ignore")

    name: str | None = Field(None, max_length=NAME_LENGTH)
    auto_generate: bool = False

    @model_validator(mode="after")
    def _has_a_name(self) -> "ConversationRenamePayload":
        if not self.auto_generate and not (self.name or "").strip():
            raise ValueError("name is required when auto_generate is false")
        return self


class ConversationVariableUpdatePayload(BaseModel):
    """A new value of a conversation variable; null is none of its types."""

    model_config = ConfigDict(extra="ignore")

    value: Any


class MessageFeedbackPayload(BaseModel):
    """What a person thinks of an answer; null takes it back."""

    model_config = ConfigDict(extra="ignore")

    rating: Literal["like", "dislike"] | None = None
    content: str | None = None


def whole_number(request: Request, name: str, default: int, highest: int) -> int:
    """Return the query parameter ``name`` as a number from 1 to ``highest``.

    Raises:
        InvalidParamError: it is none.
    """
    text = request.query_params.get(name)
    if text is None or not text.strip():
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= highest:
        raise InvalidParamError(f"{name} must be a whole number from 1 to {highest}")
    return int(text)

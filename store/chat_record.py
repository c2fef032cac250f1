"""What the store knows about conversations: their messages, their variables, and how a run's facts change them.

A message is one run of a chatflow: what the person asked and what the run answered; it has the id of the run. Times are
Unix seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from graph.events import (
    Fact,
    NodeFinished,
    RunFinished,
    RunPaused,
    RunRecovered,
    RunResumed,
    TextEmitted,
    VariableUpdated,
)

MessageStatus = Literal["normal", "paused", "error"]
Rating = Literal["like", "dislike"]

CONVERSATION: Final = "conversation"
"""First step of the selector of a conversation variable."""


@dataclass(frozen=True, slots=True)
class ConversationOwner:
    """Whose a conversation is: an end user's or an account's (``role``), with an app."""

    app_id: str
    role: str
    owner_id: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """The messages of one person with one app.

    ``inputs``: the start inputs of its first message; ``introduction``: what the app said before anybody asked.
    """

    conversation_id: str
    owner: ConversationOwner
    name: str
    inputs: dict[str, Any]
    introduction: str
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class ConversationVariable:
    """A value that a conversation keeps from message to message. ``variable_id``: its id in the workflow file."""

    variable_id: str
    name: str
    value_type: str
    value: Any = field(repr=False)
    description: str
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class Message:
    """What a person asked, and what the run ``message_id`` has answered so far.

    ``inputs``: checked start inputs; ``files``: file values that came with the question; ``resources``: the passages
    that models were given, as their nodes tell them. ``status``: paused while the run waits for people, error once it
    has failed with the text ``error``.
    """

    message_id: str
    conversation_id: str
    query: str
    inputs: dict[str, Any]
    files: list[dict[str, Any]]
    created_at: float
    answer: str = ""
    status: MessageStatus = "normal"
    error: str | None = None
    resources: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person thinks of an answer."""

    message_id: str
    conversation_id: str
    app_id: str
    end_user_id: str
    rating: Rating
    content: str
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message that begins with its run, in the same transaction.

    ``is_first``: the conversation begins with it; else, if the conversation was deleted meanwhile, nothing is stored.
    ``variables``: those that the conversation does not have yet.
    """

    conversation: Conversation
    message: Message
    variables: tuple[ConversationVariable, ...] = ()
    is_first: bool = True


@dataclass(slots=True)
class MessageChange:
    """How facts change a message and the variables of its conversation.

    ``text``: what the answer grows by. ``fields``: field of Message -> new value. ``variables``: name -> (type, value).
    ``at``: when the last of the facts happened.
    """

    at: float
    text: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, tuple[str, Any]] = field(default_factory=dict)
    resources: list[dict[str, Any]] = field(default_factory=list)


def message_change(facts: Sequence[Fact]) -> MessageChange:
    """Return how ``facts`` change the message of their run."""
    change = MessageChange(facts[-1].at if facts else 0.0)
    texts: list[str] = []
    for fact in facts:
        match fact:
            case TextEmitted():
                texts += fact.texts
            case VariableUpdated() if fact.selector[0] == CONVERSATION:
                change.variables[fact.selector[1]] = (fact.value_type, fact.value)
            case NodeFinished() if fact.metadata:
                change.resources += fact.metadata.get("retriever_resources") or []
            case RunPaused():
                change.fields["status"] = "paused"
            case RunResumed() | RunRecovered():
                change.fields["status"] = "normal"
            case RunFinished():
                is_failed = fact.status == "failed"
                change.fields |= {
                    "status": "error" if is_failed else "normal",
                    "error": fact.error if is_failed else None,
                }
            case _:
                pass
    change.text = "".join(texts)
    return change

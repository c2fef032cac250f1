"""The memory twin of the store of conversations: the rules of ``store.chats.ChatStore`` over dictionaries."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from store.chat_record import (
    Conversation,
    ConversationOwner,
    ConversationVariable,
    Feedback,
    Message,
    MessageChange,
    NewMessage,
)
from store.chats import SortBy
from store.memory_store import MemoryStore


def begin_message(store: MemoryStore, new: NewMessage) -> None:
    """Store a message that begins with its run, unless its conversation was deleted."""
    talk, message = new.conversation, new.message
    if new.is_first:
        store.conversations.setdefault(talk.conversation_id, talk)
    held = store.conversations.get(talk.conversation_id)
    if held is None:
        return
    store.conversations[talk.conversation_id] = replace(held, updated_at=talk.updated_at)
    store.messages.setdefault(message.message_id, message)
    variables = store.variables.setdefault(talk.conversation_id, {})
    for variable in new.variables:
        variables.setdefault(variable.name, variable)


def change_message(store: MemoryStore, run_id: str, change: MessageChange) -> None:
    """Change the message of a run and the variables of its conversation."""
    message = store.messages.get(run_id)
    if message is None:
        return
    grown = {"answer": message.answer + change.text, "resources": [*message.resources, *change.resources]}
    store.messages[run_id] = replace(message, **grown, **change.fields)
    variables = store.variables.get(message.conversation_id, {})
    for name, (value_type, value) in change.variables.items():
        if name in variables:
            changes = {"value_type": value_type, "value": value, "updated_at": change.at}
            variables[name] = replace(variables[name], **changes)


class MemoryChats:
    """Implements ChatStore in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def conversation(self, conversation_id: str) -> Conversation | None:
        """Return a conversation; see ChatStore."""
        return self._store.conversations.get(conversation_id)

    async def conversations(
        self, owner: ConversationOwner, sort_by: SortBy, after: Conversation | None, limit: int
    ) -> list[Conversation]:
        """Return a page of conversations; see ChatStore."""
        name, is_falling = sort_by.removeprefix("-"), sort_by.startswith("-")

        def place(each: Conversation) -> tuple[float, str]:
            return getattr(each, name), each.conversation_id

        held = [each for each in self._store.conversations.values() if each.owner == owner]
        if after is not None:
            held = [each for each in held if (place(each) < place(after)) == is_falling and place(each) != place(after)]
        return sorted(held, key=place, reverse=is_falling)[:limit]

    async def rename(self, conversation_id: str, name: str, now: float) -> Conversation | None:
        """Name a conversation; see ChatStore."""
        held = self._store.conversations.get(conversation_id)
        if held is not None:
            held = self._store.conversations[conversation_id] = replace(held, name=name, updated_at=now)
        return held

    async def delete(self, conversation_id: str) -> None:
        """Delete a conversation; see ChatStore."""
        store = self._store
        store.conversations.pop(conversation_id, None)
        store.variables.pop(conversation_id, None)
        for rows in (store.messages, store.feedbacks):
            for key in [key for key, row in rows.items() if row.conversation_id == conversation_id]:
                del rows[key]

    async def message(self, message_id: str) -> Message | None:
        """Return a message; see ChatStore."""
        return self._store.messages.get(message_id)

    async def messages(self, conversation_id: str, before: Message | None, limit: int) -> list[Message]:
        """Return a page of messages; see ChatStore."""

        def place(each: Message) -> tuple[float, str]:
            return each.created_at, each.message_id

        held = [each for each in self._store.messages.values() if each.conversation_id == conversation_id]
        if before is not None:
            held = [each for each in held if place(each) < place(before)]
        return sorted(held, key=place, reverse=True)[:limit]

    async def first_message(self, conversation_id: str) -> Message | None:
        """Return the oldest message of a conversation; see ChatStore."""
        return next(iter(reversed(await self.messages(conversation_id, None, len(self._store.messages)))), None)

    async def message_count(self, conversation_id: str) -> int:
        """Return how many messages a conversation has; see ChatStore."""
        return sum(each.conversation_id == conversation_id for each in self._store.messages.values())

    async def variables(self, conversation_id: str) -> list[ConversationVariable]:
        """Return the variables of a conversation; see ChatStore."""
        return sorted(self._store.variables.get(conversation_id, {}).values(), key=lambda each: each.name)

    async def set_variable(self, conversation_id: str, name: str, value: Any, now: float) -> None:
        """Give a variable another value; see ChatStore."""
        variables = self._store.variables.get(conversation_id, {})
        if name in variables:
            variables[name] = replace(variables[name], value=value, updated_at=now)

    async def rate(self, feedback: Feedback) -> None:
        """Keep what a person thinks of an answer; see ChatStore."""
        held = self._store.feedbacks.get(feedback.message_id)
        created_at = feedback.created_at if held is None else held.created_at
        self._store.feedbacks[feedback.message_id] = replace(feedback, created_at=created_at)

    async def unrate(self, message_id: str) -> bool:
        """Take the feedback on a message back; see ChatStore."""
        return self._store.feedbacks.pop(message_id, None) is not None

    async def feedbacks(self, message_ids: Sequence[str]) -> dict[str, Feedback]:
        """Return the feedback on messages; see ChatStore."""
        held = self._store.feedbacks
        return {message_id: held[message_id] for message_id in message_ids if message_id in held}

    async def feedbacks_of_app(self, app_id: str, offset: int, limit: int) -> list[Feedback]:
        """Return the feedback on an app's answers; see ChatStore."""
        held = [each for each in self._store.feedbacks.values() if each.app_id == app_id]
        held.sort(key=lambda each: each.message_id)
        return sorted(held, key=lambda each: each.created_at, reverse=True)[offset : offset + limit]

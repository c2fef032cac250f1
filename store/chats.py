"""The store of conversations: their messages and variables to read, and what their owners change of them.

Messages begin, and their answers and variables change, with the facts of their runs (``store.journal``). ``ChatStore``
says the rules; ``SqlChats`` keeps them in SQL, the memory twin is ``store.memory_chats``.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal, Protocol, get_args

import orjson
from sqlalchemy import Connection, and_, bindparam, delete, func, or_, select, update

from store.blobs import Blobs
from store.chat_record import (
    Conversation,
    ConversationOwner,
    ConversationVariable,
    Feedback,
    Message,
)
from store.chat_tables import conversation_variables, conversations, message_feedbacks, messages
from store.database import AnyRow, AnySelect, Database
from store.insert_once import insert_once
from store.packing import pack_value, unpack_value

SortBy = Literal["created_at", "-created_at", "updated_at", "-updated_at"]
SORTS: Final[tuple[SortBy, ...]] = get_args(SortBy)
"""How conversations can be sorted; with a minus the newest first."""


class ChatStore(Protocol):
    """Reads conversations, and changes what does not come from runs. Durable on return; may be repeated."""

    async def conversation(self, conversation_id: str) -> Conversation | None:
        """Return a conversation, or None."""
        ...

    async def conversations(
        self, owner: ConversationOwner, sort_by: SortBy, after: Conversation | None, limit: int
    ) -> list[Conversation]:
        """Return at most ``limit`` conversations of ``owner``, in order, those behind ``after`` if it is given."""
        ...

    async def rename(self, conversation_id: str, name: str, now: float) -> Conversation | None:
        """Name a conversation and return it, or None when there is none."""
        ...

    async def delete(self, conversation_id: str) -> None:
        """Delete a conversation with all that hangs on it; its runs and their journals stay."""
        ...

    async def message(self, message_id: str) -> Message | None:
        """Return a message, or None."""
        ...

    async def messages(self, conversation_id: str, before: Message | None, limit: int) -> list[Message]:
        """Return at most ``limit`` messages, the newest first, those older than ``before`` if it is given."""
        ...

    async def first_message(self, conversation_id: str) -> Message | None:
        """Return the oldest message of a conversation, or None."""
        ...

    async def message_count(self, conversation_id: str) -> int:
        """Return how many messages a conversation has."""
        ...

    async def variables(self, conversation_id: str) -> list[ConversationVariable]:
        """Return the variables of a conversation, by name."""
        ...

    async def set_variable(self, conversation_id: str, name: str, value: Any, now: float) -> None:
        """Give a variable another value; a run of the conversation that has begun does not see it."""
        ...

    async def rate(self, feedback: Feedback) -> None:
        """Keep what a person thinks of an answer, in the place of what they thought before."""
        ...

    async def unrate(self, message_id: str) -> bool:
        """Take the feedback on a message back; return whether there was one."""
        ...

    async def feedbacks(self, message_ids: Sequence[str]) -> dict[str, Feedback]:
        """Return message id -> its feedback, for those that have one."""
        ...

    async def feedbacks_of_app(self, app_id: str, offset: int, limit: int) -> list[Feedback]:
        """Return the feedback on the answers of an app, the newest first."""
        ...


_CONVERSATION = select(conversations).where(conversations.c.conversation_id == bindparam("key_conversation_id"))
_MESSAGE = select(messages).where(messages.c.message_id == bindparam("key_message_id"))
_NEWEST = (
    select(messages)
    .where(messages.c.conversation_id == bindparam("key_conversation_id"))
    .order_by(messages.c.created_at.desc(), messages.c.message_id.desc())
    .limit(bindparam("key_limit"))
)
_OLDER = _NEWEST.where(
    or_(
        messages.c.created_at < bindparam("key_created_at"),
        and_(messages.c.created_at == bindparam("key_created_at"), messages.c.message_id < bindparam("key_message_id")),
    )
)
_FIRST = (
    select(messages)
    .where(messages.c.conversation_id == bindparam("key_conversation_id"))
    .order_by(messages.c.created_at, messages.c.message_id)
    .limit(1)
)
_COUNT = select(func.count()).where(messages.c.conversation_id == bindparam("key_conversation_id"))
_VARIABLES = select(conversation_variables).where(
    conversation_variables.c.conversation_id == bindparam("key_conversation_id")
)
_SET_VARIABLE = (
    update(conversation_variables)
    .where(
        conversation_variables.c.conversation_id == bindparam("key_conversation_id"),
        conversation_variables.c.name == bindparam("key_name"),
    )
    .values(value=bindparam("new_value"), updated_at=bindparam("new_updated_at"))
)
_RENAME = (
    update(conversations)
    .where(conversations.c.conversation_id == bindparam("key_conversation_id"))
    .values(name=bindparam("new_name"), updated_at=bindparam("new_updated_at"))
)
_RATE_AGAIN = (
    update(message_feedbacks)
    .where(message_feedbacks.c.message_id == bindparam("key_message_id"))
    .values(rating=bindparam("new_rating"), content=bindparam("new_content"), updated_at=bindparam("new_updated_at"))
)
_UNRATE = delete(message_feedbacks).where(message_feedbacks.c.message_id == bindparam("key_message_id"))
_FEEDBACKS = select(message_feedbacks).where(
    message_feedbacks.c.message_id.in_(bindparam("key_message_ids", expanding=True))
)
_FEEDBACKS_OF_APP = (
    select(message_feedbacks)
    .where(message_feedbacks.c.app_id == bindparam("key_app_id"))
    .order_by(message_feedbacks.c.created_at.desc(), message_feedbacks.c.message_id)
    .offset(bindparam("key_offset"))
    .limit(bindparam("key_limit"))
)
# A run's append locks its conversation before its message and the variables.
_DELETES = [
    delete(table).where(table.c.conversation_id == bindparam("key_conversation_id"))
    for table in (conversations, messages, conversation_variables, message_feedbacks)
]


class SqlChats:
    """Implements ChatStore over a database; large values lie in ``blobs``."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs

    async def conversation(self, conversation_id: str) -> Conversation | None:
        """Return a conversation; see ChatStore."""
        found = await self._all(_CONVERSATION, {"key_conversation_id": conversation_id})
        return await self._conversation(found[0]) if found else None

    async def conversations(
        self, owner: ConversationOwner, sort_by: SortBy, after: Conversation | None, limit: int
    ) -> list[Conversation]:
        """Return a page of conversations; see ChatStore."""
        table = conversations.c
        by, number = table[sort_by.removeprefix("-")], table.conversation_id
        wanted = [
            table.app_id == owner.app_id,
            table.owner_role == owner.role,
            table.owner_id == owner.owner_id,
        ]
        is_falling = sort_by.startswith("-")
        if after is not None:
            last = after.created_at if by is table.created_at else after.updated_at
            is_behind = by < last if is_falling else by > last
            is_next = number < after.conversation_id if is_falling else number > after.conversation_id
            wanted.append(or_(is_behind, and_(by == last, is_next)))
        order = [each.desc() if is_falling else each.asc() for each in (by, number)]
        rows = await self._all(select(conversations).where(*wanted).order_by(*order).limit(limit), {})
        return [await self._conversation(row) for row in rows]

    async def rename(self, conversation_id: str, name: str, now: float) -> Conversation | None:
        """Name a conversation; see ChatStore."""
        values = {"key_conversation_id": conversation_id, "new_name": name, "new_updated_at": now}
        await self._database.write(lambda connection: connection.execute(_RENAME, values))
        return await self.conversation(conversation_id)

    async def delete(self, conversation_id: str) -> None:
        """Delete a conversation; see ChatStore."""

        def work(connection: Connection) -> None:
            for statement in _DELETES:
                connection.execute(statement, {"key_conversation_id": conversation_id})

        await self._database.write(work)

    async def message(self, message_id: str) -> Message | None:
        """Return a message; see ChatStore."""
        found = await self._all(_MESSAGE, {"key_message_id": message_id})
        return await self._message(found[0]) if found else None

    async def messages(self, conversation_id: str, before: Message | None, limit: int) -> list[Message]:
        """Return a page of messages; see ChatStore."""
        values: dict[str, Any] = {"key_conversation_id": conversation_id, "key_limit": limit}
        if before is not None:
            values |= {"key_created_at": before.created_at, "key_message_id": before.message_id}
        rows = await self._all(_NEWEST if before is None else _OLDER, values)
        return [await self._message(row) for row in rows]

    async def first_message(self, conversation_id: str) -> Message | None:
        """Return the oldest message of a conversation; see ChatStore."""
        found = await self._all(_FIRST, {"key_conversation_id": conversation_id})
        return await self._message(found[0]) if found else None

    async def message_count(self, conversation_id: str) -> int:
        """Return how many messages a conversation has; see ChatStore."""
        rows = await self._all(_COUNT, {"key_conversation_id": conversation_id})
        return rows[0][0]

    async def variables(self, conversation_id: str) -> list[ConversationVariable]:
        """Return the variables of a conversation; see ChatStore."""
        rows = await self._all(_VARIABLES, {"key_conversation_id": conversation_id})
        # Not by the database, which may sort by the rules of a language.
        return [await self._variable(row) for row in sorted(rows, key=lambda row: row.name)]

    async def set_variable(self, conversation_id: str, name: str, value: Any, now: float) -> None:
        """Give a variable another value; see ChatStore."""
        values = {
            "key_conversation_id": conversation_id,
            "key_name": name,
            "new_value": await pack_value(value, self._blobs),
            "new_updated_at": now,
        }
        await self._database.write(lambda connection: connection.execute(_SET_VARIABLE, values))

    async def rate(self, feedback: Feedback) -> None:
        """Keep what a person thinks of an answer; see ChatStore."""
        row = {name: getattr(feedback, name) for name in message_feedbacks.c.keys()}  # noqa: SIM118
        again = {
            "key_message_id": feedback.message_id,
            "new_rating": feedback.rating,
            "new_content": feedback.content,
            "new_updated_at": feedback.updated_at,
        }

        def work(connection: Connection) -> None:
            if not insert_once(connection, message_feedbacks, row):
                connection.execute(_RATE_AGAIN, again)

        await self._database.write(work)

    async def unrate(self, message_id: str) -> bool:
        """Take the feedback on a message back; see ChatStore."""
        key = {"key_message_id": message_id}
        return await self._database.write(lambda connection: connection.execute(_UNRATE, key).rowcount > 0)

    async def feedbacks(self, message_ids: Sequence[str]) -> dict[str, Feedback]:
        """Return the feedback on messages; see ChatStore."""
        rows = await self._all(_FEEDBACKS, {"key_message_ids": list(message_ids)}) if message_ids else []
        return {row.message_id: Feedback(**row._asdict()) for row in rows}

    async def feedbacks_of_app(self, app_id: str, offset: int, limit: int) -> list[Feedback]:
        """Return the feedback on an app's answers; see ChatStore."""
        values = {"key_app_id": app_id, "key_offset": offset, "key_limit": limit}
        return [Feedback(**row._asdict()) for row in await self._all(_FEEDBACKS_OF_APP, values)]

    async def _all(self, statement: AnySelect, values: dict[str, Any]) -> Sequence[AnyRow]:
        return await self._database.read(lambda connection: connection.execute(statement, values).all())

    async def _conversation(self, row: AnyRow) -> Conversation:
        owner = ConversationOwner(row.app_id, row.owner_role, row.owner_id)
        inputs = await unpack_value(row.inputs, self._blobs)
        return Conversation(
            row.conversation_id, owner, row.name, inputs, row.introduction, row.created_at, row.updated_at
        )

    async def _variable(self, row: AnyRow) -> ConversationVariable:
        values = {name: value for name, value in row._asdict().items() if name != "conversation_id"}
        return ConversationVariable(**{**values, "value": await unpack_value(row.value, self._blobs)})

    async def _message(self, row: AnyRow) -> Message:
        packed = {name: await unpack_value(getattr(row, name), self._blobs) for name in ("inputs", "files")}
        return Message(**{**row._asdict(), **packed, "resources": orjson.loads(row.resources)})

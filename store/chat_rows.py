"""Conversations as rows: what a run's append does to its message and to the variables of its conversation.

The caller holds the transaction and has passed the fence of the run, so each fact counts exactly once here. Of a
conversation that was deleted meanwhile nothing is left to change.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import orjson
from sqlalchemy import Connection, Table, Update, bindparam, select, update

from store.blobs import Blobs
from store.chat_record import ConversationVariable, MessageChange, NewMessage, message_change
from store.chat_tables import conversation_variables, conversations, messages
from store.insert_once import insert_once
from store.packing import pack_value
from store.run_record import JournalWrite
from store.tables import OutsideText

Row = dict[str, Any]

_OF_MESSAGE = (
    select(messages.c.conversation_id).where(messages.c.message_id == bindparam("key_message_id")).scalar_subquery()
)
_SET_VARIABLE = (
    update(conversation_variables)
    .where(
        conversation_variables.c.conversation_id == _OF_MESSAGE,
        conversation_variables.c.name == bindparam("key_name"),
    )
    .values(
        value_type=bindparam("new_value_type"), value=bindparam("new_value"), updated_at=bindparam("new_updated_at")
    )
)
_TOUCH = (
    update(conversations)
    .where(conversations.c.conversation_id == bindparam("key_conversation_id"))
    .values(updated_at=bindparam("new_updated_at"))
)
_RESOURCES = select(messages.c.resources).where(messages.c.message_id == bindparam("key_message_id"))


@dataclass(frozen=True, slots=True)
class PackedChat:
    """What a write does to a conversation, as rows.

    ``new``: table -> rows that the message begins with; ``change``: what the facts change; ``values``: name of a
    variable -> its packed value. ``is_first``: the conversation begins with the message.
    """

    change: MessageChange
    values: dict[str, bytes]
    new: list[tuple[Table, Row]] = field(default_factory=list)
    is_first: bool = False


async def pack_chat(write: JournalWrite, blobs: Blobs) -> PackedChat | None:
    """Return what ``write`` does to a conversation, None where its run is no message; large values are in ``blobs``."""
    if not write.is_message:
        return None
    change = message_change(write.facts)
    values = {name: await pack_value(value, blobs) for name, (_, value) in change.variables.items()}
    if write.message is None:
        return PackedChat(change, values)
    return PackedChat(change, values, await _new_rows(write.message, blobs), write.message.is_first)


async def _new_rows(new: NewMessage, blobs: Blobs) -> list[tuple[Table, Row]]:
    talk, message = new.conversation, new.message
    conversation = {
        "conversation_id": talk.conversation_id,
        "app_id": talk.owner.app_id,
        "owner_role": talk.owner.role,
        "owner_id": talk.owner.owner_id,
        "name": talk.name,
        "inputs": await pack_value(talk.inputs, blobs),
        "introduction": talk.introduction,
        "created_at": talk.created_at,
        "updated_at": talk.updated_at,
    }
    row = {
        "message_id": message.message_id,
        "conversation_id": message.conversation_id,
        "query": message.query,
        "inputs": await pack_value(message.inputs, blobs),
        "files": await pack_value(message.files, blobs),
        "answer": message.answer,
        "status": message.status,
        "error": message.error,
        "resources": orjson.dumps(message.resources),
        "created_at": message.created_at,
    }
    variables = [await variable_row(talk.conversation_id, each, blobs) for each in new.variables]
    return [
        (conversations, conversation),
        (messages, row),
        *((conversation_variables, each) for each in sorted(variables, key=lambda each: each["name"])),
    ]


async def variable_row(conversation_id: str, variable: ConversationVariable, blobs: Blobs) -> Row:
    """Return the row of a variable; a large value is in ``blobs``."""
    return {
        "conversation_id": conversation_id,
        "name": variable.name,
        "variable_id": variable.variable_id,
        "value_type": variable.value_type,
        "value": await pack_value(variable.value, blobs),
        "description": variable.description,
        "created_at": variable.created_at,
        "updated_at": variable.updated_at,
    }


def store_chat(connection: Connection, run_id: str, chat: PackedChat) -> None:
    """Store what a write does to the message of its run and to its conversation."""
    if chat.new and not _begin(connection, chat):
        return
    change = chat.change
    fields: Row = {f"new_{name}": value for name, value in change.fields.items()}
    if change.text:
        fields["new_text"] = change.text
    if change.resources:
        held = connection.execute(_RESOURCES, {"key_message_id": run_id}).scalar()
        fields["new_resources"] = orjson.dumps([*orjson.loads(held or b"[]"), *change.resources])
    if fields:
        statement = _update_message(tuple(sorted(fields)))
        connection.execute(statement, {**fields, "key_message_id": run_id})
    for name in sorted(chat.values):
        connection.execute(
            _SET_VARIABLE,
            {
                "key_message_id": run_id,
                "key_name": name,
                "new_value_type": change.variables[name][0],
                "new_value": chat.values[name],
                "new_updated_at": change.at,
            },
        )


def _begin(connection: Connection, chat: PackedChat) -> bool:
    """Store the message with what it begins; False, and nothing stored, if its conversation was deleted."""
    (_, conversation), *others = chat.new
    if chat.is_first:
        insert_once(connection, conversations, conversation)
    else:
        key = {"key_conversation_id": conversation["conversation_id"], "new_updated_at": conversation["updated_at"]}
        if connection.execute(_TOUCH, key).rowcount == 0:
            return False
    for table, row in others:
        insert_once(connection, table, row)
    return True


@cache
def _update_message(names: tuple[str, ...]) -> Update:
    """Return the update of a message that sets the columns ``new_<column>``; ``new_text`` is added to its answer."""
    values: dict[str, Any] = {name.removeprefix("new_"): bindparam(name) for name in names if name != "new_text"}
    if "new_text" in names:
        values["answer"] = messages.c.answer.concat(bindparam("new_text", type_=OutsideText))
    return update(messages).where(messages.c.message_id == bindparam("key_message_id")).values(values)

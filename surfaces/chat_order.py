"""A message that a person sends -> the order of its run: conversation, inputs, history, conversation variables.

Nothing is stored here: the message begins in the transaction by which its run begins, so a start that is refused leaves
no message.

Source: spec/http.md 3.10, spec/graph.md 3.6 and 4.11.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import uuid_utils

from actors.messages import RunOrder
from graph.nodes.prompt_memory import HISTORY
from graph.plan import Plan
from graph.value_types import ValueType, is_valid
from graph.workflow import Variable
from store.account_record import EndUser
from store.app_record import AppRecord
from store.chat_record import Conversation, ConversationOwner, ConversationVariable, Message, NewMessage
from store.run_record import NewRun
from surfaces.chat_schemas import ChatRequestPayload
from surfaces.errors import ResourceNotFoundError
from surfaces.ports import SurfacePorts
from surfaces.run_start import RunStart, checked_run

NEW_NAME: Final = "New conversation"
"""The name of a conversation that shall not be named after its first question."""
_NAME_LENGTH: Final = 50
_HISTORY_MESSAGES: Final = 200
_NUMBERS: Final = frozenset({ValueType.NUMBER, ValueType.INTEGER, ValueType.FLOAT})


def conversation_owner(app: AppRecord, end_user: EndUser) -> ConversationOwner:
    """Return ``end_user`` as the owner of conversations with ``app``."""
    return ConversationOwner(app.app_id, "end_user", end_user.end_user_id)


async def conversation_of(conversation_id: str, owner: ConversationOwner, ports: SurfacePorts) -> Conversation:
    """Return a conversation of ``owner``.

    Raises:
        ResourceNotFoundError: there is none, or it is somebody else's.
    """
    held = await ports.chats.conversation(conversation_id)
    if held is None or held.owner != owner:
        raise ResourceNotFoundError("Conversation Not Exists.")
    return held


async def order_message(
    start: RunStart, payload: ChatRequestPayload, held: Conversation | None, ports: SurfacePorts
) -> RunOrder:
    """Return the order of the run of one message.

    Args:
        start: who asks what.
        payload: the message.
        held: the conversation that it continues, None for a new one. Start inputs that the message leaves out are
            taken from its first message.
        ports: where files, history and variables come from.

    Raises:
        InvalidInputError: an input or file does not fit; the text names it.
    """
    given = {**(held.inputs if held else {}), **payload.inputs}
    run, files = await checked_run(start, given, payload.files, ports)
    now, inputs = run.created_at, run.inputs
    conversation = held or _new_conversation(start, payload, inputs, now)
    number, declared = conversation.conversation_id, start.plan.workflow.conversation
    kept = {each.name: each for each in await ports.chats.variables(number)}
    missing = tuple(_begun(variable, now) for variable in declared if variable.name not in kept)
    message = Message(run.run_id, number, payload.query, inputs, files, now)
    new = NewMessage(replace(conversation, updated_at=now), message, missing, is_first=held is None)
    system = await _system(run, message, start.plan, ports)
    return RunOrder(run, system, stored_values(declared, kept), new)


async def _system(run: NewRun, message: Message, plan: Plan, ports: SurfacePorts) -> dict[str, Any]:
    """Return the system variables of a message's run; history only where a node wants it."""
    number = message.conversation_id
    system: dict[str, Any] = {
        "query": message.query,
        "files": message.files,
        "conversation_id": number,
        "user_id": run.user or run.created_by_id,
        "dialogue_count": await ports.chats.message_count(number) + 1,
        "app_id": run.app_id,
        "workflow_id": run.version_id,
        "workflow_run_id": run.run_id,
    }
    if any(node.data.get("memory") for node in plan.workflow.nodes):
        earlier = await ports.chats.messages(number, None, _HISTORY_MESSAGES)
        system[HISTORY] = history_of(earlier, ports.chat_history_chars)
    return system


def _new_conversation(start: RunStart, payload: ChatRequestPayload, inputs: dict[str, Any], now: float) -> Conversation:
    name = title_of(payload.query) if payload.auto_generate_name else NEW_NAME
    introduction = start.plan.workflow.features.get("opening_statement") or ""
    return Conversation(str(uuid_utils.uuid7()), start.conversation_owner, name, inputs, str(introduction), now, now)


def title_of(query: str) -> str:
    """Return the name of a conversation that begins with ``query``: its beginning, on one line."""
    words = " ".join(query.split())
    return words if len(words) <= _NAME_LENGTH else f"{words[: _NAME_LENGTH - 1].rstrip()}…"


def stored_values(declared: Sequence[Variable], held: Mapping[str, ConversationVariable]) -> dict[str, Any]:
    """Return name -> stored value for the variables that the workflow declares.

    A value that does not fit its type any more, because the workflow has changed, gives way to the default.
    """
    found = ((variable, held[variable.name].value) for variable in declared if variable.name in held)
    return {variable.name: value for variable, value in found if fits(value, variable.value_type)}


def fits(value: Any, value_type: str) -> bool:
    """Whether ``value`` can be the value of a variable of this type; the kinds of numbers are one."""
    try:
        wanted = ValueType(value_type)
    except ValueError:
        return False
    if wanted in _NUMBERS:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return is_valid(value, wanted)


def history_of(newest_first: Sequence[Message], limit_chars: int) -> list[dict[str, str]]:
    """Return earlier messages as ``sys.history`` holds them, oldest first: the newest ones whose text fits.

    A message that has no answer yet, or never got one, is left out.
    """
    kept: list[dict[str, str]] = []
    for message in newest_first:
        if not message.answer:
            continue
        limit_chars -= len(message.query) + len(message.answer)
        if limit_chars < 0:
            break
        kept.append({"query": message.query, "answer": message.answer})
    return kept[::-1]


def _begun(variable: Variable, now: float) -> ConversationVariable:
    number = variable.id or variable.name
    return ConversationVariable(
        number[:64], variable.name, variable.value_type, variable.value, variable.description, now, now
    )

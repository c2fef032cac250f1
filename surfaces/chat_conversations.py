"""``/v1``: the conversations of a user: listed, named, deleted, and their variables.

Source: spec/http.md 3.10.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import orjson
from fastapi import Request, Response

from graph.parse_variables import MAX_VARIABLE_BYTES
from store.app_record import AppRecord
from store.chat_record import Conversation, ConversationVariable
from store.chats import SORTS
from surfaces.auth import calling_app, calling_user_or_default, require_chat, user_or_nobody
from surfaces.chat_order import conversation_of, conversation_owner, fits, title_of
from surfaces.chat_schemas import ConversationRenamePayload, ConversationVariableUpdatePayload, whole_number
from surfaces.errors import BadRequestError, InvalidParamError, ResourceNotFoundError
from surfaces.ports import SurfacePorts
from surfaces.run_endpoints import canonical_id
from surfaces.schemas import checked, read_object, reply

PAGE: Final = 20
LARGEST_PAGE: Final = 100
_NUMBERS: Final = frozenset({"integer", "float"})


class Conversations:
    """The conversations of the calling user; those of others do not exist for it."""

    def __init__(self, ports: SurfacePorts) -> None:
        self._ports = ports

    async def list(self, request: Request) -> Response:
        """Return a page of conversations."""
        app = await calling_app(request, self._ports)
        user = user_or_nobody(request.query_params)
        require_chat(app)
        limit = whole_number(request, "limit", PAGE, LARGEST_PAGE)
        asked = request.query_params.get("sort_by") or "-updated_at"
        sort_by = next((each for each in SORTS if each == asked), None)
        if sort_by is None:
            raise InvalidParamError(f"sort_by must be one of {', '.join(SORTS)}")
        last_id = request.query_params.get("last_id")
        owner = conversation_owner(app, await calling_user_or_default(app, user, self._ports))
        last = await self._ports.chats.conversation(canonical_id(last_id) or "") if last_id else None
        if last_id and (last is None or last.owner != owner):
            raise ResourceNotFoundError("Last Conversation Not Exists.")
        found = await self._ports.chats.conversations(owner, sort_by, last, limit + 1)
        shown = [self._shown(each) for each in found[:limit]]
        return reply({"limit": limit, "has_more": len(found) > limit, "data": shown})

    async def delete(self, request: Request) -> Response:
        """Delete a conversation; a run of it that goes on, or waits for people, is not stopped."""
        held, _ = await self._named_in_body(request)
        await self._ports.chats.delete(held.conversation_id)
        return Response(status_code=204)

    async def rename(self, request: Request) -> Response:
        """Name a conversation, or have it named after its first question."""
        held, body = await self._named_in_body(request)
        payload = checked(ConversationRenamePayload, body)
        name = (payload.name or "").strip()
        if payload.auto_generate:
            first = await self._ports.chats.first_message(held.conversation_id)
            name = title_of(first.query) if first else held.name
        renamed = await self._ports.chats.rename(held.conversation_id, name, self._ports.clock.now())
        return reply(self._shown(renamed or held))

    async def variables(self, request: Request) -> Response:
        """Return a page of a conversation's variables."""
        app = await calling_app(request, self._ports)
        user = user_or_nobody(request.query_params)
        require_chat(app)
        limit = whole_number(request, "limit", PAGE, LARGEST_PAGE)
        held = await self._held(request, app, user)
        found = await self._ports.chats.variables(held.conversation_id)
        if name := request.query_params.get("variable_name"):
            found = [each for each in found if each.name == name]
        if last_id := request.query_params.get("last_id"):
            places = [place for place, each in enumerate(found, 1) if each.variable_id == last_id]
            if not places:
                raise ResourceNotFoundError("Conversation Variable Not Exists.")
            found = found[places[0] :]
        shown = [_variable(each) for each in found[:limit]]
        return reply({"limit": limit, "has_more": len(found) > limit, "data": shown})

    async def set_variable(self, request: Request) -> Response:
        """Give a variable of a conversation another value; the next message finds it."""
        held, body = await self._named_in_body(request)
        payload = checked(ConversationVariableUpdatePayload, body)
        wanted = request.path_params["variable_id"]
        found = await self._ports.chats.variables(held.conversation_id)
        variable = next((each for each in found if each.variable_id == wanted), None)
        if variable is None:
            raise ResourceNotFoundError("Conversation Variable Not Exists.")
        if not fits(payload.value, variable.value_type):
            raise BadRequestError(f"value must be of the type {_type(variable)} of the variable {variable.name!r}")
        if len(orjson.dumps(payload.value)) > MAX_VARIABLE_BYTES:
            raise BadRequestError(f"value must not be larger than {MAX_VARIABLE_BYTES // 1024} KiB")
        now = self._ports.clock.now()
        await self._ports.chats.set_variable(held.conversation_id, variable.name, payload.value, now)
        found = await self._ports.chats.variables(held.conversation_id)
        return reply(_variable(next((each for each in found if each.name == variable.name), variable)))

    async def _named_in_body(self, request: Request) -> tuple[Conversation, dict[str, Any]]:
        """Return the conversation of the path and the body, which names its owner."""
        app = await calling_app(request, self._ports)
        body = await read_object(request, self._ports.max_body_bytes)
        user = user_or_nobody(body)
        require_chat(app)
        return await self._held(request, app, user), body

    async def _held(self, request: Request, app: AppRecord, user: str) -> Conversation:
        owner = conversation_owner(app, await calling_user_or_default(app, user, self._ports))
        return await conversation_of(canonical_id(request.path_params["conversation_id"]) or "", owner, self._ports)

    def _shown(self, held: Conversation) -> Mapping[str, Any]:
        return {
            "id": held.conversation_id,
            "name": held.name,
            "inputs": self._ports.links.refreshed(held.inputs, held.owner.app_id),
            "status": "normal",
            "introduction": held.introduction,
            "created_at": int(held.created_at),
            "updated_at": int(held.updated_at),
        }


def _type(variable: ConversationVariable) -> str:
    """Return the type of a variable as clients know it: they do not tell kinds of numbers apart."""
    return "number" if variable.value_type in _NUMBERS else variable.value_type


def _variable(variable: ConversationVariable) -> Mapping[str, Any]:
    value = variable.value
    return {
        "id": variable.variable_id,
        "name": variable.name,
        "value_type": _type(variable),
        "value": value if isinstance(value, str) else json.dumps(value, ensure_ascii=False),
        "description": variable.description,
        "created_at": int(variable.created_at),
        "updated_at": int(variable.updated_at),
    }

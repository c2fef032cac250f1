"""``/v1``: the messages of a conversation with the forms that people were asked, and what people think of answers.

Source: spec/http.md 3.10; spec/hitl.md 4.9.
"""

from datetime import UTC, datetime
from typing import Any, Final

from fastapi import Request, Response

from hitl.disposition import Disposition
from hitl.form import Form, FormStatus
from hitl.submission import rendered_content
from hitl.surface import Surface
from store.account_record import EndUser
from store.app_record import AppRecord
from store.chat_record import Feedback, Message
from surfaces.auth import calling_app, calling_user_or_default, require_chat, user_or_nobody
from surfaces.chat_conversations import LARGEST_PAGE, PAGE
from surfaces.chat_order import conversation_of, conversation_owner
from surfaces.chat_schemas import MessageFeedbackPayload, whole_number
from surfaces.errors import AppUnavailableError, BadRequestError, InvalidParamError, ResourceNotFoundError
from surfaces.ports import SurfacePorts
from surfaces.run_endpoints import canonical_id
from surfaces.run_stream import dispositions_of
from surfaces.schemas import checked, read_object, reply

_LAST_PAGE: Final = 99_999


class Messages:
    """The messages of the calling user; those of others do not exist for it."""

    def __init__(self, ports: SurfacePorts) -> None:
        self._ports = ports

    async def list(self, request: Request) -> Response:
        """Return a page of messages, the newest ones unless the caller goes back, oldest first within the page."""
        app = await calling_app(request, self._ports)
        query = request.query_params
        user = user_or_nobody(query)
        require_chat(app)
        conversation_id, first_id = canonical_id(query.get("conversation_id", "")), query.get("first_id")
        if conversation_id is None:
            raise InvalidParamError("conversation_id is required and must be a valid UUID")
        limit = whole_number(request, "limit", PAGE, LARGEST_PAGE)
        owner = conversation_owner(app, await calling_user_or_default(app, user, self._ports))
        held = await conversation_of(conversation_id, owner, self._ports)
        first = await self._ports.chats.message(canonical_id(first_id) or "") if first_id else None
        if first_id and (first is None or first.conversation_id != held.conversation_id):
            raise ResourceNotFoundError("First Message Not Exists.")
        found = await self._ports.chats.messages(held.conversation_id, first, limit + 1)
        feedbacks = await self._ports.chats.feedbacks([each.message_id for each in found])
        shown = []
        for place, message in enumerate(found[:limit]):
            parent = found[place + 1].message_id if place + 1 < len(found) else None
            shown.append(await self._shown(message, parent, feedbacks.get(message.message_id), app))
        return reply({"limit": limit, "has_more": len(found) > limit, "data": shown[::-1]})

    async def rate(self, request: Request) -> Response:
        """Keep what the user thinks of an answer, or take it back."""
        app = await calling_app(request, self._ports)
        body = await read_object(request, self._ports.max_body_bytes)
        user = user_or_nobody(body)
        require_chat(app)
        payload = checked(MessageFeedbackPayload, body)
        end_user = await calling_user_or_default(app, user, self._ports)
        message = await self._message(request, app, end_user)
        if payload.rating is None:
            if not await self._ports.chats.unrate(message.message_id):
                raise InvalidParamError("rating must be like or dislike: there is no feedback to take back")
            return reply({"result": "success"})
        now = self._ports.clock.now()
        await self._ports.chats.rate(
            Feedback(
                message_id=message.message_id,
                conversation_id=message.conversation_id,
                app_id=app.app_id,
                end_user_id=end_user.end_user_id,
                rating=payload.rating,
                content=payload.content or "",
                created_at=now,
                updated_at=now,
            )
        )
        return reply({"result": "success"})

    async def suggested(self, request: Request) -> Response:
        """Return questions that the user could ask next: none, as nothing makes them here."""
        app = await calling_app(request, self._ports)
        user = user_or_nobody(request.query_params)
        require_chat(app)
        await self._message(request, app, await calling_user_or_default(app, user, self._ports))
        if not app.published_version_id:
            raise AppUnavailableError()
        features = (await self._ports.plans.plan(app.published_version_id)).workflow.features
        if not (features.get("suggested_questions_after_answer") or {}).get("enabled"):
            raise BadRequestError("Suggested Questions Is Disabled.")
        return reply({"result": "success", "data": []})

    async def feedbacks(self, request: Request) -> Response:
        """Return a page of what people think of the app's answers, the newest first."""
        app = await calling_app(request, self._ports)
        page = whole_number(request, "page", 1, _LAST_PAGE)
        limit = whole_number(request, "limit", PAGE, LARGEST_PAGE)
        found = await self._ports.chats.feedbacks_of_app(app.app_id, (page - 1) * limit, limit)
        return reply({"data": [_feedback(each) for each in found]})

    async def _message(self, request: Request, app: AppRecord, end_user: EndUser) -> Message:
        """Return the message of the path, if it is the user's."""
        message = await self._ports.chats.message(canonical_id(request.path_params["message_id"]) or "")
        held = await self._ports.chats.conversation(message.conversation_id) if message else None
        if message is None or held is None or held.owner != conversation_owner(app, end_user):
            raise ResourceNotFoundError("Message Not Exists.")
        return message

    async def _shown(
        self, message: Message, parent_id: str | None, feedback: Feedback | None, app: AppRecord
    ) -> dict[str, Any]:
        shown = {
            "id": message.message_id,
            "conversation_id": message.conversation_id,
            "parent_message_id": parent_id,
            "inputs": message.inputs,
            "query": message.query,
            "answer": message.answer,
            "feedback": {"rating": feedback.rating} if feedback else None,
            "retriever_resources": message.resources,
            "created_at": int(message.created_at),
            "agent_thoughts": [],
            "message_files": [_file(each) for each in message.files],
            "status": message.status,
            "error": message.error,
            "extra_contents": await human_inputs(message.message_id, Surface.SERVICE_API, self._ports),
        }
        return self._ports.links.refreshed(shown, app.app_id)


async def human_inputs(run_id: str, surface: Surface, ports: SurfacePorts) -> list[dict[str, Any]]:
    """Return what people were asked in a run, oldest first, as a message shows it on ``surface``.

    A form that still waits carries the form token that this surface gets, if any.
    """
    forms = await ports.forms.by_run(run_id)
    shown = await dispositions_of(run_id, [form.form_id for form in forms], surface, ports)
    return [
        {
            "workflow_run_id": run_id,
            "submitted": form.status is FormStatus.SUBMITTED,
            "form_definition": _definition(form, shown.get(form.form_id)),
            "form_submission_data": await _submission(form, ports),
            "type": "human_input",
        }
        for form in forms
    ]


def _definition(form: Form, shown: Disposition | None) -> dict[str, Any]:
    asked = form.definition
    return {
        "form_id": form.form_id,
        "node_id": form.node_id,
        "node_title": asked.node_title,
        "form_content": asked.form_content,
        "inputs": asked.inputs,
        "actions": asked.actions,
        "display_in_ui": asked.display_in_ui,
        "form_token": shown.form_token if shown else None,
        "resolved_default_values": asked.resolved_default_values,
        "expiration_time": int(form.expires_at),
    }


async def _submission(form: Form, ports: SurfacePorts) -> dict[str, Any] | None:
    answer = await ports.forms.submission(form.form_id) if form.status is FormStatus.SUBMITTED else None
    if answer is None:
        return None
    return {
        "node_id": form.node_id,
        "node_title": form.definition.node_title,
        "rendered_content": rendered_content(form.definition, answer.values),
        "action_id": answer.action_id,
        "action_text": answer.action_title,
        "submitted_data": answer.values,
    }


def _file(value: dict[str, Any]) -> dict[str, Any]:
    """Return a file of a question as messages show it."""
    is_stored = value.get("transfer_method") != "remote_url"
    return {
        "id": value.get("id") or value.get("related_id"),
        "filename": value.get("filename"),
        "type": value.get("type"),
        "url": value.get("url") or value.get("remote_url"),
        "mime_type": value.get("mime_type"),
        "size": value.get("size"),
        "transfer_method": value.get("transfer_method"),
        "belongs_to": "user",
        "upload_file_id": value.get("related_id") if is_stored else None,
    }


def _feedback(feedback: Feedback) -> dict[str, Any]:
    return {
        "id": feedback.message_id,
        "app_id": feedback.app_id,
        "conversation_id": feedback.conversation_id,
        "message_id": feedback.message_id,
        "rating": feedback.rating,
        "content": feedback.content,
        "from_source": "user",
        "from_end_user_id": feedback.end_user_id,
        "from_account_id": None,
        "created_at": _iso(feedback.created_at),
        "updated_at": _iso(feedback.updated_at),
    }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

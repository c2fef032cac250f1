"""``/openapi/v1``: runs of an account's programs: started, always as a stream, stopped, followed; files for them.

Source: spec/http.md 8.2, spec/hitl.md 5.2-5.4.
"""

from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict

from hitl.surface import Surface
from surfaces.chat_api import ChatMessages
from surfaces.chat_schemas import ChatRequestPayload
from surfaces.errors import InvalidParamError
from surfaces.openapi_auth import bearer_on_app
from surfaces.ports import SurfacePorts
from surfaces.run_endpoints import RunEndpoints
from surfaces.run_events import is_true, position_of
from surfaces.run_start import run_start, streamed_run
from surfaces.schemas import checked, read_object, reply
from surfaces.uploads import described, multipart_form, one_web_file, stored_upload


class OpenApiRunPayload(BaseModel):
    """The body of a run. ``query``: of chatflows alone; ``workspace_id``: where the app is, if the caller says it.

    What else a message has is in ``ChatRequestPayload``.
    """

    model_config = ConfigDict(extra="ignore")

    inputs: dict[str, Any]
    query: str | None = None
    files: list[dict[str, Any]] | None = None
    workflow_id: str | None = None
    workspace_id: str | None = None


class OpenApiRuns:
    """The endpoints of runs."""

    def __init__(self, ports: SurfacePorts) -> None:
        self._ports = ports
        self._runs = RunEndpoints(ports, Surface.OPENAPI)
        self._chat = ChatMessages(ports)

    async def run(self, request: Request) -> Response:
        """Run an app's published version, or the one that the body names; a stream."""
        caller, app = await bearer_on_app(request, self._ports)
        body = await read_object(request, self._ports.max_body_bytes)
        asked = checked(OpenApiRunPayload, body)
        if asked.workspace_id is not None and asked.workspace_id != app.workspace_id:
            raise InvalidParamError("workspace_id does not match app's workspace")
        is_chat = app.mode == "advanced-chat"
        if not is_chat and app.mode != "workflow":
            raise InvalidParamError("mode_not_runnable")
        if is_chat and not (asked.query or "").strip():
            raise InvalidParamError("query_required_for_chat")
        if not is_chat and asked.query is not None:
            raise InvalidParamError("query_not_supported_for_workflow")
        version_id = await self._runs.version(app, asked.workflow_id or None)
        start = await run_start(request, app, version_id, caller.starter, self._ports)
        has_ids = position_of(request) is not None
        if is_chat:
            message = checked(ChatRequestPayload, {**body, "response_mode": "streaming"})
            return await self._chat.answer(start, message, Surface.OPENAPI, has_ids)
        return await streamed_run(start, asked.inputs, asked.files, Surface.OPENAPI, self._ports, has_ids=has_ids)

    async def stop(self, request: Request) -> Response:
        """Stop a run of the account; success is all that anybody is told, and durable by then."""
        caller, app = await bearer_on_app(request, self._ports)
        return await self._runs.stopped(request, app, caller.starter)

    async def events(self, request: Request) -> Response:
        """Follow a run of the account from where the reader left off, or from where it stands."""
        caller, app = await bearer_on_app(request, self._ports)
        if app.mode not in ("workflow", "advanced-chat"):
            raise InvalidParamError("mode_not_supported_for_event_reconnect")
        until_pause = not is_true(request, "continue_on_pause")
        return await self._runs.followed(request, app, caller.starter, until_pause=until_pause)

    async def upload(self, request: Request) -> Response:
        """Store one file of the account, for runs and forms of the app; durable by then."""
        caller, app = await bearer_on_app(request, self._ports)
        async with multipart_form(request) as form:
            record = await stored_upload(one_web_file(form, self._ports), caller.owner_in(app), self._ports)
        return reply(described(record, self._ports), 201)

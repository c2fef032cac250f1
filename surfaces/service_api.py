"""``/v1``: runs, their events and their forms, for holders of an app's API key.

Which requests are refused, in which order and with which words, is compatible with Dify 1.14.2.

Source: spec/http.md 1.1, 2, 3.1-3.9; spec/hitl.md 1.8.
"""

import json
from typing import Any, Final

from fastapi import FastAPI, Request, Response

from graph.events import RunStarted
from hitl.form_state import check_open
from hitl.surface import Surface
from store.app_record import AppRecord
from store.form_record import TokenMatch
from surfaces.asgi import REFERENCE_VERSION
from surfaces.auth import calling_app, calling_key_id, calling_user, idempotency_key_hash, named_user, require_mode
from surfaces.errors import AppUnavailableError, ResourceNotFoundError
from surfaces.event_shapes import run_inputs
from surfaces.form_answers import shown_form, submit_answer, submit_order
from surfaces.form_lookup import form_of_token
from surfaces.input_files import known_files, owner_of
from surfaces.ports import SurfacePorts
from surfaces.routes import add_routes
from surfaces.run_endpoints import RunEndpoints, canonical_id
from surfaces.schemas import HumanInputFormSubmitPayload, checked, read_object, reply

_SWITCHES: Final = (
    "suggested_questions_after_answer",
    "speech_to_text",
    "text_to_speech",
    "retriever_resource",
    "annotation_reply",
    "more_like_this",
)
_IMAGE_UPLOAD: Final = {
    "enabled": False,
    "number_limits": 3,
    "detail": "high",
    "transfer_methods": ["remote_url", "local_file"],
}
_LIMITS: Final = {
    "image_file_size_limit": 10,
    "video_file_size_limit": 100,
    "audio_file_size_limit": 50,
    "file_size_limit": 15,
    "workflow_file_upload_limit": 10,
}


class ServiceApi:
    """The endpoints of ``/v1`` that do not run anything; those that do are in ``surfaces.run_endpoints``."""

    def __init__(self, ports: SurfacePorts) -> None:
        self._ports = ports

    async def welcome(self, request: Request) -> Response:
        """Say which API this is; needs no key."""
        return reply({"welcome": "Dify OpenAPI", "api_version": "v1", "server_version": REFERENCE_VERSION})

    async def info(self, request: Request) -> Response:
        """Return what the key's app is called."""
        app = await calling_app(request, self._ports)
        author = await self._ports.accounts.account(app.created_by) if app.created_by else None
        return reply(
            {
                "name": app.name,
                "description": app.description,
                "tags": [],
                "mode": app.mode,
                "author_name": author.name if author else "",
            }
        )

    async def parameters(self, request: Request) -> Response:
        """Return the features and the input form of the app's published workflow."""
        return reply(await parameters_of(await calling_app(request, self._ports), self._ports))

    async def run_detail(self, request: Request) -> Response:
        """Return how a run of the app stands."""
        app = await calling_app(request, self._ports)
        require_mode(app, "workflow", "advanced-chat")
        run_id = canonical_id(request.path_params["workflow_run_id"])
        record = await self._ports.journal.get(run_id) if run_id else None
        if record is None or record.app_id != app.app_id:
            raise ResourceNotFoundError("Workflow run not found.")
        facts = await self._ports.journal.read(record.run_id)
        started = facts[0][1] if facts else None
        inputs = run_inputs(started) if isinstance(started, RunStarted) else record.inputs
        links = self._ports.links
        return reply(
            {
                "id": record.run_id,
                "workflow_id": record.version_id,
                "status": record.status,
                "inputs": json.dumps(links.refreshed(inputs, app.app_id)),
                "outputs": links.refreshed(record.outputs, app.app_id),
                "error": record.error,
                "total_steps": record.total_steps,
                "total_tokens": record.total_tokens,
                "created_at": int(record.created_at),
                "finished_at": None if record.finished_at is None else int(record.finished_at),
                "elapsed_time": record.elapsed_s,
            }
        )

    async def form(self, request: Request) -> Response:
        """Show a form (GET) or take its answer (POST)."""
        return await (self._submit_form(request) if request.method == "POST" else self._show_form(request))

    async def _show_form(self, request: Request) -> Response:
        app = await calling_app(request, self._ports)
        match = await self._form(request, app.app_id)
        check_open(match.form, self._ports.clock.now())
        return reply(shown_form(match.form, self._ports))

    async def _submit_form(self, request: Request) -> Response:
        app = await calling_app(request, self._ports)
        body = await read_object(request, self._ports.max_body_bytes)
        user = named_user(body)
        answer, key_hash = checked(HumanInputFormSubmitPayload, body), idempotency_key_hash(request)
        match = await self._form(request, app.app_id)
        submitter = await calling_user(app, user, self._ports)
        files = await known_files(answer.inputs, owner_of(submitter), self._ports)
        order = submit_order(
            match.recipient,
            answer,
            Surface.SERVICE_API,
            files,
            key_hash=key_hash,
            end_user_id=submitter.end_user_id,
            api_key_id=await calling_key_id(request, self._ports),
        )
        await submit_answer(match.form, order, self._ports)
        return reply({})

    async def _form(self, request: Request, app_id: str) -> TokenMatch:
        token = request.path_params["form_token"]
        return await form_of_token(token, Surface.SERVICE_API, self._ports, app_id)


async def parameters_of(app: AppRecord, ports: SurfacePorts) -> dict[str, Any]:
    """Return the reply of ``/parameters``: the features and the input form of the app's published workflow.

    Raises:
        AppUnavailableError: none is published.
    """
    if not app.published_version_id:
        raise AppUnavailableError()
    plan = await ports.plans.plan(app.published_version_id)
    features, variables = plan.workflow.features, plan.start_form
    switches = {name: features.get(name) or {"enabled": False} for name in _SWITCHES}
    return {
        "opening_statement": features.get("opening_statement"),
        "suggested_questions": features.get("suggested_questions") or [],
        **switches,
        "user_input_form": [
            {row.get("type", ""): {name: value for name, value in row.items() if name != "type"}} for row in variables
        ],
        "sensitive_word_avoidance": features.get("sensitive_word_avoidance")
        or {"enabled": False, "type": "", "configs": []},
        "file_upload": {"image": _IMAGE_UPLOAD, **(features.get("file_upload") or {})},
        "system_parameters": _LIMITS,
    }


def add_service_api(app: FastAPI, ports: SurfacePorts) -> None:
    """Add the routes of ``/v1`` to ``app``."""
    api, runs = ServiceApi(ports), RunEndpoints(ports)
    routes = (
        ("/v1/", api.welcome, "GET"),
        ("/v1/info", api.info, "GET"),
        ("/v1/parameters", api.parameters, "GET"),
        ("/v1/workflows/run", runs.run, "POST"),
        ("/v1/workflows/{workflow_id}/run", runs.run, "POST"),
        ("/v1/workflows/tasks/{task_id}/stop", runs.stop, "POST"),
        ("/v1/workflows/run/{workflow_run_id}", api.run_detail, "GET"),
        ("/v1/workflow/{run_id}/events", runs.events, "GET"),
        ("/v1/form/human_input/{form_token}", api.form, "GET POST"),
    )
    add_routes(app, routes)

"""``/console/api``: the draft of an app, saved, run as a version of its own, published; files imported as drafts.

A draft is a whole workflow file. What the editor does not send (the app's name, what the file says about people) stays
as it was. Values of secret variables are shown as a mark, which stands for the stored value when it comes back.

Source: spec/http.md 7.1 and 7.2.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

import uuid_utils
from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

from graph.errors import InvalidWorkflowError
from graph.parse_workflow import CURRENT_VERSION, parse_document, parse_workflow
from graph.workflow import ParsedFile, Workflow
from store.app_record import AppRecord
from store.drafts import Draft
from store.login_record import LoggedIn
from surfaces.console_auth import calling_account, require_role
from surfaces.errors import ConsoleAppError, DraftMissingError, InvalidParamError
from surfaces.ports import SurfacePorts
from surfaces.run_endpoints import canonical_id
from surfaces.schemas import checked, object_in, read_body, read_object, reply

HIDDEN: Final = "[__HIDDEN__]"
_SECRET: Final = "secret"
_BODY_KEYS: Final = ("graph", "features", "environment_variables", "conversation_variables")


class DraftPayload(BaseModel):
    """The body of a save. ``hash``: of the draft that was changed; null or absent: whatever there is."""

    model_config = ConfigDict(extra="ignore")

    graph: dict[str, Any]
    features: dict[str, Any]
    hash: str | None = None
    environment_variables: list[dict[str, Any]] = Field(default_factory=list)
    conversation_variables: list[dict[str, Any]] = Field(default_factory=list)


class ImportPayload(BaseModel):
    """The body of an import. ``app_id``: the app whose draft the file becomes; null or absent: a new one."""

    model_config = ConfigDict(extra="ignore")

    mode: str
    yaml_content: str | None = None
    name: str | None = None
    description: str | None = None
    app_id: str | None = None


async def app_of_workspace(app_id: str, login: LoggedIn, ports: SurfacePorts) -> AppRecord:
    """Return an app of the account's workspace.

    Raises:
        ConsoleAppError: there is none; one of another workspace looks the same.
    """
    known_id = canonical_id(app_id)
    app = await ports.console.apps.app(known_id) if known_id else None
    if app is None or app.workspace_id != login.workspace_id:
        raise ConsoleAppError("App not found.")
    return app


async def current_draft(app: AppRecord, ports: SurfacePorts) -> Draft:
    """Return the draft of an app; before its first save that is the published version.

    Raises:
        DraftMissingError: it has neither.
    """
    draft = await ports.console.drafts.draft(app.app_id)
    if draft is not None:
        return draft
    published = await ports.console.apps.published(app.app_id)
    if published is None:
        raise DraftMissingError("Draft workflow need to be initialized.")
    by, at = app.created_by or "", published.created_at
    return Draft(app.app_id, published.document, _hash_of(published.document), by, at, by, at)


async def draft_workflow(app: AppRecord, ports: SurfacePorts) -> Workflow:
    """Return the draft of an app as a workflow that can run.

    Raises:
        DraftMissingError: it has none.
        InvalidWorkflowError: it cannot run; the text lists the faults.
    """
    return _runnable(parse_document((await current_draft(app, ports)).document))


async def draft_version(app: AppRecord, login: LoggedIn, ports: SurfacePorts) -> str:
    """Return a version, not published, with the content that the draft has now.

    Raises:
        DraftMissingError: there is no draft.
        InvalidWorkflowError: it cannot run.
    """
    workflow = await draft_workflow(app, ports)
    _, version_id = await ports.console.apps.import_app(
        app.workspace_id, workflow, login.account.account_id, app_id=app.app_id, is_published=False
    )
    return version_id


class ConsoleDrafts:
    """The endpoints of drafts and imports."""

    def __init__(self, ports: SurfacePorts) -> None:
        self._ports = ports

    async def draft(self, request: Request) -> Response:
        """Show the draft (GET) or save it (POST)."""
        login = await calling_account(request, self._ports, is_own_origin_enough=True)
        app = await app_of_workspace(request.path_params["app_id"], login, self._ports)
        require_role(login)
        if request.method == "GET":
            return reply(await self._shown(await current_draft(app, self._ports)))
        # A browser that closes the editor sends its last save as plain text.
        is_text = request.headers.get("content-type", "").startswith("text/plain")
        limit = self._ports.max_body_bytes
        values = object_in(await read_body(request, limit)) if is_text else await read_object(request, limit)
        body = checked(DraftPayload, values)
        saved = await self._save(app, await self._document(app, body), login, body.hash)
        return reply({"result": "success", "hash": saved.content_hash, "updated_at": int(saved.updated_at)})

    async def publish(self, request: Request) -> Response:
        """Show the published version (GET), or publish the draft (POST)."""
        login = await calling_account(request, self._ports)
        app = await app_of_workspace(request.path_params["app_id"], login, self._ports)
        require_role(login)
        apps = self._ports.console.apps
        if request.method == "POST":
            workflow = await draft_workflow(app, self._ports)
            await apps.import_app(app.workspace_id, workflow, login.account.account_id, app_id=app.app_id)
            return reply({"result": "success", "created_at": int(self._ports.clock.now())})
        version = await apps.published(app.app_id)
        if version is None:
            return reply(None)
        at, by = version.created_at, app.created_by or ""
        shown = Draft(app.app_id, version.document, version.content_hash, by, at, by, at)
        return reply(await self._shown(shown, version.version_id, str(int(at))))

    async def import_file(self, request: Request) -> Response:
        """Import a file as the draft of a new app, or of one that exists."""
        login = await calling_account(request, self._ports)
        require_role(login)
        body = checked(ImportPayload, await read_object(request, self._ports.max_body_bytes))
        if body.mode != "yaml-content":
            raise InvalidParamError("mode must be yaml-content; fetch the file and send its content.")
        given = await app_of_workspace(body.app_id, login, self._ports) if body.app_id else None
        parsed = parse_workflow(body.yaml_content or "")
        if parsed.workflow is None:
            return reply(_import_reply(parsed, None), 400)
        if given is not None and given.mode != parsed.workflow.mode:
            raise InvalidParamError(f"The file is of mode {parsed.workflow.mode}, the app of mode {given.mode}.")
        document = _renamed(parsed.workflow.document, body)
        workflow = parse_document(document).workflow
        assert workflow is not None
        app_id, _ = await self._ports.console.apps.import_app(
            login.workspace_id,
            workflow,
            login.account.account_id,
            app_id=given.app_id if given else None,
            is_published=False,
        )
        app = await app_of_workspace(app_id, login, self._ports)
        await self._save(app, workflow.document, login, None)
        return reply(_import_reply(parsed, app))

    async def _save(self, app: AppRecord, document: dict[str, Any], login: LoggedIn, expected: str | None) -> Draft:
        by, now = login.account.account_id, self._ports.clock.now()
        draft = Draft(app.app_id, document, _hash_of(document), by, now, by, now)
        return await self._ports.console.drafts.save(draft, expected)

    async def _document(self, app: AppRecord, body: DraftPayload) -> dict[str, Any]:
        """Return the whole file that a save leaves."""
        try:
            before: Mapping[str, Any] = (await current_draft(app, self._ports)).document
        except DraftMissingError:
            before = {"version": CURRENT_VERSION, "kind": "app", "app": {"name": app.name, "mode": app.mode}}
        of_before = before.get("workflow") or {}
        workflow = {
            **of_before,
            "graph": body.graph,
            "features": body.features,
            "environment_variables": _revealed(body.environment_variables, of_before.get("environment_variables")),
            "conversation_variables": body.conversation_variables,
        }
        return {**before, "workflow": workflow}

    async def _shown(self, draft: Draft, version_id: str | None = None, version: str = "draft") -> dict[str, Any]:
        workflow = draft.document.get("workflow") or {}
        return {
            "id": version_id or draft.app_id,
            "graph": workflow.get("graph") or {"nodes": [], "edges": [], "viewport": {}},
            "features": workflow.get("features") or {},
            "hash": draft.content_hash,
            "version": version,
            "marked_name": "",
            "marked_comment": "",
            "created_by": await account_shape(draft.created_by, self._ports),
            "created_at": int(draft.created_at),
            "updated_by": await account_shape(draft.updated_by, self._ports),
            "updated_at": int(draft.updated_at),
            "tool_published": False,
            "environment_variables": _hidden(workflow.get("environment_variables")),
            "conversation_variables": workflow.get("conversation_variables") or [],
            "rag_pipeline_variables": [],
        }


async def account_shape(account_id: str, ports: SurfacePorts) -> dict[str, Any] | None:
    """Return ``{id, name, email}`` of an account, None when there is none."""
    account = await ports.accounts.account(account_id) if account_id else None
    return None if account is None else {"id": account.account_id, "name": account.name, "email": account.email}


def _runnable(parsed: ParsedFile) -> Workflow:
    faults = tuple(str(fault) for fault in parsed.faults if fault.blocks != "nothing")
    if parsed.workflow is None or faults:
        raise InvalidWorkflowError(faults)
    return parsed.workflow


def _hash_of(document: Mapping[str, Any]) -> str:
    """Return the hash by which an editor says which draft it has changed: over what it can change."""
    workflow = document.get("workflow") or {}
    text = json.dumps({key: workflow.get(key) for key in _BODY_KEYS}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _is_secret(variable: Any) -> bool:
    return isinstance(variable, Mapping) and variable.get("value_type") == _SECRET


def _hidden(variables: Any) -> list[Any]:
    return [{**each, "value": HIDDEN} if _is_secret(each) else each for each in variables or []]


def _revealed(variables: list[dict[str, Any]], before: Any) -> list[dict[str, Any]]:
    """Return ``variables`` with the mark replaced by the value that the variable of this name had before."""
    known = {each.get("name"): each.get("value") for each in before or [] if _is_secret(each)}
    return [
        {**each, "value": known.get(each.get("name"), "")} if _is_secret(each) and each.get("value") == HIDDEN else each
        for each in variables
    ]


def _renamed(document: Mapping[str, Any], body: ImportPayload) -> dict[str, Any]:
    given = {"name": body.name, "description": body.description}
    app = {**document["app"], **{name: value for name, value in given.items() if value is not None}}
    return {**document, "app": app}


def _import_reply(parsed: ParsedFile, app: AppRecord | None) -> dict[str, Any]:
    status = "failed" if app is None else "completed" if parsed.status == "completed" else "completed-with-warnings"
    return {
        "id": str(uuid_utils.uuid7()),
        "status": status,
        "app_id": app.app_id if app else None,
        "app_mode": app.mode if app else None,
        "current_dsl_version": CURRENT_VERSION,
        "imported_dsl_version": parsed.workflow.version if parsed.workflow else "",
        "error": "" if app else "\n".join(str(fault) for fault in parsed.faults if fault.blocks == "import"),
    }

"""``/console/api``: a human-input node tried out in the editor: its form, an answer to it, a mail of it.

The node is taken from the draft as it is now. A preview and an answer store nothing; a mail opens a form of its own
kind, for which no run waits.

Source: spec/http.md 7.3.
"""

from typing import Any

import uuid_utils
from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

from actors.answer_files import remote_files
from graph.errors import InvalidWorkflowError, NodeError
from hitl.form import FormDefinition
from store.app_record import AppRecord
from store.file_record import FileOwner
from store.login_record import LoggedIn
from surfaces.console_auth import calling_account, require_role
from surfaces.console_drafts import app_of_workspace, current_draft
from surfaces.console_ports import DeliveryTestOrder, FormPreviews
from surfaces.errors import InvalidParamError
from surfaces.input_files import known_files
from surfaces.ports import SurfacePorts
from surfaces.schemas import checked, read_object, reply


class PreviewPayload(BaseModel):
    """The body of a preview. ``inputs``: variable -> value."""

    model_config = ConfigDict(extra="ignore")

    inputs: dict[str, Any] = Field(default_factory=dict)


class TrialPayload(PreviewPayload):
    """The body of an answer tried out. ``form_inputs``: input name -> value; ``action``: the id of an action."""

    form_inputs: dict[str, Any]
    action: str


class DeliveryTestPayload(PreviewPayload):
    """The body of a mail tried out."""

    delivery_method_id: str


class ConsoleEditor:
    """The endpoints of one node."""

    def __init__(self, ports: SurfacePorts, previews: FormPreviews) -> None:
        self._ports = ports
        self._previews = previews

    async def preview(self, request: Request) -> Response:
        """Show the form that the node would open."""
        _, _, document = await self._node(request)
        body = checked(PreviewPayload, await read_object(request, self._ports.max_body_bytes))
        try:
            return reply(self._previews.preview(document, request.path_params["node_id"], body.inputs))
        except (NodeError, InvalidWorkflowError) as error:
            raise InvalidParamError(str(error)) from error

    async def run(self, request: Request) -> Response:
        """Tell the outputs that the node would give for an answer."""
        login, app, document = await self._node(request)
        body = checked(TrialPayload, await read_object(request, self._ports.max_body_bytes))
        owner = FileOwner(app.workspace_id, app.app_id, "account", login.account.account_id)
        files = await known_files(body.form_inputs, owner, self._ports)
        node_id = request.path_params["node_id"]
        try:
            asked = self._previews.request_of_node(document, node_id, body.inputs)
            definition = FormDefinition(asked.form_content, asked.inputs, asked.actions)
            blocked = self._ports.blocked_extensions
            files = await remote_files(
                definition, body.action, body.form_inputs, files, self._ports.remote_files, blocked
            )
            outputs = self._previews.outputs_of_answer(
                document, node_id, body.inputs, body.form_inputs, body.action, files
            )
        except (NodeError, InvalidWorkflowError) as error:
            raise InvalidParamError(str(error)) from error
        return reply(outputs)

    async def test_delivery(self, request: Request) -> Response:
        """Send the mails of one delivery method of the node, to whom it would send them."""
        login, app, document = await self._node(request)
        body = checked(DeliveryTestPayload, await read_object(request, self._ports.max_body_bytes))
        try:
            asked = self._previews.request_of_node(
                document, request.path_params["node_id"], body.inputs, str(uuid_utils.uuid7())
            )
        except (NodeError, InvalidWorkflowError) as error:
            raise InvalidParamError(str(error)) from error
        tests = self._ports.console.delivery_tests
        assert tests is not None
        by = login.account.account_id
        await tests.test_delivery(DeliveryTestOrder(asked, body.delivery_method_id, app.workspace_id, app.app_id, by))
        return reply({})

    async def _node(self, request: Request) -> tuple[LoggedIn, AppRecord, dict[str, Any]]:
        """Return who tries, the app, and its draft."""
        login = await calling_account(request, self._ports)
        app = await app_of_workspace(request.path_params["app_id"], login, self._ports)
        require_role(login)
        return login, app, (await current_draft(app, self._ports)).document

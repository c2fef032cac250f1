"""``/openapi/v1``: forms read and answered by an account's programs, which the account is named for.

Source: spec/hitl.md 1.8 ("OpenAPI / CLI") and 3.5.
"""

from fastapi import Request, Response

from hitl.form_state import check_open
from hitl.surface import Surface
from store.form_record import Submitter, TokenMatch
from surfaces.auth import idempotency_key_hash
from surfaces.form_answers import shown_form, submit_answer, submit_order
from surfaces.form_lookup import form_of_token
from surfaces.input_files import known_files
from surfaces.openapi_auth import bearer_on_app
from surfaces.ports import SurfacePorts
from surfaces.schemas import HumanInputFormSubmitPayload, checked, read_object, reply


class OpenApiForms:
    """The endpoints of forms."""

    def __init__(self, ports: SurfacePorts) -> None:
        self._ports = ports

    async def show(self, request: Request) -> Response:
        """Show a form; its audit names the account that has read it."""
        caller, app = await bearer_on_app(request, self._ports)
        form = (await self._match(request, app.app_id)).form
        check_open(form, self._ports.clock.now())
        told = shown_form(form, self._ports)
        await self._ports.submissions.viewed(form.form_id, Submitter(caller.account.account_id, via=Surface.OPENAPI))
        return reply(told)

    async def submit(self, request: Request) -> Response:
        """Take the answer to a form; durable by then."""
        caller, app = await bearer_on_app(request, self._ports)
        body = await read_object(request, self._ports.max_body_bytes)
        answer, key_hash = checked(HumanInputFormSubmitPayload, body), idempotency_key_hash(request)
        match = await self._match(request, app.app_id)
        files = await known_files(answer.inputs, caller.owner_in(app), self._ports)
        by = caller.account.account_id
        order = submit_order(match.recipient, answer, Surface.OPENAPI, files, key_hash=key_hash, account_id=by)
        await submit_answer(match.form, order, self._ports)
        return reply({})

    async def _match(self, request: Request, app_id: str) -> TokenMatch:
        return await form_of_token(request.path_params["form_token"], Surface.OPENAPI, self._ports, app_id)

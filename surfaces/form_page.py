"""The public form page: a person with a link reads a form and answers it. Reading never decides anything.

    GET  /form/{token}     -> 303 to the form's own address, the token in a cookie that only that address gets
    GET  /form/f/{ref}     -> the page
    POST /form/f/{ref}     -> takes the answer, if it comes from that page

``ref`` names form and recipient, which are no secrets: so the address bar, the history and the log of a proxy keep no
token after the first step.

Source: spec/beyond.md 2, spec/hitl.md 1.8, design/architecture.md 4.
"""

import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from fastapi import FastAPI, Request, Response

from actors.messages import SubmitOrder
from graph.errors import GreenroomError
from hitl.errors import (
    FormAlreadySubmittedError,
    FormChangedError,
    FormExpiredError,
    FormNotFoundError,
    InvalidSubmissionError,
)
from hitl.form_state import check_open
from hitl.surface import Surface
from store.form_record import TokenMatch
from surfaces.error_table import answer_for, domain_error
from surfaces.errors import BadRequestError, FormGuardError, UnsupportedMediaTypeError
from surfaces.form_lookup import form_of_token
from surfaces.form_view import FILE_TYPES, Entered, form_page, message_page, page_headers
from surfaces.ports import SurfacePorts
from surfaces.schemas import read_body

_COOKIE: Final = "greenroom_form"
_GUARD_VERSION: Final = b"greenroom form page guard 1"
_MAX_FIELDS: Final = 200
_FORM_TYPE: Final = "application/x-www-form-urlencoded"
_NO_UPLOADS: Final = "this form asks for files, and uploads are not available on this page yet."

Endpoint = Callable[[Request], Awaitable[Response]]

_log = logging.getLogger(__name__)


class FormPage:
    """The three endpoints of the page."""

    def __init__(self, ports: SurfacePorts) -> None:
        self._ports = ports
        public = urlsplit(ports.public_url)
        self._prefix = public.path.rstrip("/")
        self._is_https = public.scheme == "https"

    async def enter(self, request: Request) -> Response:
        """Send the holder of a link on to the form's own address."""
        token = request.path_params["token"]
        match = await form_of_token(token, Surface.WEB, self._ports)
        address = self._address(match)
        response = Response(status_code=303, headers={**page_headers(), "Location": address})
        response.set_cookie(_COOKIE, token, path=address, httponly=True, samesite="lax", secure=self._is_https)
        return response

    async def show(self, request: Request) -> Response:
        """Show the form."""
        match = await self._match(request)
        check_open(match.form, self._ports.clock.now())
        return form_page(match.form, self._address(match), self._guard(match), Entered())

    async def answer(self, request: Request) -> Response:
        """Take the answer; one that does not fit is shown again with the reason."""
        match = await self._match(request)
        entered = await self._entered(request)
        if not hmac.compare_digest(entered.get("guard", "").encode(), self._guard(match).encode()):
            raise FormGuardError("The answer did not come from the page of this form. Please open your link again.")
        check_open(match.form, self._ports.clock.now())
        declared = {each["output_variable_name"]: each.get("type") for each in match.form.definition.inputs}
        values = {name: entered[f"input.{name}"] for name in declared if f"input.{name}" in entered}
        try:
            if FILE_TYPES & set(declared.values()):
                raise InvalidSubmissionError(_NO_UPLOADS)
            await self._ports.submissions.submit(
                SubmitOrder(
                    form_id=match.form.form_id,
                    recipient_id=match.recipient.recipient_id,
                    generation=match.generation,
                    action=entered.get("action", ""),
                    inputs=values,
                    via=Surface.WEB,
                    form_digest=entered.get("form_digest"),
                )
            )
        except (InvalidSubmissionError, FormChangedError) as error:
            again, status = Entered(values, str(domain_error(error))), answer_for(error).status
            return form_page(match.form, self._address(match), self._guard(match), again, status)
        return message_page("Thank you", "Your answer has been recorded. You can close this page.", 200)

    async def _match(self, request: Request) -> TokenMatch:
        """Return what the cookie's token stands for, if that is the form of the address."""
        match = await form_of_token(request.cookies.get(_COOKIE, ""), Surface.WEB, self._ports)
        if request.path_params["ref"] != _reference(match):
            raise FormNotFoundError()
        return match

    async def _entered(self, request: Request) -> dict[str, str]:
        """Return the fields of a sent page, name -> text; line breaks are those of the person's text."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM_TYPE:
            raise UnsupportedMediaTypeError(_FORM_TYPE)
        body = await read_body(request, self._ports.max_body_bytes)
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
        except ValueError as error:
            raise BadRequestError("The fields of the page cannot be read.") from error
        # A browser sends every line break of a text field as CR LF.
        return {name: value.replace("\r\n", "\n") for name, value in pairs}

    def _address(self, match: TokenMatch) -> str:
        return f"{self._prefix}/form/f/{_reference(match)}"

    def _guard(self, match: TokenMatch) -> str:
        """Return the value that only this form's own page holds."""
        parts = (match.form.form_id, match.recipient.recipient_id, str(match.generation))
        framed = b"".join(len(part).to_bytes(4, "big") + part.encode() for part in parts)
        return self._ports.token_key.sign(_GUARD_VERSION + framed).hex()


def _reference(match: TokenMatch) -> str:
    """Return the name of form and recipient in the page's address."""
    return UUID(match.form.form_id).hex + UUID(match.recipient.recipient_id).hex


def _as_page(endpoint: Endpoint) -> Endpoint:
    """Return ``endpoint`` with its errors told to a person instead of a program."""

    async def served(request: Request) -> Response:
        try:
            return await endpoint(request)
        except GreenroomError as error:
            return _error_page(error)

    served.__name__ = f"form_page_{endpoint.__name__}"
    return served


def _error_page(error: GreenroomError) -> Response:
    answer = answer_for(error)
    if isinstance(error, FormNotFoundError):
        text = "This link opens no form. Please check that you have opened the whole link you were sent."
        return message_page("Form not found", text, 404)
    if isinstance(error, FormAlreadySubmittedError):
        return message_page("Already answered", "This form has its answer. Nothing is left to do.", answer.status)
    if isinstance(error, FormExpiredError):
        return message_page("Expired", "The time for this form is over; it takes no answers.", answer.status)
    if answer.status >= 500:
        _log.error("the form page failed", exc_info=error)
        text = "This does not work at the moment. Your form is still there; please try again soon."
        return message_page("Please try again", text, answer.status, answer.headers)
    return message_page("That did not work", answer.message, answer.status, answer.headers)


def add_form_page(app: FastAPI, ports: SurfacePorts) -> None:
    """Add the routes of the public form page to ``app``."""
    page = FormPage(ports)
    show, answer = _as_page(page.show), _as_page(page.answer)

    async def form_page_address(request: Request) -> Response:
        return await (answer(request) if request.method == "POST" else show(request))

    app.add_route("/form/{token}", _as_page(page.enter), methods=["GET"])
    app.add_route("/form/f/{ref}", form_page_address, methods=["GET", "POST"])

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
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import FastAPI, Request, Response

from graph.errors import GreenroomError
from hitl.errors import (
    FormAlreadySubmittedError,
    FormChangedError,
    FormExpiredError,
    FormNotFoundError,
    InvalidSubmissionError,
)
from hitl.form import Form
from hitl.form_state import check_open
from hitl.surface import Surface
from store.form_record import TokenMatch
from surfaces.error_table import answer_for, domain_error
from surfaces.errors import FormGuardError, FormRateLimitError
from surfaces.form_answers import submit_answer, submit_order
from surfaces.form_limits import FormUse
from surfaces.form_lookup import form_of_token
from surfaces.form_view import Entered, ShownForm, form_page, message_page, page_headers
from surfaces.input_files import recipients_files
from surfaces.page_answer import PageAnswer, page_answer, sent_page
from surfaces.ports import SurfacePorts
from surfaces.routes import Endpoint
from surfaces.schemas import HumanInputFormSubmitPayload

_COOKIE: Final = "greenroom_form"
_GUARD_VERSION: Final = b"greenroom form page guard 1"

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
        await self._ports.form_limits.take("read", request, token)
        match = await form_of_token(token, Surface.WEB, self._ports)
        address = self._address(match)
        response = Response(status_code=303, headers={**page_headers(), "Location": address})
        response.set_cookie(_COOKIE, token, path=address, httponly=True, samesite="lax", secure=self._is_https)
        return response

    async def show(self, request: Request) -> Response:
        """Show the form."""
        match = await self._match(request, "read")
        check_open(match.form, self._ports.clock.now())
        return form_page(await self._shown(match), Entered())

    async def answer(self, request: Request) -> Response:
        """Take the answer; one that does not fit is shown again with the reason, and its files are kept."""
        match = await self._match(request, "submit")
        # Before anything of the body is read: it may be a hundred megabytes.
        check_open(match.form, self._ports.clock.now())
        async with sent_page(request, self._ports) as sent:
            if not hmac.compare_digest((sent.text("guard") or "").encode(), self._guard(match).encode()):
                raise FormGuardError("The answer did not come from the page of this form. Please open your link again.")
            answer = await page_answer(sent, match.form, match.recipient, self._ports)
            action, digest = sent.text("action") or "", sent.text("form_digest")
        reason, status = "Please check what is marked below.", 400
        if not answer.faults:
            reason, status = await self._refusal(match, action, digest, answer)
        if reason:
            again = Entered(answer.texts, reason, answer.kept, answer.faults)
            return form_page(await self._shown(match), again, status=status)
        return message_page("Thank you", "Your answer has been recorded. You can close this page.", 200)

    async def _refusal(self, match: TokenMatch, action: str, digest: str | None, answer: PageAnswer) -> tuple[str, int]:
        """Submit the answer; return why it does not fit, "" when it was taken, and the HTTP status of that."""
        given = HumanInputFormSubmitPayload(inputs=answer.inputs, action=action, form_digest=digest)
        files = await recipients_files(answer.inputs, match.recipient, self._ports)
        try:
            await submit_answer(match.form, submit_order(match.recipient, given, Surface.WEB, files), self._ports)
        except (InvalidSubmissionError, FormChangedError) as error:
            return str(domain_error(error)), answer_for(error).status
        return "", 200

    async def _match(self, request: Request, use: FormUse) -> TokenMatch:
        """Return what the cookie's token stands for, if that is the form of the address."""
        token = request.cookies.get(_COOKIE, "")
        await self._ports.form_limits.take(use, request, token)
        match = await form_of_token(token, Surface.WEB, self._ports)
        if request.path_params["ref"] != _reference(match):
            raise FormNotFoundError()
        return match

    async def _shown(self, match: TokenMatch) -> ShownForm:
        return await form_to_show(match.form, self._address(match), self._guard(match), self._ports)

    def _address(self, match: TokenMatch) -> str:
        return f"{self._prefix}/form/f/{_reference(match)}"

    def _guard(self, match: TokenMatch) -> str:
        """Return the value that only this form's own page holds."""
        parts = (match.form.form_id, match.recipient.recipient_id, str(match.generation))
        framed = b"".join(len(part).to_bytes(4, "big") + part.encode() for part in parts)
        return self._ports.token_key.sign(_GUARD_VERSION + framed).hex()


async def form_to_show(form: Form, action: str, guard: str, ports: SurfacePorts) -> ShownForm:
    """Return ``form`` as its page shows it at the address ``action``, with links that work now."""
    app = await ports.apps.app(form.app_id)
    content = ports.links.refreshed(form.definition.form_content, form.app_id)
    return ShownForm(form, content, app.name if app else "", action, guard, ports.clock.now())


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
    if isinstance(error, FormRateLimitError):
        text = "This form was opened or sent too often. Please wait a minute, then try again. Nothing is lost."
        return message_page("Please wait", text, answer.status, answer.headers)
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

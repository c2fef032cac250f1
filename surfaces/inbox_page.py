"""The inbox in a browser: log in, see which forms wait, answer one. Works without scripts; reading decides nothing.

    GET, POST  /inbox/login             -> log in
    POST       /inbox/logout            -> log out
    GET        /inbox                   -> the forms that wait
    GET, POST  /inbox/forms/{form_id}   -> one of them, and its answer
    POST       /inbox/forms/{form_id}/claim, /release   -> say that one will answer it, or give that back

Whoever is not logged in is sent to log in and comes back. A page carries the CSRF token of its login; the login page,
where there is none yet, a value that fits a cookie of its own.

Source: spec/beyond.md 2 and row 8, spec/hitl.md 4.8.
"""

import hmac
import logging
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import uuid_utils
from fastapi import FastAPI, Request, Response

from actors.messages import ClaimOrder, ReleaseOrder
from graph.errors import GreenroomError
from hitl.claim import Claim
from hitl.errors import (
    FormAlreadySubmittedError,
    FormChangedError,
    FormClaimedError,
    FormExpiredError,
    FormNotFoundError,
    InvalidSubmissionError,
)
from hitl.form import Form, FormStatus
from hitl.form_state import check_open
from hitl.surface import Surface
from store.inbox_record import InboxPage, InboxQuery, InboxRow
from store.login_record import LoggedIn
from surfaces.console_auth import login_of
from surfaces.console_forms import (
    ConsoleAnswer,
    answer_form,
    any_form_of_workspace,
    claim_of,
    form_of_workspace,
    note_reading,
)
from surfaces.console_inbox import FILTERS, inbox_query
from surfaces.console_login import Doorkeeper
from surfaces.console_tokens import Bearer
from surfaces.error_table import answer_for, domain_error
from surfaces.errors import FormGuardError, LoginFailedError, LoginRequiredError, NotSetUpError, TooManyLoginsError
from surfaces.form_page import form_to_show
from surfaces.form_view import Entered, form_page, message_page, page_headers, shown_page
from surfaces.page_answer import SentPage, page_answer, sent_page, sent_texts
from surfaces.ports import SurfacePorts
from surfaces.routes import Endpoint

_LOGIN_COOKIE: Final = "greenroom_login"
_GUARD_VERSION: Final = b"greenroom inbox login guard 1 "
_GUARD_BYTES: Final = 24
_WAY_BACK: Final = re.compile(r"/inbox(?:/device|/forms/[0-9a-f-]{36})?", re.ASCII)
_TITLES: Final = {"mine": "For me", "unclaimed": "Nobody's yet", "all": "All"}
_AGAIN: Final = "Your login was renewed meanwhile. Please send your answer once more."
_FAULTS: Final = "Please check what is marked below."

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks at a page. ``renewed``: the refresh token that took the place of theirs, if their hour was over."""

    login: LoggedIn
    bearer: Bearer
    renewed: str | None = None


Shown = Callable[[Request, Visitor], Awaitable[Response]]


class InboxPages:
    """The pages of the inbox."""

    def __init__(self, ports: SurfacePorts) -> None:
        self._ports = ports
        self._door = Doorkeeper(ports)
        public = urlsplit(ports.public_url)
        self._prefix = public.path.rstrip("/")
        self._is_https = public.scheme == "https"

    async def log_in(self, request: Request) -> Response:
        """Show the login page (GET), or log in (POST)."""
        way_back = request.query_params.get("next", "")
        if request.method == "GET":
            return self._login_page(way_back)
        sent = await sent_texts(request, self._ports.max_body_bytes)
        kept, email = request.cookies.get(_LOGIN_COOKIE, ""), sent.text("email") or ""
        if not kept or not _is_same(sent.text("guard") or "", self._login_guard(kept)):
            return self._login_page(way_back, "Please log in on this page.", email, 403)
        try:
            account = await self._door.admitted(email, sent.text("password") or "")
        except LoginFailedError:
            return self._login_page(way_back, "The address and the password do not belong together.", email, 401)
        except TooManyLoginsError as error:
            response = self._login_page(way_back, str(error), email, 429)
            response.headers["Retry-After"] = str(int(error.retry_after_s))
            return response
        except NotSetUpError:
            reason = "No account has a password yet: run `greenroom account password`."
            return self._login_page(way_back, reason, "", 401)
        workspace_id = await self._ports.console.logins.workspace_of(account.account_id)
        if workspace_id is None:
            return self._login_page(way_back, "This account belongs to no workspace.", email, 403)
        bearer, refresh_token = await self._door.begun(account, workspace_id)
        response = self._sent_to(way_back if _WAY_BACK.fullmatch(way_back) else "/inbox")
        response.delete_cookie(_LOGIN_COOKIE, path=f"{self._prefix}/inbox/login")
        self._door.cookies.set(response, self._door.tokens, bearer, refresh_token)
        return response

    async def log_out(self, request: Request, visitor: Visitor) -> Response:
        """End the login."""
        await self.guarded(request, visitor)
        await self._ports.console.logins.end(visitor.login.login_id)
        response = self._sent_to("/inbox/login")
        self._door.cookies.clear(response)
        return response

    async def forms(self, request: Request, visitor: Visitor) -> Response:
        """Show the forms that wait."""
        inbox = self._ports.console.inbox
        guard = self.guard_of(visitor)
        shown: dict[str, Any] = {
            "title": "Inbox",
            "account": visitor.login.account.name,
            "guard": guard,
            "logout": f"{self._prefix}/inbox/logout",
            "inbox": f"{self._prefix}/inbox",
            "filter": "",
            "text": "",
            "tabs": [],
            "rows": [],
            "more": "",
            "nothing": "Please open the form by its link.",
        }
        if inbox is not None:
            query = inbox_query(request, visitor.login, self._ports.clock.now())
            shown |= self._list(query, await inbox.inbox(query), visitor)
        return shown_page("inbox.html", **shown)

    async def form(self, request: Request, visitor: Visitor) -> Response:
        """Show a form (GET), or take its answer (POST); one that does not fit is shown again with the reason."""
        form, recipient = await form_of_workspace(request.path_params["form_id"], visitor.login, self._ports)
        # Before anything of the body is read: it may be a hundred megabytes.
        check_open(form, self._ports.clock.now())
        if request.method == "GET":
            await note_reading(form, visitor.login, self._ports)
            return await self._form_page(form, visitor, Entered())
        async with sent_page(request, self._ports) as sent:
            if not self._door.tokens.is_csrf(sent.text("guard") or "", visitor.bearer):
                fields = [name for name in sent.texts if name.startswith("input.")]
                values = {name.removeprefix("input."): sent.text(name) or "" for name in fields}
                return await self._form_page(form, visitor, Entered(values, _AGAIN), 403)
            answer = await page_answer(sent, form, recipient, self._ports)
            action, digest = sent.text("action") or "", sent.text("form_digest")
        reason, status = _FAULTS, 400
        if not answer.faults:
            given = ConsoleAnswer(inputs=answer.inputs, action=action, form_digest=digest)
            try:
                is_decided = await answer_form(form, recipient, given, visitor.login, self._ports)
            except (InvalidSubmissionError, FormChangedError) as error:
                reason, status = str(domain_error(error)), answer_for(error).status
            except FormClaimedError as error:
                reason, status = _claimed_text(error), answer_for(error).status
            else:
                what = "Your answer has been recorded." if is_decided else "Your vote counts; others are still to vote."
                return self._message("Thank you", what, 200)
        again = Entered(answer.texts, reason, answer.kept, answer.faults)
        return await self._form_page(form, visitor, again, status)

    async def claim(self, request: Request, visitor: Visitor) -> Response:
        """Say that the visitor will answer a form."""
        return await self._acted(request, visitor, ClaimOrder)

    async def release(self, request: Request, visitor: Visitor) -> Response:
        """Give the visitor's claim back."""
        return await self._acted(request, visitor, ReleaseOrder)

    async def _acted(
        self, request: Request, visitor: Visitor, order: type[ClaimOrder] | type[ReleaseOrder]
    ) -> Response:
        await self.guarded(request, visitor)
        form = await any_form_of_workspace(request.path_params["form_id"], visitor.login, self._ports)
        acts = self._ports.console.inbox_acts
        assert acts is not None
        by = visitor.login.account.account_id
        await acts.act(order(form.form_id, by, Surface.CONSOLE, str(uuid_utils.uuid7())))
        return self._sent_to("/inbox")

    def guard_of(self, visitor: Visitor) -> str:
        """Return the value by which a page shows that it is one of the visitor's login."""
        return self._door.tokens.csrf(visitor.bearer)

    async def guarded(self, request: Request, visitor: Visitor) -> SentPage:
        """Return what a page without files has sent.

        Raises:
            FormGuardError: it does not come from a page of the visitor's login.
        """
        sent = await sent_texts(request, self._ports.max_body_bytes)
        if not self._door.tokens.is_csrf(sent.text("guard") or "", visitor.bearer):
            raise FormGuardError("This did not come from the page of your inbox. Please do it there once more.")
        return sent

    def for_visitors(self, shown: Shown) -> Endpoint:
        """Return ``shown`` for whoever is logged in; others are sent to log in, and errors are told to a person."""

        async def page(request: Request) -> Response:
            try:
                visitor = await self._visitor(request)
                try:
                    response = await shown(request, visitor)
                except GreenroomError as error:
                    response = self._error_page(error)
                if visitor.renewed is not None and "set-cookie" not in response.headers:
                    self._door.cookies.set(response, self._door.tokens, visitor.bearer, visitor.renewed)
                return response
            except LoginRequiredError:
                if request.method == "POST":
                    return self._message("Please log in", "You are logged out. Log in and send it again.", 401)
                path = request.url.path.removeprefix(self._prefix)
                way_back = f"?{urlencode({'next': path})}" if _WAY_BACK.fullmatch(path) else ""
                return self._sent_to(f"/inbox/login{way_back}")
            except GreenroomError as error:
                return self._error_page(error)

        page.__name__ = f"inbox_page_{shown.__name__}"
        return page

    def for_everybody(self, shown: Endpoint) -> Endpoint:
        """Return ``shown`` with its errors told to a person."""

        async def page(request: Request) -> Response:
            try:
                return await shown(request)
            except GreenroomError as error:
                return self._error_page(error)

        page.__name__ = f"inbox_page_{shown.__name__}"
        return page

    async def _visitor(self, request: Request) -> Visitor:
        """Return who looks at a page, by cookies alone; whoever's hour is over is let in by their refresh token."""
        bearer = self._door.tokens.read_access(request.cookies.get(self._door.cookies.access, ""))
        login = await login_of(bearer, self._ports)
        if login is not None and bearer is not None:
            return Visitor(login, bearer)
        renewed = await self._door.renewed(request)
        login = await login_of(renewed[0], self._ports) if renewed else None
        if login is None or renewed is None:
            raise LoginRequiredError()
        return Visitor(login, *renewed)

    def _list(self, query: InboxQuery, page: InboxPage, visitor: Visitor) -> dict[str, Any]:
        def address(**changes: str) -> str:
            return f"{self._prefix}/inbox?{urlencode({'filter': query.filter, 'q': query.text or '', **changes})}"

        rows = []
        for each in page.rows:
            due = datetime.fromtimestamp(each.due_at, UTC)
            rows.append(
                {
                    "address": f"{self._prefix}/inbox/forms/{each.form.form_id}",
                    "title": each.form.definition.node_title or "A form",
                    "app_name": each.app_name,
                    "due": f"{due:%Y-%m-%d %H:%M} UTC",
                    "due_iso": f"{due:%Y-%m-%dT%H:%MZ}",
                    "claimant": each.claimant,
                    "act": self._act_of(each, visitor),
                }
            )
        tabs = [
            {"address": address(filter=name), "title": _TITLES[name], "is_current": name == query.filter}
            for name in FILTERS
        ]
        more = address(cursor=page.rows[-1].form.form_id) if page.has_more and page.rows else ""
        return {
            "tabs": tabs,
            "rows": rows,
            "more": more,
            "nothing": "Nothing waits here.",
            "filter": query.filter,
            "text": query.text or "",
        }

    def _act_of(self, row: InboxRow, visitor: Visitor) -> str:
        """Return what the visitor can do about the claim of a form: claim, release or nothing ("")."""
        if self._ports.console.inbox_acts is None or row.form.status is not FormStatus.WAITING:
            return ""
        if row.claim is None:
            return "claim"
        return "release" if row.claim.account_id == visitor.login.account.account_id else ""

    async def _form_page(self, form: Form, visitor: Visitor, entered: Entered, status: int = 200) -> Response:
        guard = self.guard_of(visitor)
        address = f"{self._prefix}/inbox/forms/{form.form_id}"
        around = {"account": visitor.login.account.name, "inbox": f"{self._prefix}/inbox", "claim": ""}
        if (claimed := await claim_of(form, self._ports)) is not None:
            around["claim"] = _claim_told(*claimed, visitor)
        shown = await form_to_show(form, address, guard, self._ports)
        return form_page(shown, entered, status, "inbox_form.html", **around)

    def _login_page(self, way_back: str, reason: str = "", email: str = "", status: int = 200) -> Response:
        kept = secrets.token_urlsafe(_GUARD_BYTES)
        query = f"?{urlencode({'next': way_back})}" if _WAY_BACK.fullmatch(way_back) else ""
        address = f"{self._prefix}/inbox/login"
        response = shown_page(
            "inbox_login.html",
            status,
            title="Log in",
            action=f"{address}{query}",
            guard=self._login_guard(kept),
            reason=reason,
            email=email,
        )
        response.set_cookie(_LOGIN_COOKIE, kept, path=address, httponly=True, samesite="lax", secure=self._is_https)
        return response

    def _login_guard(self, kept: str) -> str:
        return self._ports.token_key.sign(_GUARD_VERSION + kept.encode("utf-8", "surrogatepass")).hex()

    def _sent_to(self, path: str) -> Response:
        return Response(status_code=303, headers={**page_headers(), "Location": f"{self._prefix}{path}"})

    def _message(self, title: str, text: str, status: int) -> Response:
        return shown_page("inbox_message.html", status, title=title, text=text, inbox=f"{self._prefix}/inbox")

    def _error_page(self, error: GreenroomError) -> Response:
        answer = answer_for(error)
        if isinstance(error, FormNotFoundError):
            return self._message("Form not found", "There is no such form in your workspace.", 404)
        if isinstance(error, FormAlreadySubmittedError):
            return self._message("Already answered", "This form has its answer. Nothing is left to do.", answer.status)
        if isinstance(error, FormExpiredError):
            return self._message("Expired", "The time for this form is over; it takes no answers.", answer.status)
        if isinstance(error, FormClaimedError):
            return self._message("Claimed", _claimed_text(error), answer.status)
        if answer.status >= 500:
            _log.error("the inbox page failed", exc_info=error)
            text = "This does not work at the moment. Please try again soon."
            return message_page("Please try again", text, answer.status, answer.headers)
        return self._message("That did not work", answer.message, answer.status)


def _claimed_text(error: FormClaimedError) -> str:
    return f"Somebody else has claimed this form, until {_time(error.expires_at)} unless they release it before."


def _claim_told(claim: Claim, name: str, visitor: Visitor) -> str:
    """Return what the page of a form says of its claim."""
    if claim.account_id == visitor.login.account.account_id:
        return f"You have claimed this form, until {_time(claim.expires_at)}."
    return f"{name or 'Somebody else'} has claimed this form, until {_time(claim.expires_at)} unless they release it."


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def _is_same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def add_inbox_pages(app: FastAPI, ports: SurfacePorts) -> None:
    """Add the pages of the inbox to ``app``."""
    pages = InboxPages(ports)
    app.add_route("/inbox", pages.for_visitors(pages.forms), methods=["GET"])
    app.add_route("/inbox/logout", pages.for_visitors(pages.log_out), methods=["POST"])
    if ports.console.inbox_acts is not None:
        for act in (pages.claim, pages.release):
            app.add_route(f"/inbox/forms/{{form_id}}/{act.__name__}", pages.for_visitors(act), methods=["POST"])
    app.add_route("/inbox/forms/{form_id}", pages.for_visitors(pages.form), methods=["GET", "POST"])
    app.add_route("/inbox/login", pages.for_everybody(pages.log_in), methods=["GET", "POST"])

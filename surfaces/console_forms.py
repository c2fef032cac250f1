"""``/console/api``: forms read and answered by the accounts of a workspace, by form token or by form id.

An account answers as the form's backstage or console recipient, and is named as the submitter. By id no token is
needed: who may act is a matter of the login.

Source: spec/hitl.md 1.8 "Console", spec/http.md 7.3.
"""

from typing import Any, Final

from fastapi import Request, Response

from actors.messages import KnownFiles
from hitl.addressing import account_of
from hitl.claim import Claim
from hitl.digest import form_digest
from hitl.errors import FormAlreadySubmittedError, FormNotFoundError
from hitl.form import Form, FormStatus
from hitl.policy import is_accepted
from hitl.recipient import Recipient, RecipientType
from hitl.surface import Surface
from store.file_record import ANY_APP, FileOwner
from store.form_record import Submitter
from store.login_record import LoggedIn
from surfaces.auth import idempotency_key_hash
from surfaces.console_auth import calling_account
from surfaces.form_answers import submit_answer, submit_order
from surfaces.form_lookup import form_of_token
from surfaces.input_files import known_files, recipients_files
from surfaces.ports import SurfacePorts
from surfaces.schemas import HumanInputFormSubmitPayload, checked, read_object, reply
from surfaces.uploads import described, multipart_form, one_web_file, stored_upload

_RANK: Final = {RecipientType.BACKSTAGE: 0, RecipientType.CONSOLE: 1}


class ConsoleAnswer(HumanInputFormSubmitPayload):
    """The body of an answer of an account."""


class ConsoleForms:
    """The endpoints of forms."""

    def __init__(self, ports: SurfacePorts) -> None:
        self._ports = ports

    async def by_token(self, request: Request) -> Response:
        """Show the form of a console token (GET) or take its answer (POST)."""
        login = await calling_account(request, self._ports)
        match = await form_of_token(request.path_params["form_token"], Surface.CONSOLE, self._ports)
        if match.form.workspace_id != login.workspace_id:
            raise FormNotFoundError()
        return await self._shown_or_answered(request, match.form, match.recipient, login)

    async def by_id(self, request: Request) -> Response:
        """Show a form of the workspace (GET) or take its answer (POST); no token is in the address."""
        login = await calling_account(request, self._ports)
        form, recipient = await form_of_workspace(request.path_params["form_id"], login, self._ports)
        return await self._shown_or_answered(request, form, recipient, login)

    async def upload(self, request: Request) -> Response:
        """Store one file of the account, for an answer or a run, and say what it is called; durable by then."""
        login = await calling_account(request, self._ports)
        owner = FileOwner(login.workspace_id, ANY_APP, "account", login.account.account_id)
        async with multipart_form(request) as form:
            record = await stored_upload(one_web_file(form, self._ports), owner, self._ports)
        return reply(described(record, self._ports), 201)

    async def _shown_or_answered(self, request: Request, form: Form, recipient: Recipient, login: LoggedIn) -> Response:
        if request.method == "GET":
            told = shown(form, self._ports)
            claim = await claim_of(form, self._ports)
            await note_reading(form, login, self._ports)
            return reply(told | {"claim": claim and claim_shape(*claim)})
        body = checked(ConsoleAnswer, await read_object(request, self._ports.max_body_bytes))
        await answer_form(form, recipient, body, login, self._ports, idempotency_key_hash(request))
        return reply({})


def shown(form: Form, ports: SurfacePorts) -> dict[str, Any]:
    """Return a form as the console is told of it; links to files in it are signed now.

    Raises:
        FormAlreadySubmittedError: it has its answer. One whose time is over is still shown.
    """
    if form.status is FormStatus.SUBMITTED:
        raise FormAlreadySubmittedError(form.form_id)
    asked = form.definition
    told = {
        "form_content": asked.form_content,
        "inputs": asked.inputs,
        "user_actions": asked.actions,
        "rendered_content": asked.form_content,
        "expiration_time": int(form.expires_at),
        "default_values": asked.resolved_default_values,
        "node_title": asked.node_title,
        "display_in_ui": asked.display_in_ui,
    }
    return ports.links.refreshed(told, form.app_id) | {"form_digest": form_digest(asked)}


async def claim_of(form: Form, ports: SurfacePorts) -> tuple[Claim, str] | None:
    """Return the living claim of a form, and the name of whoever claims it; None where nobody does."""
    inbox = ports.console.inbox
    claim = await inbox.claim_of(form.form_id, ports.clock.now()) if inbox is not None else None
    if claim is None:
        return None
    account = await ports.accounts.account(claim.account_id)
    return claim, account.name if account else ""


def claim_shape(claim: Claim, name: str) -> dict[str, Any]:
    """Return a claim as the console is told of it."""
    return {"account_id": claim.account_id, "name": name, "expires_at": int(claim.expires_at)}


async def note_reading(form: Form, login: LoggedIn, ports: SurfacePorts) -> None:
    """Have the audit say that the account has read ``form``; once, however often it reads.

    Where the HITL actor is away the account gets the form all the same, and the audit says so when it is back.
    """
    await ports.submissions.viewed(form.form_id, Submitter(login.account.account_id, via=Surface.CONSOLE))


async def any_form_of_workspace(form_id: str, login: LoggedIn, ports: SurfacePorts) -> Form:
    """Return a form of the account's workspace, whoever may answer it.

    Raises:
        FormNotFoundError: there is none; a form of another workspace looks the same.
    """
    form = await ports.forms.get(form_id)
    if form is None or form.workspace_id != login.workspace_id:
        raise FormNotFoundError()
    return form


async def form_of_workspace(form_id: str, login: LoggedIn, ports: SurfacePorts) -> tuple[Form, Recipient]:
    """Return a form that an account of its workspace may answer, and as which recipient.

    Raises:
        FormNotFoundError: there is none, or nobody answers it in the console.
    """
    form = await any_form_of_workspace(form_id, login, ports)
    recipients = (await ports.forms.recipients([form_id])).get(form_id, [])
    recipient = console_recipient(recipients, login.account.account_id)
    if recipient is None:
        raise FormNotFoundError()
    return form, recipient


def console_recipient(recipients: list[Recipient], account_id: str) -> Recipient | None:
    """Return the recipient as whom an account answers; None where there is none left.

    That is its own, which asks it in person; else the inbox of the workspace; else that of somebody else.
    """
    usable = [each for each in recipients if each.is_active and is_accepted(each.type, Surface.CONSOLE)]
    return min(usable, key=lambda each: (account_of(each) != account_id, _RANK[each.type]), default=None)


async def answer_form(
    form: Form,
    recipient: Recipient,
    answer: ConsoleAnswer,
    login: LoggedIn,
    ports: SurfacePorts,
    key_hash: bytes | None = None,
) -> bool:
    """Answer ``form`` as the account of ``login``, or vote on it; durable on return.

    Returns:
        Whether the form is decided; a vote may leave it open.

    Raises:
        FormAlreadySubmittedError: it has its answer.
        FormExpiredError: its time is over.
        FormChangedError: the answer names the digest of another content.
        NotAnApproverError, SelfApprovalError, AlreadyVotedError, FormClaimedError: it is not this account's to decide.
        InvalidSubmissionError: the answer does not fit; the form stays open.
    """
    owner = FileOwner(login.workspace_id, form.app_id, "account", login.account.account_id)
    own = await known_files(answer.inputs, owner, ports)
    uploaded = await recipients_files(answer.inputs, recipient, ports)
    files = KnownFiles(uploads={**own.uploads, **uploaded.uploads})
    by = login.account.account_id
    order = submit_order(recipient, answer, Surface.CONSOLE, files, key_hash=key_hash, account_id=by)
    return await submit_answer(form, order, ports)

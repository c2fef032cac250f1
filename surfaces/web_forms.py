"""Forms for programs in a browser that hold a link and no credential: ``/api/form`` and uploads for answers.

    GET  /api/form/human_input/{form_token}                 the form, with the site of its app
    POST /api/form/human_input/{form_token}                 takes the answer
    POST /api/form/human_input/{form_token}/upload-token    what uploads for it need
    POST /api/human-input-forms/files                       one file, as an upload token allows

The order of checks is part of the API. A miss looks the same whatever its reason.

Source: spec/http.md 6.2, spec/hitl.md 1.8 ("Public web form"), 1.9 and 3.7.
"""

from io import BytesIO
from typing import Final
from urllib.parse import unquote, urlsplit

from fastapi import FastAPI, Request, Response
from starlette.datastructures import FormData, UploadFile

from graph.errors import NodeError
from graph.file_value import kind_of, max_bytes
from hitl.errors import FormNotFoundError
from hitl.form_state import check_open
from hitl.form_token import Purpose, derive_token
from hitl.surface import Surface
from surfaces.auth import idempotency_key_hash
from surfaces.errors import BadRequestError, InvalidParamError, NoSiteError, RemoteFileError, UploadTokenError
from surfaces.form_answers import shown_form, submit_answer, submit_order
from surfaces.form_lookup import form_of_token
from surfaces.form_uploads import asks_for_files, check_wanted, initiator_of, kept
from surfaces.input_files import recipients_files
from surfaces.ports import SurfacePorts
from surfaces.routes import add_routes
from surfaces.schemas import HumanInputFormSubmitPayload, checked, read_object, reply
from surfaces.site_shape import site_reply
from surfaces.uploads import Upload, check_extension, described, looked_at, multipart_form, one_seen_file, plain_name

UPLOAD_PREFIX: Final = "hitl_upload_"
_MAX_URL_CHARS: Final = 2000


class WebForms:
    """The endpoints."""

    def __init__(self, ports: SurfacePorts) -> None:
        self._ports = ports

    async def form(self, request: Request) -> Response:
        """Show a form (GET) or take its answer (POST)."""
        return await (self._submit(request) if request.method == "POST" else self._show(request))

    async def _show(self, request: Request) -> Response:
        token = request.path_params["form_token"]
        await self._ports.form_limits.take("read", request, token)
        match = await form_of_token(token, Surface.WEB, self._ports)
        app = await self._ports.apps.app(match.form.app_id)
        if app is None:
            raise FormNotFoundError()
        check_open(match.form, self._ports.clock.now())
        site = await self._ports.sites.site(app.app_id)
        if site is None:
            raise NoSiteError("The app of this form has no site.")
        return reply({**shown_form(match.form, self._ports), "site": site_reply(app, site, None)})

    async def _submit(self, request: Request) -> Response:
        body = await read_object(request, self._ports.max_body_bytes)
        answer, key_hash = checked(HumanInputFormSubmitPayload, body), idempotency_key_hash(request)
        token = request.path_params["form_token"]
        await self._ports.form_limits.take("submit", request, token)
        match = await form_of_token(token, Surface.WEB, self._ports)
        files = await recipients_files(answer.inputs, match.recipient, self._ports)
        order = submit_order(match.recipient, answer, Surface.WEB, files, key_hash=key_hash)
        await submit_answer(match.form, order, self._ports)
        return reply({})

    async def upload_token(self, request: Request) -> Response:
        """Return the upload token of the form's recipient, the same on each call."""
        token = request.path_params["form_token"]
        await self._ports.form_limits.take("upload_token", request, token)
        match = await form_of_token(token, Surface.WEB, self._ports)
        form = match.form
        check_open(form, self._ports.clock.now())
        if not asks_for_files(form):
            raise BadRequestError("This form does not ask for files.")
        upload_token = derive_token(
            self._ports.token_key,
            Purpose.UPLOAD,
            form.form_id,
            match.recipient.recipient_id,
            match.surface,
            match.generation,
        )
        return reply({"upload_token": f"{UPLOAD_PREFIX}{upload_token}", "expires_at": int(form.expires_at)})

    async def upload(self, request: Request) -> Response:
        """Store one file, or what lies at an address, for the answer to a form; durable by then.

        Nothing of the body is read, and no address fetched, before the token is known to be good.
        """
        token = _upload_token(request)
        await self._ports.form_limits.take("upload", request, token)
        try:
            match = await form_of_token(token, Surface.WEB, self._ports, purpose=Purpose.UPLOAD)
        except FormNotFoundError as error:
            raise UploadTokenError("The upload token is not valid.", 403) from error
        check_open(match.form, self._ports.clock.now())
        owner = await initiator_of(match.form, self._ports)
        if owner is None:
            raise UploadTokenError("The upload token is not valid.", 403)
        async with multipart_form(request) as form:
            is_fetched = not isinstance(form.get("file"), UploadFile) and "url" in form
            upload = await (self._fetched(form) if is_fetched else one_seen_file(form, self._ports))
            check_wanted(match.form.definition.inputs, upload, is_fetched=is_fetched)
            record = await kept(upload, match.recipient, owner, self._ports)
        return reply(described(record, self._ports), 201)

    async def _fetched(self, form: FormData) -> Upload:
        """Return the file at the address in the field ``url``, if it may be kept."""
        url = form.get("url")
        if not isinstance(url, str) or not 0 < len(url) <= _MAX_URL_CHARS:
            raise InvalidParamError(f"url must be an address of at most {_MAX_URL_CHARS} characters")
        try:
            parts = urlsplit(url)
            name = plain_name(unquote(parts.path)) if parts.scheme in ("http", "https") and parts.hostname else ""
        except ValueError:
            name = ""
        if not name:
            raise InvalidParamError("url must be an http or https address")
        check_extension(name, self._ports)
        try:
            content, _ = await self._ports.remote_files.download(url, max_bytes(kind_of(name, None)))
        except NodeError as error:
            # Why is not told: it could say what lies behind the address.
            raise RemoteFileError("The file at this address cannot be fetched.") from error
        return await looked_at(name, BytesIO(content), len(content), self._ports)


def _upload_token(request: Request) -> str:
    """Return the upload token of a request without its prefix.

    Raises:
        UploadTokenError: there is none, or it is written wrongly.
    """
    scheme, has_space, token = request.headers.get("authorization", "").partition(" ")
    if not has_space or not token.strip():
        raise UploadTokenError("The Authorization header must be 'Bearer' and an upload token.", 401)
    token = token.strip()
    if scheme.lower() != "bearer" or not token.startswith(UPLOAD_PREFIX):
        raise UploadTokenError("The Authorization header must be 'Bearer' and an upload token.", 400)
    return token.removeprefix(UPLOAD_PREFIX)


def add_web_forms(app: FastAPI, ports: SurfacePorts) -> None:
    """Add the routes to ``app``."""
    web = WebForms(ports)
    routes = (
        ("/api/form/human_input/{form_token}", web.form, "GET POST"),
        ("/api/form/human_input/{form_token}/upload-token", web.upload_token, "POST"),
        ("/api/human-input-forms/files", web.upload, "POST"),
    )
    add_routes(app, routes)

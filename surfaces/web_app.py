"""``/api``: what the web app of an app does for a browser with a passport. Its forms are in ``surfaces.web_forms``.

Source: spec/http.md 1.2 and 6.1.
"""

from fastapi import FastAPI, Request, Response

from actors.run_order import Starter
from hitl.surface import Surface
from surfaces.auth import require_mode
from surfaces.errors import ResourceNotFoundError
from surfaces.input_files import owner_of
from surfaces.passport import WebCaller, issued, web_caller
from surfaces.ports import SurfacePorts
from surfaces.routes import add_routes
from surfaces.run_endpoints import RunEndpoints
from surfaces.schemas import WorkflowRunPayload, checked, read_object, reply
from surfaces.service_api import parameters_of
from surfaces.site_shape import site_reply
from surfaces.uploads import described, multipart_form, one_web_file, stored_upload


class WebApp:
    """The endpoints of web apps."""

    def __init__(self, ports: SurfacePorts) -> None:
        self._ports = ports
        self._runs = RunEndpoints(ports, Surface.WEB)

    async def passport(self, request: Request) -> Response:
        """Give a passport to whoever names the code of a site."""
        return reply({"access_token": await issued(request, self._ports)})

    async def site(self, request: Request) -> Response:
        """Return what the web app shows of itself."""
        caller = await web_caller(request, self._ports)
        site = await self._ports.sites.site(caller.app.app_id)
        if site is None:
            raise ResourceNotFoundError("The app has no site.")
        return reply(site_reply(caller.app, site, caller.user.end_user_id))

    async def parameters(self, request: Request) -> Response:
        """Return the features and the input form of the app's published workflow."""
        caller = await web_caller(request, self._ports)
        return reply(await parameters_of(caller.app, self._ports))

    async def run(self, request: Request) -> Response:
        """Run the app's published workflow; the reply is always a stream."""
        caller = await web_caller(request, self._ports)
        body = await read_object(request, self._ports.max_body_bytes)
        require_mode(caller.app, "workflow")
        payload = checked(WorkflowRunPayload, {**body, "response_mode": "streaming"})
        return await self._runs.started(request, caller.app, _starter(caller), payload)

    async def stop(self, request: Request) -> Response:
        """Stop a run of the calling user; success is all that anybody is told, and durable by then."""
        caller = await web_caller(request, self._ports)
        require_mode(caller.app, "workflow")
        return await self._runs.stopped(request, caller.app, _starter(caller))

    async def events(self, request: Request) -> Response:
        """Follow a run of the calling user, up to its end or its next pause."""
        caller = await web_caller(request, self._ports)
        require_mode(caller.app, "workflow", "advanced-chat")
        return await self._runs.followed(request, caller.app, _starter(caller), until_pause=True)

    async def upload(self, request: Request) -> Response:
        """Store one file of the calling user and say what it is called from now on; durable by then."""
        caller = await web_caller(request, self._ports)
        async with multipart_form(request) as form:
            record = await stored_upload(one_web_file(form, self._ports), owner_of(caller.user), self._ports)
        return reply(described(record, self._ports), 201)


def _starter(caller: WebCaller) -> Starter:
    return Starter.of_end_user(caller.user, "web-app")


def add_web_app(app: FastAPI, ports: SurfacePorts) -> None:
    """Add the routes of web apps to ``app``."""
    web = WebApp(ports)
    routes = (
        ("/api/passport", web.passport, "GET"),
        ("/api/site", web.site, "GET"),
        ("/api/parameters", web.parameters, "GET"),
        ("/api/workflows/run", web.run, "POST"),
        ("/api/workflows/tasks/{task_id}/stop", web.stop, "POST"),
        ("/api/workflow/{run_id}/events", web.events, "GET"),
        ("/api/files/upload", web.upload, "POST"),
    )
    add_routes(app, routes)

"""The HTTP application: every surface behind one edge, over the ports it is given.

Put together by the composition root for the ``Ingress`` deployment, and by tests over ports in memory.
"""

from fastapi import FastAPI

from graph.errors import GreenroomError
from surfaces.asgi import Edge
from surfaces.chat_api import add_chat_api
from surfaces.console import add_console
from surfaces.device_page import add_device_page
from surfaces.error_table import on_domain_error, on_http_error
from surfaces.files import add_files
from surfaces.form_page import add_form_page
from surfaces.health import add_health
from surfaces.inbox_page import add_inbox_pages
from surfaces.mcp import add_mcp
from surfaces.openapi import add_openapi
from surfaces.ports import SurfacePorts
from surfaces.service_api import add_service_api
from surfaces.web_app import add_web_app
from surfaces.web_forms import add_web_forms


def build_app(ports: SurfacePorts) -> FastAPI:
    """Return the application over ``ports``; it does no I/O before the first request."""
    # Generated documents are off: their pages load scripts from elsewhere, and ours come with the surfaces' schemas.
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    add_service_api(app, ports)
    add_chat_api(app, ports)
    add_files(app, ports)
    add_web_app(app, ports)
    add_web_forms(app, ports)
    add_form_page(app, ports)
    add_console(app, ports)
    add_inbox_pages(app, ports)
    add_mcp(app, ports)
    add_device_page(app, ports)
    add_openapi(app, ports)
    add_health(app, ports)
    app.add_exception_handler(GreenroomError, on_domain_error)
    app.add_exception_handler(404, on_http_error)
    app.add_exception_handler(405, on_http_error)
    app.add_middleware(Edge, version=ports.version, environment=ports.environment)
    return app

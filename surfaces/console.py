"""``/console/api``: its routes. Everything but logging in needs a login; see ``surfaces.console_auth``."""

from fastapi import FastAPI, Request, Response

from surfaces.console_drafts import ConsoleDrafts
from surfaces.console_editor import ConsoleEditor
from surfaces.console_forms import ConsoleForms
from surfaces.console_inbox import ConsoleInbox, InboxList, InboxTransfers
from surfaces.console_lists import ConsoleLists
from surfaces.console_login import LoginEndpoints, login_required
from surfaces.console_mcp import add_console_mcp
from surfaces.console_runs import ConsoleRuns
from surfaces.errors import LoginRequiredError
from surfaces.ports import SurfacePorts
from surfaces.routes import add_routes

PREFIX = "/console/api"


async def _on_login_required(request: Request, error: Exception) -> Response:
    assert isinstance(error, LoginRequiredError)
    return login_required(error)


def add_console(app: FastAPI, ports: SurfacePorts) -> None:
    """Add the routes of the console to ``app``."""
    door, forms, runs = LoginEndpoints(ports), ConsoleForms(ports), ConsoleRuns(ports)
    drafts, lists = ConsoleDrafts(ports), ConsoleLists(ports)
    of_app = "/apps/{app_id}"
    routes = (
        ("/login", door.login, "POST"),
        ("/refresh-token", door.refresh, "POST"),
        ("/logout", door.logout, "POST"),
        ("/setup", door.setup, "GET POST"),
        ("/ping", door.ping, "GET"),
        ("/form/human_input/{form_token}", forms.by_token, "GET POST"),
        ("/files/upload", forms.upload, "POST"),
        ("/inbox/forms/{form_id}", forms.by_id, "GET POST"),
        ("/workflow/{run_id}/events", runs.events, "GET"),
        ("/workflow/{run_id}/pause-details", runs.pause_details, "GET"),
        ("/installed-apps/{app_id}/workflows/run", runs.run_installed, "POST"),
        ("/installed-apps/{app_id}/workflows/tasks/{task_id}/stop", runs.stop, "POST"),
        ("/apps", lists.apps, "GET"),
        ("/apps/imports", drafts.import_file, "POST"),
        (f"{of_app}/workflows/draft", drafts.draft, "GET POST"),
        (f"{of_app}/workflows/draft/run", runs.run_draft, "POST"),
        (f"{of_app}/workflows/publish", drafts.publish, "GET POST"),
        (f"{of_app}/workflow-runs", lists.runs, "GET"),
        (f"{of_app}/workflow-runs/tasks/{{task_id}}/stop", runs.stop, "POST"),
        (f"{of_app}/workflow-runs/{{run_id}}", lists.run, "GET"),
        (f"{of_app}/workflow-runs/{{run_id}}/node-executions", lists.node_executions, "GET"),
    )
    add_routes(app, routes, PREFIX)
    _add_inbox(app, ports)
    _add_editor(app, ports)
    add_console_mcp(app, ports, PREFIX)
    app.add_exception_handler(LoginRequiredError, _on_login_required)


def _add_inbox(app: FastAPI, ports: SurfacePorts) -> None:
    """Add the routes of the inbox, as far as there is something behind them."""
    console, prefix = ports.console, f"{PREFIX}/inbox"
    of_form = f"{prefix}/forms/{{form_id}}"
    inbox = ConsoleInbox(ports)
    app.add_route(f"{prefix}/decisions", inbox.decide, methods=["POST"])
    app.add_route(f"{of_form}/audit", inbox.audit, methods=["GET"])
    if console.receipts is not None:
        app.add_route(f"{of_form}/receipt", inbox.receipt, methods=["GET"])
    if console.deliveries is not None:
        app.add_route(f"{of_form}/deliveries", inbox.deliveries, methods=["GET"])
    if console.inbox is not None:
        app.add_route(f"{prefix}/forms", InboxList(ports, console.inbox).forms, methods=["GET"])
    if console.inbox_acts is not None:
        acts = InboxTransfers(ports, console.inbox_acts)
        for act in (acts.claim, acts.release, acts.reassign, acts.delegate, acts.snooze):
            app.add_route(f"{of_form}/{act.__name__}", act, methods=["POST"])


def _add_editor(app: FastAPI, ports: SurfacePorts) -> None:
    """Add the routes that try out one node, as far as there is something behind them."""
    if ports.console.previews is None:
        return
    editor = ConsoleEditor(ports, ports.console.previews)
    for draft in ("workflows/draft", "advanced-chat/workflows/draft"):
        node = f"{PREFIX}/apps/{{app_id}}/{draft}/human-input/nodes/{{node_id}}"
        app.add_route(f"{node}/form/preview", editor.preview, methods=["POST"])
        app.add_route(f"{node}/form/run", editor.run, methods=["POST"])
        if ports.console.delivery_tests is not None:
            app.add_route(f"{node}/delivery-test", editor.test_delivery, methods=["POST"])

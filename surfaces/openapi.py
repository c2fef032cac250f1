"""``/openapi/v1``: its routes, each in the spelling of Dify 1.14 and in the one of its later versions.

For programs of an account, with a bearer token (``surfaces.openapi_auth``); the device flow needs none.

Source: spec/http.md 8.1.
"""

from typing import Final

from fastapi import FastAPI

from surfaces.openapi_auth import told_openly
from surfaces.openapi_device import DeviceEndpoints
from surfaces.openapi_forms import OpenApiForms
from surfaces.openapi_reads import OpenApiReads
from surfaces.openapi_runs import OpenApiRuns
from surfaces.ports import SurfacePorts
from surfaces.routes import add_routes

PREFIX: Final = "/openapi/v1"


def add_openapi(app: FastAPI, ports: SurfacePorts) -> None:
    """Add the routes to ``app``."""
    reads, runs, forms, devices = OpenApiReads(ports), OpenApiRuns(ports), OpenApiForms(ports), DeviceEndpoints(ports)
    of_app = "/apps/{app_id}"
    routes = (
        ("/_health", reads.health, "GET"),
        ("/_version", reads.version, "GET"),
        ("/account", reads.account, "GET"),
        ("/account/sessions", reads.sessions, "GET"),
        ("/account/sessions/{session_id}", reads.revoke, "DELETE"),
        ("/workspaces", reads.workspaces, "GET"),
        ("/workspaces/{workspace_id}", reads.workspace, "GET"),
        ("/apps", reads.apps, "GET"),
        (of_app, reads.describe, "GET"),
        (f"{of_app}/describe", reads.describe, "GET"),
        (f"{of_app}:run", runs.run, "POST"),
        (f"{of_app}/run", runs.run, "POST"),
        (f"{of_app}/tasks/{{task_id}}:stop", runs.stop, "POST"),
        (f"{of_app}/tasks/{{task_id}}/stop", runs.stop, "POST"),
        (f"{of_app}/tasks/{{run_id}}/events", runs.events, "GET"),
        (f"{of_app}/files", runs.upload, "POST"),
        (f"{of_app}/files/upload", runs.upload, "POST"),
        (f"{of_app}/human-input-forms/{{form_token}}", forms.show, "GET"),
        (f"{of_app}/human-input-forms/{{form_token}}:submit", forms.submit, "POST"),
        (f"{of_app}/form/human_input/{{form_token}}", forms.show, "GET"),
        (f"{of_app}/form/human_input/{{form_token}}", forms.submit, "POST"),
        ("/oauth/device/code", devices.code, "POST"),
        ("/oauth/device/token", devices.token, "POST"),
        ("/oauth/device/lookup", devices.lookup, "GET"),
        ("/oauth/device/approve", devices.approve, "POST"),
        ("/oauth/device/deny", devices.deny, "POST"),
    )
    add_routes(app, [(path, told_openly(endpoint), methods) for path, endpoint, methods in routes], PREFIX)

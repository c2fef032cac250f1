"""Composition root: settings -> ports -> actors -> surfaces -> the Serve applications.

``app`` is the HTTP ingress, for ``serve run serve_app:app`` and ``serve deploy``; ``model`` builds the application of
one model for a deploy file; ``deploy`` starts everything from a driver (``greenroom up``). Ray must be started with
``RAY_SERVE_ENABLE_HA_PROXY=1`` and ``RAY_SERVE_THROUGHPUT_OPTIMIZED=1`` for the speed that the documents name.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve import Application

from actors.kept_actors import KeptActors
from actors.key_check import check_key
from actors.receipts import Receipts, SignedReceipts
from actors.settings import Settings
from actors.start_actors import start_actors
from actors.web_ports import WebPorts
from actors.wiring import Ports, catalog_of
from effects.address_guard import parse_networks
from graph.errors import RefusedError
from hitl import form_preview
from models.applications import model_applications
from store.chats import SqlChats
from store.mcp_servers import SqlMcpServers
from surfaces.app import build_app
from surfaces.console_ports import ConsolePorts
from surfaces.form_limits import FormLimits
from surfaces.ports import SurfacePorts

APP_NAME = "greenroom"
MAX_STREAMS = 10_000
"""Requests that one ingress replica serves at a time; an open event stream is one."""


@serve.deployment(
    name="Ingress",
    max_ongoing_requests=MAX_STREAMS,
    ray_actor_options={"num_cpus": 0},
    graceful_shutdown_wait_loop_s=0.5,
    graceful_shutdown_timeout_s=5,
)
@serve.ingress()
class Ingress:
    """Serves every HTTP surface. Holds no durable state: any replica may go at any time."""

    def __init__(self, plain_settings: str) -> None:
        """Prepare; does no I/O.

        Args:
            plain_settings: ``Settings.plain``; passwords and keys come from this process's environment and files.
        """
        self._settings = Settings.from_plain(plain_settings)
        self._kept_actors = KeptActors(self._settings)

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Return the application over this process's ports (called by Serve)."""
        self._ports = Ports(self._settings)
        return build_app(surface_ports(self._ports))

    async def check_health(self) -> None:
        """Have the actors looked after; returns at once (called by Serve every ten seconds)."""
        self._kept_actors.look()
        self._ports.runs.warm_up()


def surface_ports(ports: Ports) -> SurfacePorts:
    """Return what the surfaces act through, over the ports of this process."""
    web = WebPorts(ports.settings, ports.database)

    async def check_ready() -> None:
        await check_key(ports.secrets.token_key, ports.installation)
        await start_actors(ports.settings)

    return SurfacePorts(
        runs=ports.runs,
        submissions=ports.forms_client,
        journal=ports.journal,
        forms=ports.forms,
        apps=ports.apps,
        sites=web.sites,
        accounts=ports.accounts,
        console=ConsolePorts.over(
            ports.database,
            ports.accounts,
            ports.apps,
            ports.settings.workspace_name,
            inbox=ports.human_time,
            inbox_acts=ports.forms_client,
            previews=form_preview,
            delivery_tests=ports.forms_client,
            receipts=SignedReceipts(
                Receipts(ports.forms, ports.decisions, ports.journal, ports.accounts), ports.secrets.receipt_key
            ),
            deliveries=ports.outbox,
        ),
        bearers=web.bearers,
        plans=ports.plans,
        files=ports.files,
        chats=SqlChats(ports.database, ports.blobs),
        remote_files=ports.remote_files,
        mcp_servers=SqlMcpServers(ports.database),
        token_key=ports.secrets.token_key,
        clock=ports.surroundings.clock,
        public_url=ports.settings.public_url,
        version=version("greenroom"),
        check_ready=check_ready,
        blocked_extensions=ports.settings.blocked_extensions,
        file_link_lifetime_s=ports.settings.file_link_lifetime_s,
        chat_history_chars=ports.settings.chat_history_chars,
        bearer_rate_limit=ports.settings.openapi_rate_limit,
        form_limits=FormLimits(
            web.rate_counter,
            ports.settings.web_form_rate_limit,
            ports.settings.web_form_rate_window_s,
            ports.settings.web_form_global_rate_limit,
            parse_networks(ports.settings.trusted_proxies),
        ),
    )


class UnknownModelApplicationError(RefusedError):
    """A deploy file names a model application that the models file has no target for; its author fixes it."""

    code = "unknown_model_application"

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(name, known)
        self.name = name
        self.known = known

    def __str__(self) -> str:
        return f"there is no model application {self.name!r}; the models file gives: {', '.join(self.known) or 'none'}"


def model(args: dict[str, Any]) -> Application:
    """Build the Serve application of one model target, for ``import_path: serve_app:model`` in a deploy file.

    Args:
        args: ``application``: its name: ``model-`` and the target's name in the models file.

    Raises:
        UnknownModelApplicationError: the catalog has no such target.
    """
    applications = model_applications(catalog_of(Settings()))
    name = str(args.get("application", ""))
    if name not in applications:
        raise UnknownModelApplicationError(name, tuple(applications))
    return applications[name]


def deploy(settings: Settings) -> None:
    """Start the models, the actors and the ingress on the Ray that this process is connected to.

    May be repeated: what runs already with the same code stays. Returns when requests are served.

    Raises:
        GreenroomError: the models file has faults, or an actor does not come up.
    """
    serve.start(http_options={"host": settings.http_host, "port": settings.http_port})
    models = model_applications(catalog_of(settings)).items()
    targets = [serve.RunTarget(application, name=name, route_prefix=None) for name, application in models]
    targets.append(serve.RunTarget(ingress(settings), name=APP_NAME, route_prefix="/"))
    # All at once: most of the time goes to processes that start up.
    with ThreadPoolExecutor(max_workers=1) as beside:
        actors = beside.submit(asyncio.run, start_actors(settings, is_deployer=True))
        serve.run_many(targets)
        actors.result()


def ingress(settings: Settings) -> Application:
    """Return the ingress over ``settings``, unbound to any cluster."""
    return Ingress.bind(settings.plain)  # pyrefly: ignore[missing-attribute]


app = ingress(Settings())

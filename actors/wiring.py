"""Builds the ports of one process from its settings. Nothing is opened before it is used.

Database handles and clients do not cross processes, so each actor and each replica makes its own here.
"""

import asyncio
from functools import cached_property

from actors.calls import hint_courier
from actors.forms import FormsClient
from actors.hints import HintSubscription, HubHints
from actors.logs import configure_logs
from actors.outside import Outside
from actors.plans import Plans
from actors.run_metrics import SegmentMetrics
from actors.run_segment import Surroundings, WallClock
from actors.runs import Runs
from actors.secrets import Secrets, load_secrets
from actors.settings import Settings
from actors.span_export import SpanExport
from actors.stores import Stores
from actors.tool_box import ToolBox
from effects.address_guard import parse_networks
from effects.code_sandbox.limits import MIB, SandboxLimits
from effects.code_sandbox.sandbox import WasmCodeSandbox
from effects.documents import DocumentReader
from effects.guarded_client import GuardedClient
from effects.tools.catalog import ToolCatalog
from graph.engine import Limits
from models.catalog import Catalog
from models.model_client import ServeChatModel
from store.files import FileShelf, SqlFiles
from store.hint_record import HintCarrier
from store.postgres_lane import ConnectionShare
from store.redis_streams import RedisHints


def catalog_of(settings: Settings) -> Catalog:
    """Return what the provider and model names of workflow files mean by these settings.

    Raises:
        InvalidCatalogError: the models file or the inline models have faults.
    """
    if settings.models:
        return Catalog.parse(settings.models)
    return Catalog.load(settings.models_file) if settings.models_file else Catalog()


def tool_catalog_of(settings: Settings) -> ToolCatalog:
    """Return what the tools of workflow files mean by these settings.

    Raises:
        InvalidToolsFileError: the tools file has faults.
    """
    return ToolCatalog.load(settings.tools_file) if settings.tools_file else ToolCatalog()


def sandbox_of(settings: Settings) -> WasmCodeSandbox:
    """Return what runs code nodes; it starts a worker process at the first."""
    limits = SandboxLimits(settings.sandbox_time_limit_s, settings.sandbox_memory_mb * MIB)
    return WasmCodeSandbox(limits, settings.sandbox_workers)


class Ports(Stores):
    """The ports of this process, each made at its first use. Belongs to one event loop."""

    def __init__(self, settings: Settings, share: ConnectionShare | None = None) -> None:
        """Prepare; opens nothing.

        Args:
            settings: of this process.
            share: the connections that it may have to PostgreSQL, where they are not those of the settings.
        """
        configure_logs(settings.log_format)
        super().__init__(settings, share)
        self.forms_client = FormsClient(settings.hitl_actors)
        """The way to the HITL actors."""

    @cached_property
    def files(self) -> FileShelf:
        """Files with their content, for surfaces."""
        return FileShelf(SqlFiles(self.database), self.blobs)

    @cached_property
    def remote_files(self) -> GuardedClient:
        """Reaches addresses that strangers choose.

        Raises:
            InvalidNetworkError: the networks that requests may reach have a fault.
        """
        return GuardedClient(parse_networks(self.settings.http_allowed_networks))

    @cached_property
    def _outside(self) -> Outside:
        return Outside(self.remote_files, DocumentReader(), self.files.table, self.blobs, self.settings.public_url)

    @cached_property
    def plans(self) -> Plans:
        """Compiled workflow versions."""
        return Plans(self.apps)

    @cached_property
    def hint_carrier(self) -> HintCarrier:
        """What carries hints between processes: Redis where it is configured, else the event hub."""
        return RedisHints(self.settings.redis_url_to_open()) if self.settings.redis_url else HubHints()

    @cached_property
    def hints(self) -> HintSubscription:
        """The hints for the readers of this process."""
        return HintSubscription(self.hint_carrier)

    @cached_property
    def runs(self) -> Runs:
        """Starts, follows and stops runs."""
        settings = self.settings
        return Runs.of(
            self.journal, self.forms_client, self.hints, "replica", settings.lease_ttl_s, settings.queue_limit
        )

    @cached_property
    def secrets(self) -> Secrets:
        """The secrets, read at first use. Never used in run actors.

        Raises:
            SecretsFileError: the file cannot be used.
        """
        assert self.settings.secrets_file is not None
        return load_secrets(self.settings.secrets_file)

    @cached_property
    def _code(self) -> WasmCodeSandbox:
        return sandbox_of(self.settings)

    @cached_property
    def surroundings(self) -> Surroundings:
        """What the segments of a run actor share.

        Raises:
            InvalidNetworkError: the networks that requests may reach have a fault.
        """
        limits = Limits(self.settings.max_steps, self.settings.max_time_s)
        chat = ServeChatModel(catalog_of(self.settings))
        clock = WallClock()
        tools = ToolBox(tool_catalog_of(self.settings), self.apps, self.plans, limits, clock)
        return Surroundings(
            self.journal,
            self.plans,
            chat,
            self.forms_client,
            limits,
            clock,
            self._code,
            self._outside,
            tools,
            hint_courier,
            self.spans,
            SegmentMetrics(),
        )

    @cached_property
    def spans(self) -> SpanExport | None:
        """Where spans of runs go; None where none are made."""
        return SpanExport(self.settings.otlp_url) if self.settings.otlp_url else None

    async def close(self) -> None:
        """Close the connections, send the last spans, and end the sandbox workers of this process."""
        if "runs" in self.__dict__:
            await self.runs.close()
        if "hints" in self.__dict__:
            await self.hints.close()
        if "hint_carrier" in self.__dict__:
            await self.hint_carrier.close()
        if "_code" in self.__dict__:
            await self._code.close()
        if "_outside" in self.__dict__:
            await self._outside.close()
        if "remote_files" in self.__dict__:
            await self.remote_files.close()
        if "database" in self.__dict__:
            await self.database.close()
        if (spans := self.__dict__.get("spans")) is not None:
            await asyncio.to_thread(spans.close)

"""The tools of a run: the catalog of this process over the ports of that run."""

from dataclasses import replace
from typing import cast

from actors.nested_runs import CompiledVersions, FoundApps, NestedRuns
from effects.tools.built_in import BuiltInPorts
from effects.tools.catalog import ToolCatalog
from effects.tools.configured import ConfiguredTools, ToolsInside
from graph.engine import Limits
from graph.ports import Clock, Effects, Forms, NotAvailable

_NO_FORMS = cast(Forms, NotAvailable("asking people inside of a tool"))


class ToolBox:
    """Shared by the runs of a process. Belongs to one event loop."""

    def __init__(
        self, catalog: ToolCatalog, apps: FoundApps, plans: CompiledVersions, limits: Limits, clock: Clock
    ) -> None:
        """Prepare.

        Args:
            catalog: what provider and tool names mean.
            apps: apps that are used as tools.
            plans: their compiled versions.
            limits: of a run inside of a tool's call.
            clock: the time.
        """
        self._catalog = catalog
        self._apps = apps
        self._plans = plans
        self._limits = limits
        self._clock = clock

    def added_to(self, effects: Effects) -> Effects:
        """Return ``effects`` with the tools, which reach outside through them."""

        def inside(depth: int) -> Effects:
            return replace(effects, forms=_NO_FORMS, tools=ToolsInside(tools, depth))

        apps = NestedRuns(self._apps, self._plans, inside, self._limits, self._clock)
        tools = ConfiguredTools(
            self._catalog, BuiltInPorts(self._clock, effects.code, effects.http, effects.files), apps
        )
        return replace(effects, tools=tools)

"""Compiled workflow versions, kept per process; a version never changes, so neither does its plan."""

from collections import OrderedDict
from typing import Protocol

from graph.errors import InvalidWorkflowError
from graph.parse_workflow import parse_document
from graph.plan import Plan, compile_plan
from store.apps import WorkflowVersion
from store.errors import AppNotFoundError

KEPT_COUNT = 64


class Versions(Protocol):
    """Where workflow versions are stored."""

    async def version(self, version_id: str) -> WorkflowVersion | None:
        """Return a version, or None."""
        ...


class Plans:
    """Plans by version id, the least recently used dropped first."""

    def __init__(self, versions: Versions, kept_count: int = KEPT_COUNT) -> None:
        self._versions = versions
        self._kept_count = kept_count
        self._plans: OrderedDict[str, Plan] = OrderedDict()

    async def plan(self, version_id: str) -> Plan:
        """Return the plan of a version, compiled at its first use in this process.

        Raises:
            AppNotFoundError: there is no such version.
            InvalidWorkflowError: it cannot run.
        """
        plan = self._plans.get(version_id)
        if plan is None:
            version = await self._versions.version(version_id)
            if version is None:
                raise AppNotFoundError(version_id)
            plan = compile_document(version.document)
            self._plans[version_id] = plan
            if len(self._plans) > self._kept_count:
                self._plans.popitem(last=False)
        self._plans.move_to_end(version_id)
        return plan


def compile_document(document: dict) -> Plan:
    """Return the plan of a stored workflow document.

    Raises:
        InvalidWorkflowError: it cannot run.
    """
    parsed = parse_document(document)
    if parsed.workflow is None:
        raise InvalidWorkflowError(tuple(str(fault) for fault in parsed.faults))
    return compile_plan(parsed.workflow)

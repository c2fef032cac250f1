"""The HTTP application of Greenroom over the database of one process, and a client of it."""

from dataclasses import replace

import httpx2

import factories as f
from one_process import OneProcess
from surface_world import LocalRuns, make_world
from surfaces.app import build_app


async def http_client(process: OneProcess, key: str) -> httpx2.AsyncClient:
    """Return a client with an API key; what runs by HTTP executes in ``process``."""
    ports = process.ports
    around = await make_world(f.document([f.start()], []))
    made = replace(
        around.ports,
        runs=LocalRuns(process.around),
        submissions=process.hitl,
        journal=ports.journal,
        forms=ports.forms,
        apps=ports.apps,
        accounts=ports.accounts,
        plans=ports.plans,
        files=ports.files,
        token_key=ports.secrets.token_key,
        clock=process.clock,
    )
    transport = httpx2.ASGITransport(app=build_app(made))
    headers = {"Authorization": f"Bearer {key}"}
    return httpx2.AsyncClient(transport=transport, base_url="http://testserver", headers=headers)

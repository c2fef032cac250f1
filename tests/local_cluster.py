"""One local Ray with Serve, as the product starts it: behind HAProxy, with the throughput options."""

import logging
import os
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import ray
from ray import serve

from free_ports import free_ports

TESTS = Path(__file__).resolve().parent
NAMESPACE = "greenroom"


@dataclass(frozen=True, slots=True)
class LocalCluster:
    """Where the cluster is reached. ``address``: Ray's, for another driver; ``serve_port``: HTTP on 127.0.0.1."""

    address: str
    namespace: str
    serve_port: int
    dashboard_url: str


@asynccontextmanager
async def local_cluster() -> AsyncGenerator[LocalCluster, None]:
    """Start Ray and Serve of our own, and end just these.

    Serve's handles belong to the event loop that uses them first: use this, and them, in one.
    """
    # HAProxy takes socket paths of up to 97 characters, and Ray appends 57 for the node.
    with tempfile.TemporaryDirectory(prefix="gr-", dir="/tmp") as folder:
        serve_port, *side_ports = free_ports(4)
        saved = dict(os.environ)
        os.environ.pop("RAY_ADDRESS", None)
        os.environ.update(_haproxy_environment(folder, *side_ports))
        # Actors import our packages and the modules of the tests by name.
        paths = [str(TESTS.parent), str(TESTS), str(TESTS / "cluster"), os.environ.get("PYTHONPATH", "")]
        os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        context = ray.init(
            # Without it Ray would take whichever cluster was started last on this machine, dead or alive.
            address="local",
            namespace=NAMESPACE,
            include_dashboard=True,
            dashboard_host="127.0.0.1",
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
        try:
            logging.getLogger("ray.serve").setLevel(logging.ERROR)
            serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": serve_port})
            yield LocalCluster(
                address=context.address_info["gcs_address"],
                namespace=NAMESPACE,
                serve_port=serve_port,
                dashboard_url=f"http://{context.dashboard_url}",
            )
            await serve.shutdown_async()
        finally:
            ray.shutdown()
            os.environ.clear()
            os.environ.update(saved)


def _haproxy_environment(folder: str, metrics_port: int, stats_port: int, fallback_port: int) -> dict[str, str]:
    """Keep this HAProxy apart from others on the machine, and its log of request lines from everyone."""
    return {
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": f"{folder}/haproxy.cfg",
        "RAY_SERVE_HAPROXY_SOCKET_PATH": f"{folder}/admin.sock",
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": folder,
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": f"{folder}/server-state",
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": f"{folder}/metrics.sock",
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics_port),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(stats_port),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(fallback_port),
        "RAY_SERVE_HAPROXY_LOG_TARGET": f"{folder}/nobody-listens.sock",
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
    }

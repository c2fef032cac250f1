"""``greenroom up``: checks what can be checked at once, sets the environment, then becomes the serving process.

Ray Serve reads its switches when it is imported, and every process of the cluster inherits the environment of the one
that starts it. So this file imports neither Ray nor what needs it, and replaces the process by ``cli.serving``.
"""

import os
import socket
import stat
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from cli.installation import read_settings
from cli.start_checks import check_port, prepare_data_folder

DISCARD_ADDRESS = "127.0.0.1:9"
"""Nothing listens on the discard port: HAProxy's request lines, in which form tokens stand, go nowhere."""

PROXY_FOLDER_VARIABLE = "RAY_SERVE_HAPROXY_SERVER_STATE_BASE"
"""Names the folder in which Ray keeps HAProxy's files, one folder for each node."""

DEMO_FOREIGN = (
    "GREENROOM_DATABASE_URL",
    "GREENROOM_DATABASE_PASSWORD",
    "GREENROOM_REDIS_URL",
    "GREENROOM_SECRETS_FILE",
)
"""Settings that would lead a demonstration to someone's data."""


def up(
    demo: Annotated[bool, typer.Option("--demo", help="Run the approval workflow end to end, then stop.")] = False,
) -> None:
    """Serve in the foreground with a Ray of its own; Ctrl-C ends that one only."""
    if demo:
        for name in DEMO_FOREIGN:
            os.environ.pop(name, None)
        os.environ.setdefault("GREENROOM_HTTP_PORT", str(free_port(preferred=8000)))
        os.environ.pop("GREENROOM_PUBLIC_URL", None)
    settings = read_settings()
    check_port(settings)
    if demo:
        os.environ["GREENROOM_DATA_DIR"] = tempfile.mkdtemp(prefix="greenroom-demo-")
    else:
        prepare_data_folder(settings)
    os.environ["GREENROOM_PUBLIC_URL"] = settings.public_url
    os.environ.update(serve_environment())
    os.execv(sys.executable, [sys.executable, "-P", "-m", "cli.serving", *(["--demo"] if demo else [])])


def serve_environment() -> dict[str, str]:
    """Return what Ray and Ray Serve must find in the environment before they are imported.

    HAProxy carries several times the requests of Serve's own proxy, and a client that goes away cancels nothing
    behind it. Its side ports are free ones, so that two clusters can live on one machine: above all the one of the
    proxy that it falls back to while no replica is there, which would be that of the other cluster.
    """
    folder = proxy_folder()
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_LOG_TARGET": DISCARD_ADDRESS,
        "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": f"{folder}/haproxy.cfg",
        "RAY_SERVE_HAPROXY_SOCKET_PATH": f"{folder}/admin.sock",
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": f"{folder}/metrics.sock",
        PROXY_FOLDER_VARIABLE: folder,
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": f"{folder}/server-state",
        # A HAProxy that has died is replaced after three checks; meanwhile nobody is answered.
        "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "2",
        "RAY_USAGE_STATS_ENABLED": "0",
        # Keeps Ray from hiding accelerators of a process that asked for none, which it warns of otherwise.
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }


def proxy_folder() -> str:
    """Return a folder of this user alone for HAProxy's files: whoever reaches its socket can read what it forwards.

    Ray puts a folder for each node into it. HAProxy takes no long path for a socket, so it lies directly in /tmp.
    """
    folder = Path(f"/tmp/greenroom-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            return tempfile.mkdtemp(prefix="gr-", dir="/tmp")
    return str(folder)


def is_free(host: str, port: int) -> bool:
    """Return whether nothing listens on ``port`` of ``host``."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(preferred: int = 0) -> int:
    """Return ``preferred`` if nothing listens on it, else a port that was free a moment ago."""
    if preferred and is_free("127.0.0.1", preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

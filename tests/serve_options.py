"""The options of Ray Serve in tests: as the product starts it, and quick to end."""

import os
import sys


def set_serve_options() -> None:
    """Set them for this process and those it starts.

    Raises:
        RuntimeError: Serve has been imported, and has read its options.
    """
    if "ray.serve" in sys.modules:
        raise RuntimeError("set the options of Serve before anything imports ray.serve")
    os.environ.update(
        {
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
            # Replicas of a removed application otherwise stay for half a minute.
            "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0",
            "RAY_SERVE_PROXY_MIN_DRAINING_PERIOD_S": "0.1",
        }
    )

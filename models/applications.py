"""The Serve applications that a catalog needs: one for each local or scripted target that some model means."""

from typing import Any

from ray import serve
from ray.serve import Application

from models.catalog import Catalog, LocalTarget, NamedTarget, ScriptedTarget
from models.chat_deployment import ChatDeployment
from models.model_client import application_name, deployment_name
from models.scripted_deployment import ScriptedDeployment

# Streams are served in turn by the slots; the rest waits in the replica, where a call can still be cancelled.
_WAITING_PER_SLOT = 8


def model_applications(catalog: Catalog) -> dict[str, Application]:
    """Return application name -> application, for ``serve.run(application, name=name, route_prefix=None)``.

    Upstream targets have none: whoever calls them does so from its own process.
    """
    applications = {}
    for named in catalog.used_targets():
        if isinstance(named.target, LocalTarget):
            applications[application_name(named.name)] = _local(named, named.target)
        elif isinstance(named.target, ScriptedTarget):
            applications[application_name(named.name)] = _scripted(named, named.target)
    return applications


def _local(named: NamedTarget, target: LocalTarget) -> Application:
    scaling: dict[str, Any] = {"num_replicas": target.max_replicas}
    if target.min_replicas < target.max_replicas:
        scaling = {
            "autoscaling_config": {
                "min_replicas": target.min_replicas,
                "max_replicas": target.max_replicas,
                "target_ongoing_requests": target.slots,
            }
        }
    deployment = serve.deployment(
        ChatDeployment,
        name=deployment_name(target),
        max_ongoing_requests=target.slots * _WAITING_PER_SLOT,
        ray_actor_options={"num_cpus": target.num_cpus},
        health_check_period_s=10,
        health_check_timeout_s=30,
        graceful_shutdown_wait_loop_s=0.5,
        graceful_shutdown_timeout_s=5,
        **scaling,
    )
    return deployment.bind(named.name, target)


def _scripted(named: NamedTarget, target: ScriptedTarget) -> Application:
    deployment = serve.deployment(
        ScriptedDeployment,
        name=deployment_name(target),
        num_replicas=1,
        max_ongoing_requests=1000,
        ray_actor_options={"num_cpus": target.num_cpus},
        graceful_shutdown_wait_loop_s=0.5,
        graceful_shutdown_timeout_s=5,
    )
    return deployment.bind(target.script)
